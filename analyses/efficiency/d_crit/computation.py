"""Three estimates of D_crit from three kinds of runs on one task."""

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
    """Three estimates of D_crit, whether they agree, and the curves they come from.

    Args:
        cost_runs: from ``model_efficiency.runs.collect_runs``.
        starts: grokked runs, from ``ungrokking.collect_runs``.
        reduced_runs: the runs that continued ``starts`` with less data, from the same.
        time_runs: runs on several train fractions, such as ``semi_grokking.wanted``.

    Returns:
        The table of ``agreement.compute`` over "estimator"; the ``reason`` of the ungrokking
        midpoint counts the runs that have no plateau, of which the last accuracies are used. The
        curves over training pairs: ``memorising`` and ``generalising`` (seed, size), the least
        norm at a common margin; ``final`` (reduced_seed, reduced_size), validation accuracy after
        training on; ``time`` (time_seed, time_size), steps to 90 % validation accuracy, NaN where
        it was not reached by step ``budget``. Attribute ``task``: network and weight decay, in
        words.

    Raises:
        ValueError: the runs are not all of one network, operation, modulus and weight decay.

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
    crossing = efficiency_crossing(
        curves["size"].values, curves.memorising.values, curves.generalising.values
    )
    midpoint = _with_unfinished(ungrokking_midpoint(reduced.n_train.values, final), reduced)
    divergence = divergence_of_time(grokking.n_train.values, time, ~np.isnan(time), budget)
    estimates = {
        "efficiency crossing": crossing,
        "ungrokking midpoint": midpoint,
        "divergence of time": divergence,
    }
    table = agreement.compute(estimates, n_pairs=cost_runs[0].config.data.p ** 2)
    sizes = {"reduced_size": reduced.n_train.values, "time_size": grokking.n_train.values}
    return (
        table.assign_coords(sizes)
        .assign(
            memorising=curves.memorising,
            generalising=curves.generalising,
            final=(("reduced_seed", "reduced_size"), final),
            time=(("time_seed", "time_size"), time),
            budget=(("time_seed", "time_size"), budget),
        )
        .assign_attrs(task=task)
    )


def _with_unfinished(found: CriticalSize, reduced: xr.Dataset) -> CriticalSize:
    """The estimate; its reason says how many accuracies are not on a plateau."""
    exists = reduced.last_step.notnull()
    unfinished = int((exists & ~reduced.flat).sum())
    if np.isnan(found.value) or not unfinished:
        return found
    said = f"{unfinished} of {int(exists.sum())} runs have no plateau and count as they ended"
    return dataclasses.replace(found, reason="; ".join(filter(None, (found.reason, said))))


def _one_task(runs: Sequence[gi.Run]) -> str:
    """Network, operation, modulus and weight decay of all runs, in words."""
    found = sorted({_task(run.config) for run in runs})
    if len(found) != 1:
        raise ValueError(
            f"runs are of different tasks: {'; '.join(found)}. D_crit depends on all of these; "
            "give runs that share them"
        )
    return found[0]


def _task(config: gi.RunConfig) -> str:
    network, operation = network_of(config), config.data.operation
    return (
        f"{NETWORK_LABEL.get(network, network)}, {getattr(operation, 'name', operation)}, "
        f"p = {config.data.p}, weight decay {config.training.weight_decay:g}"
    )
