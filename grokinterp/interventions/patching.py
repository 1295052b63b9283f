"""Activation patching: activations replaced by those of another forward pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_names
from grokinterp.interventions.chosen import Chosen, FwdHooks, Place, Selection, copied
from grokinterp.models.base import HookedModel
from grokinterp.models.units import FREQUENCIES, WORDS, HooksOf, kind_of, position_axis
from grokinterp.short_text import short


def patch(
    cache: Mapping[str, Tensor] | ActivationCache,
    names: Sequence[str],
    *,
    positions: Sequence[int] | np.ndarray | Tensor | None = None,
    chosen: Chosen | None = None,
) -> FwdHooks:
    """Activation patching: hooks that replace activations by those of another forward pass.

    For example ``patch(cache, ["heads.1"], chosen=[0], positions=[-1])`` patches what the first
    head of the second layer hands on at the last position.

    Args:
        cache: hook name -> activation, as from ``run_with_cache`` on the same number of examples.
            What may be patched is copied: the activations in ``names``, or the whole cache where
            one of them names units.
        names: hook points, or names of units that ``model.list_units()`` lists, such as "heads.0".
        positions: the positions in the sequence to patch, the last one also as -1. Of attention
            patterns and scores they are the queries'; of an LSTM's units, which have a hook point
            for each step, they are the steps. None: all.
        chosen: the units to patch: indices 0, 1, ... or a boolean mask over them. Of a hook point
            they are on its activation's last axis. None: all.

    Raises:
        TypeError: ``names`` is not a list of strings; ``positions`` are no integers; ``chosen`` is
            neither indices nor a boolean mask; ``cache`` is not a mapping of tensors.
        IndexError: a position or unit does not exist. Raised when the hook runs.
        ValueError: a name is not in the cache, or of no units; "frequencies", which are no
            activations. When the hook runs or is added: the shapes differ; the activation has no
            positions; the network does not have the units.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, init="paper1"), p=13)
        >>> pairs, others = torch.tensor([[2, 3], [12, 5]]), torch.tensor([[4, 1], [6, 6]])
        >>> other_logits, cache = model.run_with_cache(others)
        >>> for hooks in gi.patch(cache, ["hook_embed"]), gi.patch(cache, ["heads.0"], chosen=[1]):
        ...     patched = model.run_with_hooks(pairs, fwd_hooks=hooks)
        ...     print(torch.allclose(patched, other_logits, atol=1e-4))
        True
        False
    """
    if not isinstance(cache, Mapping | ActivationCache):
        raise TypeError(
            "cache must map hook names to activations, as returned by run_with_cache, got "
            f"{short(cache)} ({type(cache).__name__})"
        )
    check_names("names", names)
    held = cache.cache_dict if isinstance(cache, ActivationCache) else cache
    at = None if positions is None else checked_positions(positions)
    whole: dict[str, Tensor] = {}
    if any(_are_units(name, held) for name in names):
        whole = {name: _cached(held, name) for name in held}
    hooks: FwdHooks = []
    for name in names:
        is_units = _are_units(name, held)
        place = Place.of(0, None, name) if is_units else Place.of(0, name, None)
        if place.kind == FREQUENCIES:
            raise ValueError(
                "frequencies are not activations, so no cache holds them; patch 'hook_embed', "
                "or take them out with gi.ablate(chosen, unit='frequencies')"
            )
        given = whole if is_units else {name: _cached(held, name)}
        units = None if chosen is None else _selection(place, chosen)
        hooks.append((place.hook, _Patch(given, place, at, units)))
    return hooks


class _Patch:
    """A hook that puts cached activations in the place of those of the present forward pass."""

    def __init__(
        self,
        cache: Mapping[str, Tensor],
        place: Place,
        positions: Sequence[int] | None,
        chosen: Selection | None,
        hooks: Sequence[str] = (),
    ) -> None:
        self._cache, self._place, self._positions = cache, place, positions
        self._chosen, self._hooks = chosen, hooks

    def for_model(self, model: HookedModel) -> Callable[[Tensor, HookPoint], Tensor]:
        """The hook for a network: it knows the units' hook points, one per step of an LSTM."""
        at, hooks = self._place.hook, ()
        if isinstance(at, HooksOf):
            hooks = model.unit_hooks[at.unit].hooks
        return _Patch(self._cache, self._place, self._positions, self._chosen, hooks).__call__

    def __call__(self, activation: Tensor, hook: HookPoint) -> Tensor:
        """The activation with what was chosen replaced."""
        # TransformerLens' own models have several names for a hook point: the given one counts.
        name = str(hook.name if self._hooks else self._place.hook)
        axis, by_step = self._place.axis, len(self._hooks) > 1
        if self._positions is not None and by_step:
            steps = existing_positions(self._positions, len(self._hooks), self._place.words[0])
            if self._hooks.index(name) not in steps:
                return activation
        check_choice("names", name, self._cache.keys())
        other = self._cache[name]
        if other.shape != activation.shape:
            raise ValueError(
                f"the cache holds {list(other.shape)} for {name}, but this run has "
                f"{list(activation.shape)}; run both on the same number of examples"
            )
        other = other.to(activation)
        masks: list[Tensor] = []
        if self._chosen is not None:
            index = self._chosen.on_axis(axis, activation, hook)
            masks.append(_mask(activation, axis, index.tolist()))
        if self._positions is not None and not by_step:
            along = position_axis(name)
            if activation.ndim < along + 2:
                raise ValueError(
                    f"positions={short(list(self._positions))} were asked for, but {name} "
                    f"{list(activation.shape)} has no positions; leave them out. Of a step of a "
                    "recurrent layer name the units, such as 'hidden.0'"
                )
            at = existing_positions(self._positions, activation.shape[along], name)
            masks.append(_mask(activation, along, at))
        for mask in masks:
            other = other.where(mask, activation)
        return other


