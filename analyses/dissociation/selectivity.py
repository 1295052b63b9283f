"""From pruning curves to numbers: how selectively an ability is lost when some units go.

Two abilities are measured: answering unseen pairs (test accuracy) and giving back the wrong labels
that training showed (accuracy on changed labels). Each can be lost down to chance, 1 / p. The
selectivity of a removal is the share of the one that is lost, less the share of the other:

- S_mem, of the least periodic units: lost of the changed labels, less lost of the test accuracy;
- S_gen, of the most periodic units: the reverse.

1 means that one ability is gone and the other untouched, 0 that both suffer alike. If S_mem and
S_gen are both high, the two abilities sit in different units: a double dissociation (Shallice
1988, From Neuropsychology to Mental Structure, ch. 10).

Examples:
    >>> import numpy as np
    >>> from analyses.dissociation.selectivity import selectivity
    >>> removed = np.array([0, 50, 100])  # units
    >>> changed, test = np.array([1.0, 0.2, 0.0]), np.array([1.0, 0.9, 0.0])  # accuracies
    >>> best = selectivity(removed, goes=changed, stays=test, chance=0.0)
    >>> best.removed, round(best.score, 3)  # 0.8 is lost of the one, 0.1 of the other
    (50, 0.7)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

ABILITIES = ("test", "changed")


@dataclass(frozen=True, kw_only=True)
class Selectivity:
    """The removal that is most selective, along one order of units."""

    score: float  # -1..1; NaN for a network that lacks an ability
    place: int  # which of the removals it is
    removed: int  # units that are gone there


def lost(accuracy: np.ndarray, *, chance: float) -> np.ndarray:
    """Share of what the whole network has above chance that is lost after each removal.

    Args:
        accuracy: after each removal, the first entry with nothing removed.
        chance: the accuracy of a guess.

    Returns:
        0 for nothing lost, 1 for all; NaN for a network no better than chance.
    """
    had = accuracy[0] - chance
    if not had > 0:
        return np.full(len(accuracy), np.nan)
    return np.clip((accuracy[0] - accuracy) / had, 0.0, 1.0)


def gap(goes: np.ndarray, stays: np.ndarray, *, chance: float) -> np.ndarray:
    """Selectivity after each removal: the share lost of what should go, less that of what stays.

    Args:
        goes: accuracy, after each removal, of the ability that should go.
        stays: of the ability that should stay.
        chance: the accuracy of a guess.
    """
    return lost(goes, chance=chance) - lost(stays, chance=chance)


def selectivity(
    removed: np.ndarray, goes: np.ndarray, stays: np.ndarray, *, chance: float
) -> Selectivity:
    """The most selective removal of an order, of all that were measured: see :func:`gap`.

    Args:
        removed: how many units are gone, from 0.
        goes: accuracies of the ability that should go.
        stays: of the ability that should stay.
        chance: the accuracy of a guess.
    """
    gaps = gap(goes, stays, chance=chance)
    if np.isnan(gaps).any():
        return Selectivity(score=np.nan, place=0, removed=0)
    best = int(gaps.argmax())  # the fewest removals, of equals
    return Selectivity(score=float(gaps[best]), place=best, removed=int(removed[best]))


def best_cut(
    low: tuple[np.ndarray, Mapping[str, np.ndarray]],
    high: tuple[np.ndarray, Mapping[str, np.ndarray]],
    *,
    chance: float,
) -> tuple[int, float]:
    """Where to cut the units in two, and S_mem + S_gen of the two halves there.

    The same cut for both: the k least periodic units go and the others stay, and then the other
    way round. Accuracies between measured removals are interpolated.

    Args:
        low: how many units are gone, from none to all, and the "test" and "changed" accuracies
            then, with the least periodic units removed first.
        high: the same with the most periodic ones removed first.
        chance: the accuracy of a guess.

    Returns:
        k, the number of least periodic units on the one side, and the sum (-2..2).
    """
    units = int(low[0][-1])
    cuts = np.arange(units + 1)

    def at(curve: tuple[np.ndarray, Mapping[str, np.ndarray]], gone: np.ndarray) -> Any:
        removed, accuracy = curve
        return {
            ability: np.interp(gone, removed, lost(accuracy[ability], chance=chance))
            for ability in ABILITIES
        }

    # With the k least periodic units left, the units - k most periodic are gone.
    forward, backward = at(low, cuts), at(high, units - cuts)
    total = forward["changed"] - forward["test"] + backward["test"] - backward["changed"]
    if np.isnan(total).any():
        return 0, np.nan
    best = int(total.argmax())
    return best, float(total[best])
