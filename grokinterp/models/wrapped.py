"""Somebody else's network with names on its parts, so that every probe can read it."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.frozen import frozen_config
from grokinterp.models.base import HookedModel, evaluated
from grokinterp.models.hooked_module import (
    HookedModule,
    HookedModuleConfig,
    before,
    is_of_wrapper,
)
from grokinterp.models.named_parts import View, find, listed
from grokinterp.models.read_out import Neurons, Part, ReadOut
from grokinterp.models.trial_checks import (
    check_answers,
    check_layers,
    check_network,
    check_neurons,
    check_rows,
)
from grokinterp.models.trials import find_powers, find_read_out, recorded, same, see_a_sum
from grokinterp.models.wrapped_inputs import TOKENS, Inputs, reader
from grokinterp.models.wrapped_tables import find_tables, tried_pairs
from grokinterp.session import unaffected
from grokinterp.short_text import short
from grokinterp.tasks import Operation

_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d)


@frozen_config
class WrappedConfig(HookedModuleConfig):
    """What a run knows of a :class:`WrappedModule`: the class of the network in it."""

    network: str = ""


class WrappedModule(HookedModule):
    """Any ``nn.Module`` with names on its parts; made by :func:`wrap`.

    ``model(pairs)`` returns the logits [batch, p] of the residues, of the last position where there
    are positions; further classes are left out. Hook points are those of a
    :class:`~grokinterp.models.hooked_module.HookedModule`, and ``{readout}.hook_in`` for what the
    read-out reads. A single ``nn.Embedding`` named as ``first``, called once for both operands, has
    its hook point under the name ``hook_embed``.

    Examples:
        >>> import grokinterp as gi
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2 * 13, 64), nn.ReLU(), nn.Linear(64, 13))
        >>> model = gi.wrap(net, p=13, first="0", neurons="1", readout="2", inputs="one-hot")
        >>> list(model.hook_dict)
        ['0.hook_out', '1.hook_out', '2.hook_in', '2.hook_out', 'hook_logits']
    """

    cfg: WrappedConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = WrappedConfig

    def __init__(
        self,
        net: nn.Module | WrappedConfig,
        *,
        p: int,
        first: Any = None,
        neurons: Any = None,
        readout: Any = None,
        inputs: Inputs = TOKENS,
        operation: Operation | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(net, WrappedConfig):
            raise TypeError(
                f"the initial weights of a wrapped {net.network} are unknown, so it cannot be "
                "built; leave out what needs the untrained network"
            )
        HookedModel.__init__(self, WrappedConfig(network=type(net).__name__), p=p)
        self.operation = operation
        check_network(net)
        self._first = [_named(net, "first", part) for part in listed(first)]
        # The read-out's bias, where the read-out is given as tensors.
        self._out = [_named(net, "readout", part) for part in listed(readout)]
        self._chosen = inputs
        self._format, self._template = reader(inputs, p, net, self._first)
        self._take(net)
        self._tables: dict[str, View] = {}
        self._name_points()
        self._neurons = [self._neuron_hook(part) for part in listed(neurons)]
        with torch.no_grad(), evaluated(net):
            self._learn()

    @property
    def template(self) -> str | None:
        """The words of the token sequence that the network is given; None for other inputs."""
        return self._template

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        """The rows of ``first`` that belong to residues."""
        return {name: view.tensor(self.net) for name, view in self._tables.items()}

    @property
    def operands_share_input(self) -> bool:
        """True for one table whose operands may be swapped without changing a logit."""
        return self._is_symmetric

    @property
    def input_weights(self) -> Sequence[Float[Tensor, "p neuron"]]:
        """The tables, if each neuron depends on the sum of its own entries of them and no other."""
        return [table[: self.p] for table in self.input_tables.values()] if self._is_sum else ()

    @property
    def neuron_hooks(self) -> Sequence[Sequence[str]]:
        """Those of ``neurons``."""
        return [[hook] for hook in self._neurons]

    @property
    def gains(self) -> Mapping[int, str]:
        """Weights of norms that read neurons directly."""
        return self._gains

    @property
    def read_out(self) -> ReadOut | None:
        """``readout``."""
        if not self._W:
            return None
        tensors = [view.tensor(self.net) for view in self._W]
        memory = {table.untyped_storage().data_ptr() for table in self.input_tables.values()}
        is_tied = tensors[0].untyped_storage().data_ptr() in memory
        own = {name: view.whole(self.net) for view in self._W if (name := self._own_name(view))}
        return ReadOut(
            W_U=tensors[0],
            b_U=tensors[1] if len(tensors) > 1 else None,
            hook=self._read_at,
            parameters={} if is_tied else own,
            is_tied=is_tied,
        )

    @property
    def direct_path(self) -> Sequence[Part]:
        """The last neurons, if the read-out reads them or their norm."""
        return [Neurons(self._read_at)] if self._is_direct and self._read_at else ()

    @property
    def scale_powers(self) -> Mapping[str, Sequence[int]] | None:
        """Known for one layer of homogeneous neurons, such as relu and squares, and no norm."""
        return self._powers

    def only_neurons(self, keep: Bool[Tensor, " neuron"]) -> "WrappedModule | None":
        """A narrower copy; None unless logits are a sum over neurons between two ``nn.Linear``."""
        maps = [self.net.get_submodule(name) for name in (*self._first_names, *self._out_names)]
        if not (
            self._is_sum
            and self._is_direct
            and not self._gains
            and len(self._W) == 1
            and self._out_names
            and len(maps) == len(self._first) + 1
            and all(isinstance(module, nn.Linear) for module in maps)
            and not self._others_have_neurons(maps, len(keep))
        ):
            return None
        net = copy.deepcopy(self.net)
        for module in net.modules():  # the hooks of wrappers stay with the original
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for key in [key for key, hook in hooks.items() if is_of_wrapper(hook)]:
                    del hooks[key]
        for name in self._first_names:
            _narrow(net.get_submodule(name), keep, axis=0)
        _narrow(net.get_submodule(self._out_names[0]), keep, axis=1)
        return WrappedModule(
            net,
            p=self.p,
            first=self._first,
            neurons=self._neurons,
            readout=self._out_names[0],
            inputs=self._chosen,
            operation=self.operation,
        ).eval()  # pyright: ignore[reportReturnType]

    def _others_have_neurons(self, maps: Sequence[nn.Module], width: int) -> bool:
        """Whether a weight or buffer besides those of some maps may have an entry for a neuron."""
        known = {id(weight) for module in maps for weight in module.parameters(recurse=False)}
        held = (*self.net.parameters(), *self.net.buffers())
        return any(width in one.shape for one in held if id(one) not in known)

    @property
    def named_parts(self) -> set[str]:
        """Those of "first", "neurons" and "readout" that were given."""
        given = {"first": self._first, "neurons": self._neurons, "readout": self._out}
        return {part for part, names in given.items() if names}

    def _inputs(self, pairs: Int[Tensor, "batch 2"]) -> Any:
        weight = next(self.net.parameters(), pairs)
        return self._format(pairs.to(weight.device))

    def _answers(self, out: Tensor) -> Float[Tensor, "batch p"]:
        return super()._answers(out)[:, : self.p]

    @property
    def _asked(self) -> tuple[str, str]:
        inputs = short(self._chosen) if isinstance(self._chosen, str) else "your inputs"
        return f"inputs={inputs} at p={self.p}", (
            "Give p as the network was trained, and inputs that it reads: 'tokens', a prompt such "
            "as 'a b =', 'one-hot', or your own function of pairs [batch, 2]"
        )

    @property
    def _first_names(self) -> list[str]:
        return [part for part in self._first if isinstance(part, str) and self._is_module(part)]

    @property
    def _out_names(self) -> list[str]:
        return [part for part in self._out if isinstance(part, str) and self._is_module(part)]

    @property
    def _reads_one_hots(self) -> bool:
        return any(isinstance(self.net.get_submodule(n), nn.Linear) for n in self._first_names)

    @property
    def _input_parameters(self) -> set[str]:
        """Parameters that multiply the first layer's neurons before their nonlinearity."""
        named, firsts = dict(self.named_parameters()), self._first_names
        tables = {self._own_name(view) for view in self._tables.values()}
        return tables | {f"net.{name}.bias" for name in firsts if f"net.{name}.bias" in named}

    def _own_name(self, view: View) -> str:
        """A view's parameter among this network's own, whatever ``net`` calls it; "" for none."""
        whole = view.whole(self.net)
        return next((name for name, weight in self.named_parameters() if weight is whole), "")

    def _is_module(self, name: str) -> bool:
        return not isinstance(find(self.net, "part", name)[1], Tensor)

    def _name_points(self) -> None:
        """Name the embedding's hook point as other networks do, and add the read-out's input."""
        points, first = {}, [f"{name}.hook_out" for name in self._first_names]
        is_embedding = (
            len(first) == 1
            and isinstance(self.net.get_submodule(self._first_names[0]), nn.Embedding)
            and self._calls[self._first_names[0]] == 1  # of all operands
        )
        for name, point in self.hook_dict.items():
            for out in self._out_names:
                if name == f"{out}.hook_out":
                    points[f"{out}.hook_in"] = point_in = HookPoint()
                    self.net.get_submodule(out).register_forward_pre_hook(partial(before, point_in))
            points["hook_embed" if is_embedding and name in first else name] = point
        self.hook_dict = points
        self._own_hooks = self._n_hooks()
        self.setup()

    def _neuron_hook(self, part: Any) -> str:
        if isinstance(part, str) and part in self.hook_dict:
            return part
        name, found = find(self.net, "neurons", part)
        hook = f"{name}.hook_out"
        if name in self._first_names and "hook_embed" in self.hook_dict:
            hook = "hook_embed"
        if isinstance(found, Tensor) or hook not in self.hook_dict:
            what = "a parameter" if isinstance(found, Tensor) else "not called in a forward pass"
            ends = "".join(f" or {name}.hook_in, what it reads" for name in self._out_names)
            raise ValueError(
                f"neurons={short(part)} is {what}, so that no activation of neurons is seen "
                f"there; name the submodule that puts them out{ends}"
            )
        return hook

    def _learn(self) -> None:
        """Find out from forward passes what the named parts are, and refuse what they are not."""
        net, pairs = self.net, tried_pairs(self.p)
        names = self._first_names
        norms = [name for name, module in net.named_modules() if isinstance(module, _NORMS)]
        with recorded(net, {*names, *norms}) as reads:
            logits, cache = self.run_with_cache(pairs)
        check_answers(self, pairs, logits)
        check_neurons(self, pairs, logits, cache)
        if self._first:
            self._tables = find_tables(net, list(self._first), reads, self.p)
        check_rows(self, {name: reads[name][-1] for name in names}, cache)
        swapped = self(pairs.flip(1)) if len(self._tables) == 1 else None
        says = bool((logits != logits[0]).any())  # equal logits are those of any pair
        self._is_symmetric = swapped is not None and says and same(swapped, logits)
        last = self._neurons[-1] if self._neurons else None
        once = [self._calls[self._module_at(hook)] == 1 for hook in self._neurons]
        self._gains = {
            layer: f"net.{name}.weight"
            for layer, hook in enumerate(self._neurons)
            for name in norms
            if reads[name] and same(reads[name][0], cache[hook])
        }
        self._W, self._read_at = find_read_out(self, self._out, self._out_names, cache, logits)
        self._is_direct = False
        if last is not None and self._read_at is not None and once[-1]:
            read, after = cache[self._read_at], f"{self._norm_behind(last)}.hook_out"
            if same(read, cache[last]):
                self._read_at, self._is_direct = last, True
            elif after in cache and same(read, cache[after]):
                self._read_at, self._is_direct = after, True
        self._is_sum = bool(once) and once[0] and see_a_sum(self, is_linear=self._reads_one_hots)
        check_layers(self, cache, is_sum=self._is_sum, is_direct=self._is_direct)
        self._powers = (
            find_powers(self, self._input_parameters) if self._is_sum and self._is_direct else None
        )

    def _module_at(self, hook: str) -> str:
        """The submodule to whose input or output a hook point belongs."""
        return self._first_names[0] if hook == "hook_embed" else hook.rpartition(".hook_")[0]

    def _norm_behind(self, hook: str) -> str:
        gain = self._gains.get(self._neurons.index(hook), "")
        return gain.removeprefix("net.").removesuffix(".weight")


