"""A network evaluated on all p * p pairs: its logits, activations and input tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from grokinterp.arguments import checked
from grokinterp.basis import Basis, task_basis
from grokinterp.checks import check_int, check_text
from grokinterp.models.anatomy import anatomy
from grokinterp.models.base import HookedModel, evaluated, nearest_hooks
from grokinterp.models.prompt import Prompt
from grokinterp.models.units import Units, position_axis
from grokinterp.models.unnamed import unnamed
from grokinterp.session import quick_on, unaffected
from grokinterp.short_text import short
from grokinterp.tasks import Operation

# Pairs per forward pass; limits the memory for activations.
_BATCH = 4096


class NetworkOnPairs:
    """A network evaluated on all p * p pairs of residues, in lexicographic order.

    Made by :func:`network_on_pairs`. The network is run in evaluation mode and without gradients;
    existing hooks stay in place, and its mode is restored. Results are float64 copies on the CPU.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import network_on_pairs
        >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> network.pairs.shape, network.neuron_hooks, list(network.units)
        (torch.Size([169, 2]), ('layers.0.hook_post',), ['frequencies', 'neurons.0'])
        >>> {name: tuple(table.shape) for name, table in network.embeddings.items()}
        {'W_E[0]': (13, 60), 'W_E[1]': (13, 60)}
    """

    def __init__(self, model: Any, p: int, prompt: Prompt | None, length: int) -> None:
        self.model, self.p = model, p
        self.anatomy = anatomy(model)  # answers probes' questions about the network
        self._prompt, self._length = prompt, length

    @cached_property
    @unaffected()
    def pairs(self) -> Int[Tensor, "pair 2"]:
        """All pairs (a, b) in lexicographic order: (0, 0), (0, 1), ..."""
        return torch.cartesian_prod(torch.arange(self.p), torch.arange(self.p))

    @unaffected()
    def run(
        self, pairs: Int[Tensor, "pair 2"], fwd_hooks: Sequence[Any] = ()
    ) -> Float[Tensor, "pair p"]:
        """Logits of the p residues for some pairs, with TransformerLens hooks if given.

        They are computed in evaluation mode, stay on the model's device in its dtype, and have
        gradients if these are enabled.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> network.run(network.pairs[:4], fwd_hooks=gi.ablate([3, 7])).shape
            torch.Size([4, 13])
        """
        inputs = self._inputs(pairs)
        with _evaluation(self.model):
            if fwd_hooks:
                return self._answers(self.model.run_with_hooks(inputs, fwd_hooks=list(fwd_hooks)))
            return self._answers(self.model(inputs))

    def batches(self, size: int) -> Sequence[Int[Tensor, "pair 2"]]:
        """All pairs in batches of ``size``, or in one batch if the network has hooks.

        Hooks such as ablation by the mean or by resampling depend on the other pairs of the batch.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> [len(batch) for batch in network.batches(100)]
            [100, 69]
        """
        return self.pairs.split(len(self.pairs) if self.is_hooked else size)

    @property
    def is_hooked(self) -> bool:
        """Whether a hook may look at or change an activation."""
        return any(point._forward_hooks for point in self.model.hook_dict.values())

    def operation(self, asked: Operation | None) -> Operation:
        """The operation asked for or, if that is None, the one that the network was built for.

        Raises:
            TypeError: neither is known.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> network.operation(None), network.operation("subtraction")
            ('addition', 'subtraction')
        """
        known = self.anatomy.operation if asked is None else asked
        if known is None:
            raise TypeError(
                f"{_name(self.model)} does not know its operation; give it, as in "
                'operation="addition"'
            )
        return known

    def basis(self, operation: Operation | None) -> Basis:
        """The order of residues in which the task (see :meth:`operation`) is periodic.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> network.basis(None).period, network.basis("multiplication").period
            (13, 12)
        """
        return task_basis(self.operation(operation), self.p)

    @property
    def operands(self) -> list[int]:
        """Positions of a and b in the token sequence."""
        return (self._prompt or Prompt(self.anatomy.template or "a b", self.p)).operands

    @unaffected()
    def logits(self) -> Float[Tensor, "pair p"]:
        """Logits of the p residues at the last position; other classes are left out.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> bool((network.logits().argmax(dim=1) == network.pairs.sum(dim=1) % 13).all())
            True
        """
        with torch.no_grad():
            logits = torch.cat([self.run(pairs) for pairs in self.batches(_BATCH)])
        return logits.double().cpu()

    @unaffected()
    def run_with_cache(
        self, hooks: Sequence[str]
    ) -> tuple[Float[Tensor, "pair p"], dict[str, Tensor]]:
        """Logits of all pairs, and activations at some hook points, whole, from one pass.

        On the model's device and in its dtype: a reference for ``gi.ablate`` and ``gi.patch``.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> logits, activations = network.run_with_cache(["layers.0.hook_post"])
            >>> logits.shape, activations["layers.0.hook_post"].shape
            (torch.Size([169, 13]), torch.Size([169, 60]))
        """
        inputs, names = self._inputs(self.pairs), list(hooks)
        with _evaluation(self.model), torch.no_grad():
            output, cache = self.model.run_with_cache(inputs, names_filter=names)
        return self._answers(output), {hook: cache[hook] for hook in names if hook in cache}

    @unaffected()
    def activations(self, hook: str, *, position: int | None = None) -> Float[Tensor, "pair ..."]:
        """Activations at a hook point, one per pair.

        Args:
            hook: a name in the model's ``hook_dict``.
            position: position in the sequence, if the activation has positions; by default the
                last. For attention patterns and scores, it is the query's position.

        Raises:
            ValueError: there is no such hook point or position, or the activations are not one
                per pair.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> network.activations("layers.0.hook_post").shape
            torch.Size([169, 60])
        """
        check_text("hook", hook, example="hook_embed")
        if hook not in self.model.hook_dict:
            raise ValueError(
                f"{short(hook)} is no hook point of {_name(self.model)}. "
                f"{nearest_hooks(self.model, hook)}"
            )
        with _evaluation(self.model), torch.no_grad():
            parts = []
            for tokens in map(self._inputs, self.batches(_BATCH)):
                _, cache = self.model.run_with_cache(tokens, names_filter=hook)
                if hook not in cache:
                    raise ValueError(
                        f"{hook} exists, but nothing passes through it in this network"
                    )
                parts.append(self._at_position(hook, cache[hook], len(tokens), position))
        return torch.cat(parts).double().cpu()

    def neurons(self, hook: str, *, position: int | None = None) -> Float[Tensor, "p p neuron"]:
        """:meth:`activations` as [a, b, neuron]; all axes after the pair become the last one.

        Examples:
            >>> import grokinterp as gi
            >>> from probes import network_on_pairs
            >>> network = network_on_pairs(gi.closed_form_mlp(p=13, d_mlp=60))
            >>> network.neurons("layers.0.hook_post").shape
            torch.Size([13, 13, 60])
        """
        values = self.activations(hook, position=position)
        return rearrange(values, "(a b) ... -> a b (...)", a=self.p)

    @cached_property
    def neuron_hooks(self) -> tuple[str, ...]:
        """The hook point of each layer's neurons; for a recurrent layer, that of its last state.

        Empty if the network's neurons are not known; then give hook points yourself.
        """
        return tuple(hooks[-1] for hooks in self.anatomy.neuron_hooks)

    @cached_property
    def units(self) -> Mapping[str, Units]:
        """What can be taken out of the network one by one, see ``HookedModel.list_units``."""
        if isinstance(self.model, HookedModel):
            return self.model.list_units()
        found = self.anatomy.unit_hooks
        widths = {name: self.activations(at.last).shape[at.axis] for name, at in found.items()}
        return {name: Units(at.hooks, at.axis, name, widths[name]) for name, at in found.items()}

    @property
    def embeddings(self) -> Mapping[str, Float[Tensor, "p d"]]:
        """A vector per residue: "W_E", or "W_E[0]" and "W_E[1]" if each operand has a table.

        Raises:
            TypeError: the model has no input table.
            ValueError: a table has another shape or too few rows for the task.
        """
        tables = self.anatomy.input_tables
        if not tables:
            raise TypeError(
                f"{_name(self.model)} has no tensor W_E; embedding probes need W_E [vocab, d], or "
                "[2, p, d] with a table per operand. For other weights use probes.table_spectrum."
                f"{unnamed(self.model, 'first')}"
            )
        needed = self.p if self._prompt is None else self._prompt.d_vocab
        for name, table in tables.items():
            if table.ndim != 2 or len(table) < needed:
                raise ValueError(
                    f"{_name(self.model)} has {name} {list(table.shape)}, but a task with "
                    f"p={self.p} needs [vocab, d], or [2, vocab, d] with a table per operand, with "
                    f"a vocabulary of at least {needed}"
                )
        if self._prompt is not None and len(tables) == 1:
            tables = self._prompt.tables(next(iter(tables.values())))
        return {name: table.detach()[: self.p].double().cpu() for name, table in tables.items()}

    @property
    def unembedding(self) -> Float[Tensor, "d p"] | None:
        """Columns of ``W_U`` that belong to residues; None if the model has no ``W_U``.

        Raises:
            ValueError: ``W_U`` has fewer than p columns.
        """
        read_out = self.anatomy.read_out
        if read_out is None:
            return None
        W_U = read_out.W_U
        if W_U.ndim != 2 or W_U.shape[1] < self.p:
            raise ValueError(
                f"{_name(self.model)} has W_U {list(W_U.shape)}, but a task with p={self.p} needs "
                f"[d, classes] with at least {self.p} classes"
            )
        return W_U.detach()[:, : self.p].double().cpu()

    def _inputs(self, pairs: Tensor) -> Tensor:
        """The model's input for some pairs, on its device."""
        inputs = pairs if self._prompt is None else self._prompt.tokens(pairs)
        weight = next(iter(self.model.parameters()), None) if _is_module(self.model) else None
        return inputs.to("cpu" if weight is None else weight.device)

    def _answers(self, output: object) -> Tensor:
        """Logits of the residues at the last position, from the model's output."""
        if not isinstance(output, Tensor) or output.ndim not in (2, 3):
            kind = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"{_name(self.model)} returned {kind}; it must return logits [batch, classes] or "
                "[batch, pos, classes]"
            )
        if output.shape[-1] < self.p:
            raise ValueError(
                f"{_name(self.model)} has {output.shape[-1]} classes, but a task with p={self.p} "
                f"needs at least {self.p}"
            )
        at_last = output if output.ndim == 2 else output[:, -1]
        return at_last[:, : self.p]

    def _at_position(self, hook: str, value: Tensor, batch: int, position: int | None) -> Tensor:
        if value.ndim < 2 or len(value) != batch:
            raise ValueError(
                f"{hook} has shape {list(value.shape)} for {batch} pairs: it holds no activation "
                "of its own for each pair"
            )
        axis = position_axis(hook)
        if self._length and value.ndim > 2 and value.shape[axis] == self._length:
            at = -1 if position is None else position
            if not -self._length <= at < self._length:
                raise ValueError(
                    f"position={at} is not in the sequence; it has {self._length} positions"
                )
            return value.select(axis, at)
        if position is not None:
            raise ValueError(
                f"position={position} was asked for, but {hook} {list(value.shape)} has no "
                "positions; leave it out"
            )
        return value


