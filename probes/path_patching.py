"""Path patching: what one unit passes to another directly, and how that changes the logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.interventions import FwdHooks
from grokinterp.interventions.chosen import Selection
from grokinterp.interventions.frequencies import FrequencyHook
from grokinterp.interventions.patching import checked_positions, existing_positions
from grokinterp.models.base import check_tokens
from grokinterp.models.units import FREQUENCIES, WORDS, Units
from grokinterp.short_text import short, short_repr
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe
from probes.unit_periodicity import units_of

HEAD_INPUTS = ("query", "key", "value")
# Later units read earlier ones through these. An LSTM's gates are parts of its hidden units:
# freezing them as well would leave no path to a hidden unit.
_FROZEN = ("neurons", "heads", "hidden")


@short_repr
@dataclass(frozen=True, eq=False)
class PathPatching:
    """What a path from a sender to a receiver does, for each example.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import path_patching
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, init="paper1"), p=13)
        >>> pairs, source = torch.tensor([[2, 3], [12, 5]]), torch.tensor([[4, 1], [6, 6]])
        >>> result = path_patching(model, ("heads.0", 1), ("neurons.0", 5), pairs, source)
        >>> result.effect.shape, result.received.shape  # the neuron at each position
        (torch.Size([2, 13]), torch.Size([2, 3]))
    """

    logits: Float[Tensor, "example p"]  # with the receiver's activation patched, and nothing else
    clean_logits: Float[Tensor, "example p"]
    # The receiver's activation with the sender's change, [example], [example, pos], of heads with a
    # last axis d_head; of an LSTM's units pos is the step. None where the receiver is the logits.
    received: Tensor | None
    clean_received: Tensor | None

    @property
    def effect(self) -> Float[Tensor, "example p"]:
        """The change of the logits."""
        return self.logits - self.clean_logits


@probe
def path_patching(
    model: Any,
    sender: tuple[str, int],
    receiver: tuple[str, int] | None,
    pairs: Int[Tensor, "example 2"],
    source: Int[Tensor, "example 2"],
    *,
    head_input: str | None = None,
    positions: Sequence[int] | None = None,
) -> PathPatching:
    """The logits if only a receiver, and only by direct paths, sees another activation of a sender.

    The network runs on ``pairs``. The sender's activation is that on ``source``; all other units
    are frozen at their clean values, so that the change reaches the receiver only by the residual
    stream and the weights between them. The receiver's activation is recorded; in a second run on
    ``pairs`` the receiver alone is given this activation. Norms and attention patterns on the way
    are computed anew. Frozen are neurons, heads and hidden units; an LSTM's cell state and gates
    are parts of its hidden units.

    Args:
        model: any network that lists its units.
        sender: name and index, such as ``("heads.0", 2)``, of a unit that ``model.list_units()``
            lists.
        receiver: the same of a later unit; of a recurrent layer also one of the same layer, which
            learns of the sender one step later. None: the logits.
        pairs: the clean examples.
        source: as many examples, from which the sender takes its activation.
        head_input: if the receiver is a head, which of its inputs receives: "query", "key" or
            "value". None: all three, so the head's output is recorded.
        positions: the positions, of a recurrent layer the steps, at which the sender is replaced.
            None: all.

    Returns:
        float64 copies on the CPU.

    Raises:
        TypeError: sender or receiver is not a name and an index.
        IndexError: the network lacks the unit or the position.
        ValueError: the network lacks units of this name; the receiver does not come after the
            sender; ``head_input`` of other units than heads; pairs that are no residues; in
            ``source`` not as many pairs, or the same ones.

    Source: Wang et al. 2022, arXiv:2211.00593, section 3.1; Goldowsky-Dill et al. 2023,
    arXiv:2304.05969.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import path_patching
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, init="paper1"), p=13)
        >>> pairs, source = torch.tensor([[2, 3], [12, 5]]), torch.tensor([[4, 1], [6, 6]])
        >>> by_neuron = path_patching(model, ("heads.0", 1), ("neurons.0", 5), pairs, source)
        >>> direct = path_patching(model, ("heads.0", 1), None, pairs, source)  # to the logits
        >>> bool(direct.effect.abs().max() > by_neuron.effect.abs().max() > 0)
        True
    """
    network = network_on_pairs(model)
    for tokens in (pairs, source):
        check_tokens(tokens, network.p)
    if torch.equal(pairs.cpu(), source.cpu()):
        raise ValueError(
            "source holds the same examples as pairs, so the sender would stay as it is; "
            "give other examples, such as source=pairs.roll(1, dims=0)"
        )
    start = _Node.of(network, "sender", sender)
    end = None if receiver is None else _Node.of(network, "receiver", receiver)
    if head_input is not None:
        check_choice("head_input", head_input, HEAD_INPUTS)
        if end is None or end.units.kind != "heads":
            raise ValueError(
                f"head_input={head_input!r} is that of a head, but receiver={short(receiver)}; "
                "leave it out"
            )
    if end is not None and end.units.name == FREQUENCIES:
        raise ValueError("receiver='frequencies' are the network's input; they can only send")
    return _Paths(network, pairs, source, start, end, head_input, positions).patched()


@dataclass(frozen=True)
class _Node:
    """One unit."""

    units: Units
    index: int

    @classmethod
    def of(cls, network: NetworkOnPairs, role: str, given: object) -> "_Node":
        """The unit that an argument names; raise if there is none."""
        if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], str):
            raise TypeError(
                f"{role} must be a name of units and an index, such as ('neurons.0', 3), "
                f"got {short(given)}"
            )
        name, index = given
        try:
            units = units_of(network, name)
        except ValueError as error:
            raise ValueError(f"{role}: {error}") from None
        check_int(f"{role}'s index", index, minimum=0)
        if index >= units.count:
            raise IndexError(
                f"{role}={short(given)}, but {name} has {units.count} units (0..{units.count - 1})"
            )
        return cls(units, index)


class _Paths:
    """The runs of one path patching.

    ``clean`` and ``other`` hold the activations on the clean and the source examples.
    """

    def __init__(
        self,
        network: NetworkOnPairs,
        pairs: Tensor,
        source: Tensor,
        start: _Node,
        end: _Node | None,
        head_input: str | None,
        positions: Sequence[int] | None,
    ) -> None:
        self.network, self.pairs, self.source = network, pairs, source
        self.start, self.end = start, end
        self.positions = None if positions is None else checked_positions(positions)
        frozen = (units for units in network.units.values() if units.kind in _FROZEN)
        self.frozen = [hook for units in frozen for hook in units.hooks]
        self.receiving: tuple[str, ...] = ()
        if end is not None:
            self.receiving = end.units.hooks
            if head_input is not None:
                at = end.units.last.removesuffix("hook_z") + f"hook_{head_input[0]}"
                self.receiving = (at,)
        hooks = list(dict.fromkeys([*start.units.hooks, *self.frozen, *self.receiving]))
        self.clean_logits, self.clean = self._run(pairs, hooks)
        _, self.other = self._run(source, list(start.units.hooks))
        self.order = list(self.clean)
        self._check_order()

    def patched(self) -> PathPatching:
        """The first run records the receiver's activation, the second patches it in."""
        logits, told = self._logits_and_told()
        if self.end is None:
            return PathPatching(logits, self.clean_logits, None, None)
        axis, index = self.end.units.axis, self.end.index

        def give(name: str, activation: Tensor, hook: HookPoint) -> Tensor:
            return _with(activation, axis, index, told[name].select(axis, index))

        second: FwdHooks = [(name, partial(give, name)) for name in self.receiving]
        with torch.no_grad():
            logits = self._plain(self.network.run(self.pairs, second))
        received = self._received(told), self._received(self.clean)
        return PathPatching(logits, self.clean_logits, *received)

    def _logits_and_told(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The run in which only direct paths carry the sender's change."""
        told: dict[str, Tensor] = {}
        units, sending = self.start.units, set(self.start.units.hooks)
        changed = self._sent()

        def freeze(name: str, activation: Tensor, hook: HookPoint) -> Tensor:
            if name in self.receiving:
                told[name] = activation.clone()
            if name in sending:
                # Frozen as a whole; of a gate or the embedding, other entries are kept.
                own = self.clean[name] if name in self.frozen else activation
                if units.name == FREQUENCIES:
                    return changed[name]
                return _with(own, units.axis, self.start.index, changed[name])
            return self.clean[name] if name in self.frozen else activation

        hooks: FwdHooks = [(name, partial(freeze, name)) for name in self.order]
        with torch.no_grad():
            return self._plain(self.network.run(self.pairs, hooks)), told

    def _sent(self) -> Mapping[str, Tensor]:
        """The sender's activation by hook point: the source's where it is replaced."""
        units, index = self.start.units, self.start.index
        found: dict[str, Tensor] = {}
        for step, hook in enumerate(units.hooks):
            clean, other = self.clean[hook], self.other[hook]
            if units.name == FREQUENCIES:
                part = FrequencyHook.ablation(Selection(WORDS[FREQUENCIES], [index]), "zero", 0)
                model = self.network.model
                sent = other - part.applied(model, self.source, other)
                other = part.applied(model, self.pairs, clean) + sent
            else:
                clean, other = (value.select(units.axis, index) for value in (clean, other))
            if self.positions is None:
                found[hook] = other
            elif len(units.hooks) > 1:
                steps = existing_positions(self.positions, len(units.hooks), units.name)
                found[hook] = other if step in steps else clean
            else:
                found[hook] = self._at_positions(hook, clean, other)
        return found

    def _at_positions(self, hook: str, clean: Tensor, other: Tensor) -> Tensor:
        assert self.positions is not None
        if self.clean[hook].ndim < 3:
            raise ValueError(
                f"positions={short(list(self.positions))} were asked for, but {hook} has no "
                "positions; leave them out"
            )
        at = existing_positions(self.positions, clean.shape[1], hook)
        mixed = clean.clone()
        mixed[:, at] = other[:, at]
        return mixed

    def _received(self, values: Mapping[str, Tensor]) -> Tensor:
        assert self.end is not None
        axis, index = self.end.units.axis, self.end.index
        steps = [self._plain(values[hook].select(axis, index)) for hook in self.receiving]
        return steps[0] if len(steps) == 1 else torch.stack(steps, dim=1)

    def _run(self, pairs: Tensor, hooks: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and activations, these in the order in which they are computed."""
        seen: dict[str, Tensor] = {}

        def keep(name: str, activation: Tensor, hook: HookPoint) -> None:
            seen[name] = activation.clone()

        listening: FwdHooks = [(name, partial(keep, name)) for name in hooks]
        with torch.no_grad():
            logits = self._plain(self.network.run(pairs, listening))
        return logits, seen

    def _check_order(self) -> None:
        if self.end is None:
            return
        start, end = self.start.units, self.end.units
        first = min(self.order.index(hook) for hook in start.hooks)
        last = max(self.order.index(hook) for hook in self.receiving)
        if last <= first:
            raise ValueError(
                f"receiver=({end.name!r}, {self.end.index}) does not come after "
                f"sender=({start.name!r}, {self.start.index}), so that nothing can reach it; take "
                f"a unit of a later layer, or swap them. In order: {', '.join(self.network.units)}"
            )

    @staticmethod
    def _plain(value: Tensor) -> Tensor:
        return value.detach().double().cpu()


def _with(activation: Tensor, axis: int, index: int, own: Tensor) -> Tensor:
    """A copy in which one unit has another activation."""
    changed = activation.clone()
    changed.select(axis, index).copy_(own)
    return changed