@unaffected()
def wrap(
    net: nn.Module,
    *,
    p: int,
    first: Any = None,
    neurons: Any = None,
    readout: Any = None,
    inputs: Inputs = TOKENS,
    operation: Operation | None = None,
) -> WrappedModule:
    """Any ``nn.Module`` as a network that probes and analyses can read.

    The network is neither copied nor changed, but for hooks on its submodules. Name as much of it
    as there is; a probe refuses if it needs a part that is not named. What is named is checked by
    forward passes; so is that a pair has the same logits each time and in any batch. For example::

        net = nn.Sequential(nn.Linear(2 * 97, 500), nn.ReLU(), nn.Linear(500, 97))
        model = gi.wrap(net, p=97, first="0", neurons="1", readout="2", inputs="one-hot")

    Args:
        net: maps its inputs to logits [batch, classes] or [batch, pos, classes], of which the first
            p classes are the residues.
        p: the modulus.
        first: where a and b enter: an ``nn.Linear`` on one-hots, an ``nn.Embedding``, or a
            parameter [vocab, d] or [2, vocab, d]; two of them if each operand has its own. Each as
            a name in ``net.named_modules()`` or ``net.named_parameters()``, or itself.
        neurons: the submodules that put out the neurons' activations, one for each layer, in order.
            Where no submodule does, because the activation is a function, the name of a hook point:
            ``"fc2.hook_in"`` is what the read-out fc2 reads. The batch is their first axis. Neurons
            that a forward pass calls several times are removed from all calls.
        readout: the last linear map, an ``nn.Linear``, or a parameter [d, classes] that is
            multiplied by the last neurons; (weight, bias) with a bias.
        inputs: "tokens", the pairs themselves as integers [batch, 2]; a prompt such as "a b =", as
            for ``HookedModule``; "one-hot", floats, [batch, 2 p] or, if ``first`` has p inputs,
            their sum [batch, p]; or a function of the pairs.
        operation: the task; probes then need not be told.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: a name of nothing, or a part that is not what it is named as.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import mean_ipr
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2 * 13, 64), nn.ReLU(), nn.Linear(64, 13))
        >>> model = gi.wrap(net, p=13, first="0", neurons="1", readout="2", inputs="one-hot")
        >>> mean_ipr(model) < 0.5, list(model.list_units())
        (True, ['neurons.0'])
        >>> pairs = gi.make_dataset(gi.DataConfig(p=13)).tokens
        >>> model.run_with_hooks(pairs, fwd_hooks=gi.ablate([3, 7])).shape
        torch.Size([169, 13])
    """
    return WrappedModule(
        net,
        p=p,
        first=first,
        neurons=neurons,
        readout=readout,
        inputs=inputs,
        operation=operation,
    )


def _named(net: nn.Module, argument: str, part: Any) -> "str | View":
    """A part's name, or the view of a parameter that a tensor is."""
    name, found = find(net, argument, part)
    if name:
        return name
    assert isinstance(found, Tensor)
    return View.of(net, found, argument)


def _narrow(module: nn.Module, keep: Tensor, axis: int) -> None:
    """Leave out outputs (axis 0) or inputs (axis 1) of an ``nn.Linear``."""
    assert isinstance(module, nn.Linear)
    kept = module.weight[keep] if axis == 0 else module.weight[:, keep]
    module.weight = nn.Parameter(kept.detach().clone())
    if axis == 0 and module.bias is not None:
        module.bias = nn.Parameter(module.bias[keep].detach().clone())
    module.out_features, module.in_features = module.weight.shape
