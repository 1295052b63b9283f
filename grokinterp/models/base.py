"""What every network of the package shares: a task, and a hook point on every activation."""

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, no_type_check, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from transformer_lens.hook_points import HookPoint

from grokinterp.basis import task_basis
from grokinterp.checks import check_int
from grokinterp.limits import MAX_P, check_parameters
from grokinterp.models.anatomy import Anatomy, words_on
from grokinterp.models.hub import OnTheHub
from grokinterp.models.units import FREQUENCIES, HooksOf, Units
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import short


@runtime_checkable
class NeedsModel(Protocol):
    """A hook function that is made for one network, when it is added to it."""

    def for_model(self, model: "HookedModel") -> Callable[..., Any]:
        """The hook function itself."""
        ...

    def __call__(self, activation: Tensor, hook: HookPoint) -> Tensor:
        """What it does in a model that is not of this package: it refuses."""
        ...


class HookedModel(Anatomy, OnTheHub):
    """A network that answers f(a, b) mod p, with a hook point on every activation.

    A subclass is built as ``Model(config, p=..., seed=...)``, says how its ``logits`` come about,
    and ends its constructor with ``self.setup()``. Where its tables, neurons or read-out have
    other names than TransformerLens', it also answers the questions of
    :class:`~grokinterp.models.anatomy.Anatomy`, and every probe can read it.

    Args:
        config: the architecture, of the class's ``config_class``.
        p: the modulus: the residues 0..p-1 are its first tokens and its first classes.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
        >>> pairs = torch.tensor([[2, 3], [12, 5]])
        >>> logits, cache = model.run_with_cache(pairs)
        >>> cache["layers.0.hook_post"].shape
        torch.Size([2, 20])
        >>> without = model.run_with_hooks(pairs, fwd_hooks=gi.ablate([3, 7]))
        >>> with model.hooks(fwd_hooks=gi.ablate([3, 7])):  # the same for everything in the block
        ...     print(torch.equal(model(pairs), without))
        True
    """

    config_class: ClassVar[type]
    # Where training may drop activations, the names that ``TrainConfig.dropout_at`` takes.
    dropout_places: ClassVar[tuple[str, ...]] = ()
    pairs_read: Tensor | None = None  # while a forward pass runs: its pairs

    def __init__(self, config: Any, *, p: int | None) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise TypeError(
                f"config must be of type {self.config_class.__name__}, got {short(config)}"
            )
        if p is not None:
            check_int("p", p, minimum=2, maximum=MAX_P)
        self.check_size(config, p)
        self.cfg, self.p = config, p

    def forward(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch classes"]:
        """Logits of every class for pairs of residues ``tokens`` (a, b), each in 0..p-1."""
        assert self.p is not None
        check_tokens(tokens, self.p, prompt=self.template)
        return self._hooked_logits(tokens)

    def _hooked_logits(
        self, tokens: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch *pos classes"]:
        """:meth:`logits` with all hooks that there are by now, also in a compiled network.

        Compiled code sees no hook that is added later: a network that is hooked runs uncompiled.
        """
        # The second also where a frame around this one was not compiled, but logits would be.
        if torch.compiler.is_compiling() or "torch._dynamo" in sys.modules:
            outside: Any = torch.compiler.disable(_uncompiled_if_hooked, recursive=False)
            return outside(self, tokens)
        return self._reading(tokens)

    def _reading(self, tokens: Tensor) -> Tensor:
        """:meth:`logits`, during which hooks find the pairs in ``pairs_read``."""
        self.pairs_read = tokens
        try:
            return self.logits(tokens)
        finally:
            self.pairs_read = None

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch classes"]:
        """The forward pass without token validation, which ``torch.vmap`` cannot run.

        Give ``torch.compile`` the network and not this method, whose compiled code would not see
        hooks that are added later.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
            >>> one_pair = torch.vmap(lambda pair: model.logits(pair[None])[0])
            >>> one_pair(torch.tensor([[2, 3], [12, 5]])).shape
            torch.Size([2, 13])
        """
        raise NotImplementedError

    def only_neurons(self, keep: Bool[Tensor, " neuron"]) -> "HookedModel | None":
        """A network with some of the neurons of its only hidden layer, in evaluation mode.

        Its weights are copies. If logits are a sum over neurons, then those of the network of
        ``keep`` and of the network of ``~keep`` add up to the whole's. None for an architecture
        without such networks.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
            >>> keep = torch.arange(60) < 40
            >>> first, last = model.only_neurons(keep), model.only_neurons(~keep)
            >>> pairs = torch.tensor([[2, 3], [12, 5]])
            >>> torch.allclose(first(pairs) + last(pairs), model(pairs), rtol=1e-3, atol=1e-3)
            True
        """
        return None

    @staticmethod
    def weight_matrices(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights one by one, where a stored tensor holds several; any leading axes are kept.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13)
            >>> sorted(model.state_dict()), sorted(model.weight_matrices(model.state_dict()))
            (['W_E', 'W_U'], ['W_E[0]', 'W_E[1]', 'W_U'])
        """
        return state

    @classmethod
    def parameter_count(cls, config: Any, p: int | None) -> int:
        """Numbers that training changes, counted without building the network.

        0 for a class that does not say: then it cannot be refused for its size.

        Examples:
            >>> import grokinterp as gi
            >>> gi.HookedMLP.parameter_count(gi.MLPConfig(d_mlp=500), p=97) == 3 * 97 * 500
            True
        """
        return 0

    @classmethod
    def check_size(cls, config: Any, p: int | None) -> None:
        """Raise unless a network has few enough parameters to be trained.

        Examples:
            >>> import grokinterp as gi
            >>> try:
            ...     gi.HookedMLP.check_size(gi.MLPConfig(d_mlp=10**7), p=97)
            ... except ValueError as error:
            ...     print(str(error).split(", ")[0])
            MLPConfig(d_mlp=10000000) with p=97 has 2.9e+09 parameters
        """
        task = "" if p is None else f" with p={p}"
        check_parameters(f"{short(config)}{task}", cls.parameter_count(config, p))

    @classmethod
    def dropout_points(cls, config: Any, place: str) -> dict[str, tuple[int, ...]]:
        """Hook points that dropout at ``place`` multiplies, with their shapes for one example.

        Args:
            config: the architecture.
            place: one of ``dropout_places``, or several joined by "+".

        Examples:
            >>> import grokinterp as gi
            >>> gi.HookedMLP.dropout_points(gi.MLPConfig(d_mlp=20), "post")
            {'layers.0.hook_post': (20,)}
        """
        raise NotImplementedError

    def floats_per_example(self) -> int:
        """How many activations the hook points see for one example: its memory, about.

        Examples:
            >>> import grokinterp as gi
            >>> gi.HookedMLP(gi.MLPConfig(d_mlp=20), p=13).floats_per_example()
            93
        """
        pair = torch.zeros(2, 2, dtype=torch.int64, device=next(self.parameters()).device)
        with torch.no_grad(), evaluated(self):
            _, cache = self.run_with_cache(pair)
        return max(1, sum(activation.numel() for activation in cache.values()) // 2)

    def list_units(self) -> dict[str, Units]:
        """The parts that can be taken out one by one, by name, in the order of computation.

        Give a name to ``gi.ablate(chosen, unit=...)``, ``gi.scale``, ``gi.patch`` or to a probe.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
            >>> {name: units.count for name, units in model.list_units().items()}
            {'heads.0': 2, 'neurons.0': 64}
        """
        pair = torch.zeros(1, 2, dtype=torch.int64, device=next(self.parameters()).device)
        with torch.no_grad(), evaluated(self):
            _, cache = self.run_with_cache(pair)
        made: dict[str, Units] = {}
        for name, at in self.unit_hooks.items():
            count = cache[at.hooks[0]].shape[at.axis]
            if name == FREQUENCIES:
                assert self.operation is not None
                assert self.p is not None
                count = len(task_basis(self.operation, self.p).frequencies)
            made[name] = Units(at.hooks, at.axis, name, count)
        return made

    def setup(self) -> None:
        """TransformerLens' ``setup``, to be called once all modules are there."""
        super().setup()
        self._types = [type(module) for module in self.modules()]

    @property
    def is_hooked(self) -> bool:
        """Whether activations inside the network are looked at, so that none may be skipped.

        By a hook of TransformerLens or of torch, or by a module of another type than was there at
        :meth:`setup`.
        """
        modules = list(self.modules())
        return bool(
            [type(module) for module in modules] != self._types
            or _has_any_global_hook()
            or count_hooks(module for module in modules if module is not self)
        )

    @property
    def template(self) -> str | None:
        """The config's ``prompt``, where it has one."""
        return getattr(self.cfg, "prompt", None)

    @property
    def description(self) -> str:
        """:meth:`describe` of its config."""
        return self.describe(self.cfg)

    @classmethod
    def describe(cls, config: Any) -> str:
        """One line on the kind and size of a config's network, such as "MLP 1x500 square".

        Examples:
            >>> import grokinterp as gi
            >>> gi.HookedTransformer.describe(gi.TransformerConfig.paper1())
            'Transformer 1x128 relu'
        """
        return words_on(cls)

    def add_hook(
        self, name: str | Callable[[str], bool], hook: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """TransformerLens' ``add_hook``; a name that does not exist is refused with the nearest."""
        for point in self._points(name):
            super().add_hook(point, self._bound(hook), *args, **kwargs)

    def get_caching_hooks(self, names_filter: Any = None, *args: Any, **kwargs: Any) -> Any:
        """TransformerLens' ``get_caching_hooks``; names that do not exist are refused."""
        self._check_hook_names(names_filter)
        return super().get_caching_hooks(names_filter, *args, **kwargs)

    def add_caching_hooks(self, names_filter: Any = None, *args: Any, **kwargs: Any) -> Any:
        """TransformerLens' ``add_caching_hooks``; names that do not exist are refused."""
        self._check_hook_names(names_filter)
        return super().add_caching_hooks(names_filter, *args, **kwargs)

    def _enable_hook(self, name: Any, hook: Callable[..., Any], dir: Any) -> None:
        for point in self._points(name):
            super()._enable_hook(point, self._bound(hook), dir)

    def _bound(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A hook that needs to know the network and the pairs that it reads, told so."""
        return hook.for_model(self) if isinstance(hook, NeedsModel) else hook

    def _points(self, name: object) -> Sequence[str]:
        """The hook points of a name, of units, or of a function that chooses names."""
        if isinstance(name, HooksOf):
            return self._of_units(name.unit) if name.unit else self._of_layer(name.layer)
        if isinstance(name, str):
            self._check_hook_names(name)
            return [name]
        if not callable(name):
            raise TypeError(
                f"a hook must be at the name of a hook point, got {short(name)}; take one of "
                f"{', '.join(self.hook_dict)}"
            )
        if chosen := [point for point in self.hook_dict if name(point)]:
            return chosen
        raise ValueError(
            f"the function {short(name)} chooses no hook point of {type(self).__name__}, so that "
            f"its hook would never run; all: {', '.join(self.hook_dict)}"
        )

    def _of_layer(self, layer: int) -> Sequence[str]:
        layers, name = self.neuron_hooks, type(self).__name__
        if not layers:
            raise ValueError(
                f"{name} has no hook point named *.hook_post, so its neurons are not known; "
                f"give hook=..., from: {', '.join(self.hook_dict)}.{unnamed(self, 'neurons')}"
            )
        if layer >= len(layers):
            raise ValueError(
                f"layer={layer}, but {name} has {len(layers)} layers of neurons, counted from 0"
            )
        return layers[layer]

    def _of_units(self, unit: str) -> Sequence[str]:
        found = self.unit_hooks
        if unit not in found:
            raise ValueError(
                f"unit={unit!r}, but {type(self).__name__} has {', '.join(found) or 'no units'}."
                f"{unnamed(self, 'neurons')}"
            )
        return found[unit].hooks

    def _check_hook_names(self, names: object) -> None:
        """Of one name or a list of them."""
        for name in names if isinstance(names, list) else [names]:
            if isinstance(name, str) and not isinstance(self.mod_dict.get(name), HookPoint):
                raise ValueError(
                    f"{short(name)} is no hook point of {type(self).__name__}. "
                    f"{self._why_no_hook(name)}{nearest_hooks(self, name)}"
                )

    def _why_no_hook(self, name: str) -> str:
        """A sentence on a name that one might take for a hook point, or nothing."""
        return ""

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As in ``nn.Module``; an error names every missing, extra and misshapen tensor."""
        if strict:
            check_state(type(self).__name__, self.state_dict(), state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def count_hooks(modules: Iterable[nn.Module]) -> int:
    """How many hooks of torch's, which TransformerLens' are as well, modules have."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in modules for kind in kinds)


@no_type_check  # whose wrapper would be compiled
def _uncompiled_if_hooked(model: HookedModel, tokens: Tensor) -> Tensor:
    is_hooked = torch.compiler.disable(lambda: model.is_hooked)()
    return (torch.compiler.disable(model._reading) if is_hooked else model.logits)(tokens)


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, each module's own mode given back whatever happens."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def nearest_hooks(model: Any, name: str) -> str:
    """How to go on from a hook point that a model does not have: which it does."""
    near = difflib.get_close_matches(name, model.hook_dict, n=3, cutoff=0.4)
    return f"Nearest: {', '.join(near) or 'none'}; all: {', '.join(model.hook_dict)}"


def check_state(owner: str, ours: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    """Raise unless a ``state_dict`` has just the tensors of a model, each of its shape."""
    wrong = [f"missing {name} {list(ours[name].shape)}" for name in ours.keys() - given.keys()]
    wrong += [f"extra {name} {list(given[name].shape)}" for name in given.keys() - ours.keys()]
    wrong += [
        f"{name} is {list(given[name].shape)} and should be {list(ours[name].shape)}"
        for name in ours.keys() & given.keys()
        if given[name].shape != ours[name].shape
    ]
    if wrong:
        raise ValueError(
            f"the state_dict does not fit this {owner}: {'; '.join(sorted(wrong))}. "
            "Build the model from the config that the tensors were saved with"
        )


def check_tokens(tokens: Tensor, p: int, *, prompt: str | None = None) -> None:
    """Raise unless ``tokens`` is an integer tensor [batch, 2] of residues 0..p-1.

    Args:
        tokens: what a model was given.
        p: its modulus.
        prompt: what it makes of a pair, if it reads sequences.
    """
    if not isinstance(tokens, Tensor) or tokens.is_floating_point() or tokens.dtype == torch.bool:
        kind = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
        raise TypeError(f"tokens must be an integer tensor [batch, 2], got {kind}")
    if tokens.ndim != 2 or tokens.shape[1] != 2:
        itself = "" if prompt is None else f"; the model writes the prompt {prompt!r} itself"
        raise ValueError(
            "tokens must have shape [batch, 2], one row (a, b) per pair, "
            f"got {list(tokens.shape)}{itself}"
        )
    if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) >= p):
        raise ValueError(
            f"tokens must lie in 0..{p - 1} for p={p}, got values from {int(tokens.min())} "
            f"to {int(tokens.max())}; take them mod p"
        )
