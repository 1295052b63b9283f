"""Three estimates of D_crit from three kinds of runs of one task."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency import model_efficiency, semi_grokking, ungrokking
from analyses.efficiency.histories import NETWORK_LABEL, network_of
from analyses.efficiency.model_efficiency.trend import cost_curves
from analyses.statistics import agreement
from analyses.statistics.critical_size import (
    CriticalSize,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)
from analyses.statistics.over_runs import budgets


def compute(
    cost_runs: Sequence[gi.Run],
    starts: Sequence[gi.Run],
    reduced_runs: Sequence[gi.Run],
    time_runs: Sequence[gi.Run],
) -> xr.Dataset:
    """Three estimates of D_crit, whether they agree, and the curves that they come from.

    Args:
        cost_runs: of ``model_efficiency.runs.collect_runs``.
        starts: grokked runs of ``ungrokking.collect_runs``.
        reduced_runs: and what continued them.
        time_runs: over train fractions, as of ``semi_grokking.collect_runs``.

    Returns:
        The table of ``agreement.compute`` over "estimator"; the midpoint's ``reason`` counts the
        runs that have no plateau and are read where they ended. The curves over training pairs:
        ``memorising`` and ``generalising`` (seed, size), the least norm at a common margin;
        ``final`` (reduced_seed, reduced_size), validation accuracy after training on;
        ``time`` (time_seed, time_size) to 90 % validation accuracy, in steps, NaN where a run had
        not got there by ``budget``. Attribute ``task``: network and weight decay, in words.

    Raises:
        ValueError: the runs are not of one network, operation, modulus and weight decay.

    Source: second paper, sections 4.2 and 5; Varma et al. 2023, arXiv:2309.02390.
    """
    task = _one_task([*cost_runs, *starts, *reduced_runs, *time_runs])
    curves = cost_curves(model_efficiency.compute(cost_runs))
    reduced = ungrokking.compute(reduced_runs, starts)
    reduced = reduced.sel(moments="fresh").squeeze(["network", "weight_decay"])
    grokking = semi_grokking.compute(time_runs).squeeze("network")
    final = reduced.final.transpose("seed", "fraction").values
    time = grokking.crossing.transpose("seed", "fraction").values
    budget = budgets(grokking.last_step).transpose("seed", "fraction").values
    estimates: dict[str, CriticalSize] = {
        "efficiency crossing": efficiency_crossing(
            curves["size"].values, curves.memorising.values, curves.generalising.values
        ),
        "ungrokking midpoint": _with_unfinished(
            ungrokking_midpoint(reduced.n_train.values, final), reduced
        ),
        "divergence of time": divergence_of_time(
            grokking.n_train.values, time, ~np.isnan(time), budget
        ),
    }
    table = agreement.compute(estimates, n_pairs=cost_runs[0].config.data.p ** 2)
    return table.assign(
        memorising=curves.memorising,
        generalising=curves.generalising,
        final=(("reduced_seed", "reduced_size"), final),
        time=(("time_seed", "time_size"), time),
        budget=(("time_seed", "time_size"), budget),
    ).assign_coords(
        reduced_size=reduced.n_train.values, time_size=grokking.n_train.values
    ).assign_attrs(task=task)  # fmt: skip


def _with_unfinished(found: CriticalSize, reduced: xr.Dataset) -> CriticalSize:
    """The estimate, and how many of its accuracies are no plateaus."""
    exists = reduced.last_step.notnull()
    unfinished = int((exists & ~reduced.flat).sum())
    if np.isnan(found.value) or not unfinished:
        return found
    said = f"{unfinished} of {int(exists.sum())} runs have no plateau and count as they ended"
    return dataclasses.replace(found, reason="; ".join(filter(None, (found.reason, said))))


def _one_task(runs: Sequence[gi.Run]) -> str:
    found = sorted({
        f"{NETWORK_LABEL.get(network_of(c), network_of(c))}, "
        f"{getattr(c.data.operation, 'name', c.data.operation)}, p = {c.data.p}, weight decay "
        f"{c.training.weight_decay:g}"
        for c in (run.config for run in runs)
    })  # fmt: skip
    if len(found) != 1:
        raise ValueError(
            f"runs are of different tasks: {'; '.join(found)}. D_crit depends on all of these; "
            "take runs that share them"
        )
    return found[0]
