"""How runs ended, judged at several budgets."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.efficiency.histories import side_by_side
from analyses.statistics.curves import Outcome, outcome
from analyses.statistics.over_runs import crossings, median_times
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW
from grokinterp import Run

_EARLY = 0.5  # of the steps, after which runs are judged for the first time


def compute(runs: Sequence[Run], *, budgets: Sequence[int] | None = None) -> xr.Dataset:
    """How runs ended, judged when they had trained for a part of their steps and for all.

    Args:
        runs: of any networks, training fractions and seeds; no two of one cell.
        budgets: steps after which to judge; None: a half of the longest run, and all of it.

    Returns:
        Dataset over "network", "fraction" and "seed": ``test_accuracy`` (..., step), 0..1;
        ``crossing`` in steps, of 90 % for 5 evaluated rows in a row, NaN where not by
        ``last_step``; and, over "budget" too:

        * ``outcome`` (..., seed): of ``statistics.curves.Outcome``, "" for no run.
          What would be "semi-grokked" is "unfinished" until three times the Kaplan-Meier median
          ``crossing_median`` (network, budget, fraction) of the next larger fraction for which it
          is finite, or of its own fraction if there is none;
        * ``last`` (..., seed): accuracy at the last row, and ``looks_semi``, whether that is
          between 10 and 90 %, which is how the published figure is read;
        * ``share`` (..., ending) of the seeds with each outcome.

    Raises:
        ValueError: no runs, two of one cell, or a budget that no run reaches.

    Source: second paper, Fig. 9 and section 4.2. There "semi-grokking" is read off the last value.
    """
    data = side_by_side(runs, ("network", "fraction", "seed"))
    longest = int(data.last_step.max())
    budgets = sorted(budgets or {max(1, round(longest * _EARLY)), longest})
    if not 0 < budgets[0] <= budgets[-1] <= longest:
        raise ValueError(f"budgets must lie in 1..{longest}, the steps of the runs; got {budgets}")
    judged = xr.concat([_judge(data, budget) for budget in budgets], dim="budget")
    return xr.Dataset(
        {name: data[name] for name in ("test_accuracy", "last_step", "n_train", "chance")}
        | {"crossing": crossings(data.test_accuracy, GENERALISED_FROM)}
        | dict(judged.items()),
        coords={"budget": budgets},
    )


def _curve(data: xr.Dataset, at: tuple[int, ...], budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and test accuracy of one run up to a step, without rows that are other runs'."""
    curve = data.test_accuracy[at].sel(step=slice(None, budget)).dropna("step")
    return curve.step.values, curve.values


def _judge(data: xr.Dataset, budget: int) -> xr.Dataset:
    """Everything :func:`compute` says about one budget, knowing nothing that happened later."""
    curves = data.test_accuracy.sel(step=slice(None, budget))
    crossing = crossings(curves, GENERALISED_FROM)
    medians = median_times(crossing, data.last_step.clip(max=budget))["median"]
    ends = xr.full_like(crossing, "", dtype=object)
    last = xr.full_like(crossing, np.nan)
    for at in np.argwhere(data.last_step.notnull().values):
        network, fraction, _ = cell = tuple(at)
        # Its own comes last, which is what the largest fraction has.
        larger = medians.values[network, fraction + 1 :]
        neighbours = np.append(larger, medians.values[network, fraction])
        next_time = next(iter(neighbours[np.isfinite(neighbours)]), None)
        ends[cell], last[cell] = _end(data, cell, budget, next_time)
    count = data.last_step.notnull().sum("seed")
    shares = [(ends == str(end)).sum("seed") / count.where(count > 0) for end in Outcome]
    return xr.Dataset(
        {
            "outcome": ends.astype(str),
            "last": last,
            "looks_semi": (last >= NOT_GENERALISED_BELOW) & (last < GENERALISED_FROM),
            "crossing_median": medians,
            "share": xr.concat(shares, dim="ending"),
        },
        coords={"ending": [str(end) for end in Outcome]},
    )


def _end(
    data: xr.Dataset, at: tuple[int, ...], budget: int, next_time: float | None
) -> tuple[str, float]:
    """A run's outcome and its last accuracy."""
    steps, values = _curve(data, at, budget)
    # The history of a run that diverged ends without a mark.
    diverged = bool(data.diverged[at]) and data.last_step[at] < budget
    enough = len(steps) > 1  # for a curve
    end = outcome(steps, values, next_time) if enough else Outcome.UNFINISHED
    if diverged and end != Outcome.GROKKED:
        end = Outcome.DIVERGED
    return str(end), float(values[-1]) if len(values) else np.nan
