"""The outcome of every run, judged after several numbers of steps."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.efficiency.histories import side_by_side
from analyses.statistics.curves import Outcome, outcome
from analyses.statistics.over_runs import crossings, median_times
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW
from analyses.statistics.wilson import wilson_interval
from grokinterp import Run

_EARLY = 0.5  # share of the steps after which runs are judged for the first time


def compute(runs: Sequence[Run], *, budgets: Sequence[int] | None = None) -> xr.Dataset:
    """The outcome of every run, judged after part of its steps and after all of them.

    Args:
        runs: of any networks, training fractions and seeds, one run for each combination.
        budgets: steps after which to judge; None: half of the longest run, and all of it.

    Returns:
        Dataset over "network", "fraction" and "seed": ``test_accuracy`` (..., step), 0..1;
        ``crossing``, the step from which it is at least 90 % for 5 evaluated steps, NaN if there
        is none by ``last_step``; and, also over "budget":

        * ``outcome`` (..., seed): a ``statistics.curves.Outcome``, "" where there is no run. What
          looks semi-grokked counts as unfinished until it has trained three times as long as the
          next larger fraction needs. That is the Kaplan-Meier median ``crossing_median`` (network,
          budget, fraction) of the next larger fraction for which it is finite, or of its own
          fraction if there is none;
        * ``last`` (..., seed): the last accuracy; ``looks_semi``: whether it lies between 10 and
          90 %, which is how the published figure is read;
        * ``share`` (..., ending): share of the seeds with each outcome, and ``overall`` (network,
          budget, ending): of all runs; each with ``_low`` and ``_high``, Wilson's 95 % interval.

    Raises:
        ValueError: no runs, two runs for one combination, or a budget that no run reaches.

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
    """Steps and test accuracy of one run up to a step, where this run was evaluated."""
    curve = data.test_accuracy[at].sel(step=slice(None, budget)).dropna("step")
    return curve.step.values, curve.values


def _judge(data: xr.Dataset, budget: int) -> xr.Dataset:
    """The results of :func:`compute` for one budget, from nothing that happened later."""
    curves = data.test_accuracy.sel(step=slice(None, budget))
    crossing = crossings(curves, GENERALISED_FROM)
    medians = median_times(crossing, data.last_step.clip(max=budget))["median"]
    ends = xr.full_like(crossing, "", dtype=object)
    last = xr.full_like(crossing, np.nan)
    for at in np.argwhere(data.last_step.notnull().values).tolist():
        network, fraction, _ = cell = tuple(at)
        # The largest fraction has no neighbour, so a fraction's own median comes last.
        larger = medians.values[network, fraction + 1 :]
        neighbours = np.append(larger, medians.values[network, fraction])
        next_time = next(iter(neighbours[np.isfinite(neighbours)]), None)
        ends[cell], last[cell] = _end(data, cell, budget, next_time)
    count = data.last_step.notnull().sum("seed")
    known = xr.concat([(ends == str(end)).astype(int) for end in Outcome], dim="ending")
    shares = _with_interval("share", known.sum("seed"), count)
    shares |= _with_interval("overall", known.sum(("fraction", "seed")), count.sum("fraction"))
    return xr.Dataset(
        {
            "outcome": ends.astype(str),
            "last": last,
            "looks_semi": (last >= NOT_GENERALISED_BELOW) & (last < GENERALISED_FROM),
            "crossing_median": medians,
        }
        | shares,
        coords={"ending": [str(end) for end in Outcome]},
    )


def _with_interval(name: str, counts: xr.DataArray, runs: xr.DataArray) -> dict[str, xr.DataArray]:
    """A share of the runs with its Wilson interval, by name; NaN where there are no runs."""
    share, runs = xr.broadcast(counts / runs.where(runs > 0), runs)
    low, high = (share.copy(data=end) for end in wilson_interval(share.values, runs.values))
    return {name: share, f"{name}_low": low, f"{name}_high": high}


def _end(
    data: xr.Dataset, at: tuple[int, ...], budget: int, next_time: float | None
) -> tuple[str, float]:
    """A run's outcome and its last accuracy."""
    steps, values = _curve(data, at, budget)
    # The history of a diverged run simply ends; nothing in it says why.
    diverged = bool(data.diverged[at]) and data.last_step[at] < budget
    enough = len(steps) > 1  # for a curve
    end = outcome(steps, values, next_time) if enough else Outcome.UNFINISHED
    if diverged and end != Outcome.GROKKED:
        end = Outcome.DIVERGED
    return str(end), float(values[-1]) if len(values) else np.nan
