"""Which units an intervention acts on, and where they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.arguments import checked
from grokinterp.checks import check_int, check_number
from grokinterp.models.units import WORDS, HooksOf
from grokinterp.randomness import generator
from grokinterp.session import unaffected
from grokinterp.short_text import short

# TransformerLens' format: pairs of a hook name (or a predicate on names) and a hook function.
FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]
Chosen = Sequence[int] | np.ndarray | Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@checked
@unaffected()
def lowest(score: Float[Tensor, " unit"], share: float | int) -> Bool[Tensor, " unit"]:
    """The units with the lowest scores, as a mask that ``gi.ablate`` and ``gi.scale`` take.

    For example ``gi.ablate(gi.lowest(ipr, 0.6))`` takes out the 60 % least periodic neurons.

    Args:
        score: one number per unit. NaN, the score of a dead unit, counts as the lowest.
        share: a fraction 0.0..1.0 of the units, rounded to a whole number of them; or an integer,
            how many. Of equal scores the first units are taken.

    Raises:
        ValueError: a share below 0 or above all units.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_ipr, subset_accuracy
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> hooks = gi.ablate(gi.lowest(model_neuron_ipr(run.model).ipr, 0.5))
        >>> logits = run.model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks)
        >>> accuracy = subset_accuracy(logits, run.dataset)
        >>> accuracy["changed"] < 0.75, accuracy["test"] > 0.9  # forgotten, and kept
        (True, True)
    """
    rising = score.detach().double().nan_to_num(-torch.inf, torch.inf, -torch.inf)
    mask = torch.zeros(len(score), dtype=torch.bool)
    mask[rising.argsort(stable=True)[: _count(share, len(score))]] = True
    return mask


@checked
@unaffected()
def highest(score: Float[Tensor, " unit"], share: float | int) -> Bool[Tensor, " unit"]:
    """The units with the highest scores: all but the :func:`lowest` others.

    Arguments and errors as in :func:`lowest`; dead units (NaN) come last.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_ipr, subset_accuracy
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> hooks = gi.ablate(gi.highest(model_neuron_ipr(run.model).ipr, 0.5))
        >>> logits = run.model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks)
        >>> accuracy = subset_accuracy(logits, run.dataset)
        >>> accuracy["changed"] > 0.9, accuracy["test"] < 0.6  # kept, and forgotten
        (True, True)
    """
    return ~lowest(score, len(score) - _count(share, len(score)))


def _count(share: float | int, units: int) -> int:
    if isinstance(share, int):
        check_int("share", share, minimum=0, maximum=units)
        return share
    check_number("share", share, minimum=0.0)
    if share > 1:
        raise ValueError(
            f"share={share} must be a fraction in 0.0..1.0, or an integer number of units"
        )
    return round(share * units)


@dataclass(frozen=True)
class Place:
    """Where an intervention acts."""

    hook: str  # the name of a hook point, or ``HooksOf`` units
    axis: int = -1  # of the units
    words: tuple[str, str] = WORDS["neurons"]  # for many units and for one

    @classmethod
    def of(cls, layer: int, hook: str | None, unit: str | None) -> "Place":
        """The place that the arguments of an intervention name; raise for two at once."""
        check_int("layer", layer, minimum=0)
        given = {"layer": layer or None, "hook": hook, "unit": unit}
        named = {name: value for name, value in given.items() if value is not None}
        for name in ("hook", "unit"):
            if name in named and not isinstance(named[name], str):
                what = "the name of a hook point" if name == "hook" else "a name as 'heads.0'"
                raise TypeError(f"{name} must be {what}, got {short(named[name])}")
        if len(named) > 1:
            both = " and ".join(f"{name}={short(value)}" for name, value in named.items())
            raise ValueError(f"{both} exclude each other; give one of them")
        if unit is not None:
            found = HooksOf.units(unit)
            return cls(found, -2 if found.kind == "heads" else -1, WORDS[found.kind])
        return cls(HooksOf.neurons(layer) if hook is None else hook)

    @property
    def kind(self) -> str:
        """What the units are, such as "heads"; "" where a hook point was named."""
        return self.hook.kind if isinstance(self.hook, HooksOf) else ""


class Selection:
    """The chosen units: a copy of the indices or mask, checked against the width when used."""

    def __init__(self, words: tuple[str, str], chosen: Chosen) -> None:
        what, self._one = words
        self._what = what
        wanted = f"{what} must be a list of indices or a boolean mask, got "
        try:
            given = chosen if isinstance(chosen, Tensor) else torch.as_tensor(chosen, device="cpu")
        except (TypeError, RuntimeError, ValueError) as error:
            raise TypeError(f"{wanted}{short(chosen)}") from error
        given = copied(given)
        if given.dtype == torch.bool:
            self._given = given
            return
        if given.numel() and (given.dtype not in _INTEGERS or given.ndim != 1):
            raise TypeError(
                f"{wanted}{given.dtype} of shape {list(given.shape)}"
                + (f"; pass [{given.item()}]" if given.ndim == 0 else "")
            )
        self._given = given.flatten().long()
        if len(self._given.unique()) != len(self._given):
            raise ValueError(f"{what} has an index twice; a mask must be boolean, not 0 and 1")

    def on_axis(self, axis: int, activation: Tensor, hook: HookPoint) -> Int[Tensor, " unit"]:
        """The chosen indices, on the activation's device; raise if it lacks one of them."""
        return self.of(activation.shape[axis], str(hook.name)).to(activation.device)

    def of(self, width: int, owner: str) -> Int[Tensor, " unit"]:
        """The chosen indices among ``width`` units; raise if there are no such units."""
        what, given = self._what, self._given
        if given.dtype == torch.bool:
            if given.shape != (width,):
                raise IndexError(
                    f"{what} is a mask of shape {list(given.shape)}, "
                    f"but {owner} has {width} {what}; give one value per {self._one}"
                )
            return given.nonzero()[:, 0]
        outside = given[(given < 0) | (given >= width)]
        if len(outside):
            raise IndexError(
                f"{what} contains {outside[:5].tolist()}, but {owner} has {width} {what} "
                f"(0..{width - 1})"
            )
        return given


def copied(value: Tensor) -> Tensor:
    """A copy that autograd can use, even if made under ``torch.inference_mode``."""
    with torch.inference_mode(False):
        return value.clone()


def other_examples(available: int, wanted: int, seed: int) -> Int[Tensor, " wanted"]:
    """For each example, the index of the example whose values it takes; not all their own."""
    rng = generator(seed, "resample")
    if available != wanted:
        return torch.randint(available, (wanted,), generator=rng, device="cpu")
    own = torch.arange(available, device="cpu")
    drawn = torch.randperm(available, generator=rng, device="cpu")
    while available > 1 and torch.equal(drawn, own):  # happens half of the time for 2 examples
        drawn = torch.randperm(available, generator=rng, device="cpu")
    return drawn
