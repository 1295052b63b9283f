"""Functions of one training curve: sustained crossing of a level, flatness, outcome.

A curve has a row for every evaluated step; the spacing does not matter. NaN marks a diverged run;
it is below every level and never flat. But a run that stopped early because it diverged has a
shorter history without NaN, so check ``run.diverged_at`` before asking for an outcome.

Examples:
    >>> import numpy as np
    >>> from analyses.statistics.curves import outcome, sustained_crossing
    >>> steps = np.arange(0, 1000, 50)
    >>> accuracy = np.where(steps < 400, 0.1, 0.99)
    >>> accuracy[3] = 0.95  # a jump that does not last
    >>> sustained_crossing(steps, accuracy, 0.9)
    400.0
    >>> print(outcome(steps, accuracy))
    grokked
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW
from grokinterp.checks import check_int, check_number

Curve = Sequence[int | float] | np.ndarray

_LONG_ENOUGH = 3  # times the median time to grok of the next larger training set


class Outcome(StrEnum):
    """How a run's generalisation ended, see :func:`outcome`."""

    GROKKED = "grokked"
    SEMI_GROKKED = "semi-grokked"
    NOT_GENERALISED = "not generalised"
    UNFINISHED = "unfinished"
    DIVERGED = "diverged"


def sustained_crossing(steps: Curve, values: Curve, level: float, rows: int = 5) -> float:
    """First step of the first ``rows`` consecutive rows at or above ``level``.

    One row above is not enough: accuracies of transformers jump and collapse around grokking.

    Args:
        steps: increasing, in updates.
        values: the curve at these steps.
        level: in the units of ``values``.
        rows: how many consecutive rows.

    Returns:
        A step; NaN if the level was not crossed. The crossing time is then censored: if there is
        one, it is larger than the last step, or one of the last ``rows - 1``.
    """
    steps, values = _curve(steps, values)
    check_int("rows", rows, minimum=1)
    if len(values) < rows:
        return float("nan")
    above = np.lib.stride_tricks.sliding_window_view(values >= level, rows).all(axis=1)
    return float(steps[above.argmax()]) if above.any() else float("nan")


def is_flat(steps: Curve, values: Curve, share: float = 0.3, points: float = 0.02) -> bool:
    """Whether a curve changes by less than ``points`` over the last ``share`` of its steps.

    The last part is cut into thirds of equal length. The change is the range of the three medians,
    scaled from the distance between the first and the last median (in steps) to the length of the
    part. This is exact for a line, ignores dips of a few rows and detects a hump.

    Args:
        steps: increasing, in updates.
        values: the curve at these steps.
        share: of the steps from the first to the last, in (0, 1).
        points: in the units of ``values``; 0.02 is two points of accuracy.

    Returns:
        False also where it is undecided: a third without rows, or a NaN.
    """
    steps, values = _curve(steps, values)
    start, late = _late(steps, share)
    third = np.minimum((3 * (steps - start) / (steps[-1] - start)).astype(int), 2)[late]
    if len(np.unique(third)) < 3:
        return False
    medians = [np.median(values[late][third == i]) for i in range(3)]
    first, last = (np.median(steps[late][third == i]) for i in (0, 2))
    change = np.ptp(medians) * (steps[-1] - start) / (last - first)
    return bool(change < points)


def late_level(steps: Curve, values: Curve, share: float = 0.3) -> float:
    """Median over the last ``share`` of the steps, so that one late collapse does not matter.

    NaN if any of these values is NaN.
    """
    steps, values = _curve(steps, values)
    return float(np.median(values[_late(steps, share)[1]]))


def halving_step(steps: Curve, loss: Curve, factor: float = 2.0) -> float:
    """First evaluated step at which a loss is at most its first value / ``factor``; NaN if none.

    Args:
        steps: increasing, in updates.
        loss: positive at the first row.
        factor: larger than 1: 2 for half, 10 for a tenth.
    """
    steps, loss = _curve(steps, loss)
    check_number("factor", factor, minimum=1.0, strict=True)
    fallen = loss <= loss[0] / factor
    return float(steps[fallen.argmax()]) if fallen.any() else float("nan")


def outcome(
    steps: Curve,
    test_accuracy: Curve,
    next_time: int | float | None = None,
    *,
    grokked: float = GENERALISED_FROM,
    chance: float = NOT_GENERALISED_BELOW,
) -> Outcome:
    """How a run ended; this distinguishes runs that have not grokked *yet* from those that stay.

    The first that applies:

    - "grokked": test accuracy stayed at or above ``grokked`` for 5 rows. What happens later does
      not matter, since collapses after grokking are common.
    - "diverged": the last value is NaN.
    - "unfinished": the curve is not flat (:func:`is_flat`), or the run is shorter than 3 times
      ``next_time``. Flatness alone is not enough, since curves are flat for long before grokking.
    - "not generalised": flat below ``chance``. "semi-grokked": flat between ``chance`` and
      ``grokked``. A curve that is flat above ``grokked`` for fewer than 5 rows is "unfinished".

    Args:
        steps: increasing, in updates.
        test_accuracy: in 0..1 at these steps.
        next_time: median steps to grok of the next larger training set that groks; infinite or NaN
            if it was not reached; None does not check the run's length.
        grokked: accuracy from which a run has generalised.
        chance: accuracy below which it has not generalised at all.

    Source: the censoring rules for Fig. 9 of "Towards Understanding Grokking Phenomenon via Model
    and Training Efficiency" (2023), whose runs end within 3 % of the step at which the next larger
    fraction groks.
    """
    steps, values = _curve(steps, test_accuracy)
    if not 0 <= chance < grokked <= 1:
        raise ValueError(
            "chance and grokked are accuracies with 0 <= chance < grokked <= 1, got "
            f"chance={chance}, grokked={grokked}"
        )
    if not np.isnan(sustained_crossing(steps, values, grokked)):
        return Outcome.GROKKED
    if np.isnan(values[-1]):
        return Outcome.DIVERGED
    too_short = next_time is not None and not steps[-1] >= _LONG_ENOUGH * next_time
    if too_short or not is_flat(steps, values):
        return Outcome.UNFINISHED
    level = late_level(steps, values)
    if level < chance:
        return Outcome.NOT_GENERALISED
    return Outcome.SEMI_GROKKED if level < grokked else Outcome.UNFINISHED


def _late(steps: np.ndarray, share: float) -> tuple[float, np.ndarray]:
    """The step at which the last ``share`` of the steps starts, and a mask of its rows."""
    check_number("share", share, minimum=0.0, below=1.0, strict=True)
    start = steps[-1] - share * (steps[-1] - steps[0])
    return start, steps >= start - 1e-9 * abs(start)  # rounding must not lose its first row


def _curve(steps: Curve, values: Curve) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if steps.ndim != 1 or steps.shape != values.shape or len(steps) < 2:
        raise ValueError(
            "a curve needs at least two rows of steps and values, got shapes "
            f"{steps.shape} and {values.shape}"
        )
    if not (np.diff(steps) > 0).all():
        raise ValueError("steps must increase; sort the rows and drop repeated ones")
    return steps, values