def _selection(place: Place, chosen: Chosen) -> Selection:
    try:
        return Selection(place.words, chosen)
    except (TypeError, ValueError) as error:
        raise type(error)(f"chosen: {error}") from error


def _mask(activation: Tensor, axis: int, index: Sequence[int]) -> Bool[Tensor, "..."]:
    """Which indices along an axis were chosen, with ones for the other axes to broadcast."""
    line = torch.zeros(activation.shape[axis], dtype=torch.bool, device=activation.device)
    line[index] = True
    return line.view([-1 if i == axis % activation.ndim else 1 for i in range(activation.ndim)])


def existing_positions(positions: Sequence[int], length: int, owner: str) -> list[int]:
    """Positions counted from the start; raise for one that does not exist."""
    outside = [at for at in positions if not -length <= at < length]
    if outside:
        raise IndexError(
            f"positions contains {short(outside)}, but {owner} has {length} positions "
            f"(0..{length - 1}; -1 is the last)"
        )
    return [at % length for at in positions]


def checked_positions(positions: object) -> list[int]:
    """Positions as a list; raise unless they are integers."""
    given: Any = positions.tolist() if isinstance(positions, np.ndarray | Tensor) else positions
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if not is_list or not all(type(at) is int for at in given):
        raise TypeError(f"positions must be a list of integers, got {short(positions)}")
    return list(given)


def _are_units(name: str, cache: Mapping[str, Tensor]) -> bool:
    """Whether a name is of units rather than of a hook point in the cache."""
    return kind_of(name) in WORDS and name not in cache


def _cached(cache: Mapping[str, Tensor], name: str) -> Tensor:
    check_choice("names", name, cache.keys())
    value = cache[name]
    if not isinstance(value, Tensor):
        raise TypeError(f"cache[{short(name)}] must be a tensor, got {type(value).__name__}")
    return copied(value)