@checked
def network_on_pairs(
    model: Any, *, p: int | None = None, prompt: str | None = None
) -> NetworkOnPairs:
    """A network as probes read it, whether from ``grokinterp.models`` or elsewhere.

    Args:
        model: a network of ``grokinterp.models``; or any object with TransformerLens' hook methods
            (``run_with_cache``, ``hook_dict``), such as that of ``TransformerBridge.boot_native``,
            whose logits are [batch, classes] or [batch, pos, classes]. A :class:`NetworkOnPairs`
            is returned as it is.
        p: the modulus; needed only if the model does not know it.
        prompt: how a pair is written as tokens, such as "a b =" (see
            :class:`grokinterp.models.prompt.Prompt`); allowed only if the model does not know p.

    Raises:
        TypeError: the model lacks an attribute that probes need, or p or prompt is missing.
        ValueError: its vocabulary, classes or modulus disagree with the task.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import network_on_pairs
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_ctx=3, d_vocab=14))
        >>> network = network_on_pairs(model, p=13, prompt="a b =")
        >>> network.logits().shape, network.operands
        (torch.Size([169, 13]), [0, 1])
    """
    if isinstance(model, NetworkOnPairs):
        if (p, prompt) != (None, None):
            raise TypeError("p and prompt belong to the NetworkOnPairs already; leave them out")
        return model
    for name in ("__call__", "run_with_cache", "hook_dict"):
        if not hasattr(model, name):
            raise TypeError(
                f"{_name(model)} has no {name}; probes need TransformerLens' hook surface: "
                "a model that can be called, with run_with_cache and hook_dict; gi.wrap makes one "
                f"of any nn.Module.{unnamed(model)}"
            )
    if isinstance(model, HookedModel) and model.p is not None:
        if prompt is not None:
            raise TypeError(f"{_name(model)} reads pairs and knows its prompt; leave prompt out")
        if p not in (None, model.p):
            raise ValueError(f"p={p}, but {_name(model)} was made for p={model.p}; leave p out")
        own = model.template
        length = 0 if own is None else Prompt(own, model.p).length
        return NetworkOnPairs(model, model.p, None, length)
    if p is None or prompt is None:
        raise TypeError(
            f"{_name(model)} does not know its task: give p and prompt, as in "
            'network_on_pairs(model, p=59, prompt="a b =")'
        )
    check_int("p", p, minimum=3)
    written = Prompt(prompt, p)
    made = NetworkOnPairs(model, p, written, written.length)
    if made.anatomy.input_tables:
        _ = made.embeddings  # check the vocabulary before any token reaches the model
    return made


@contextmanager
def _evaluation(model: Any) -> Iterator[None]:
    if isinstance(model, nn.Module):
        with evaluated(model), quick_on(model.parameters()):
            yield
    else:
        yield


def _is_module(model: object) -> bool:
    return isinstance(model, nn.Module)


def _name(model: object) -> str:
    return type(model).__name__
