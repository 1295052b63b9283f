"""Three estimates of D_crit from three kinds of runs on one task, and whether they agree."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency import model_efficiency, semi_grokking, ungrokking
from analyses.efficiency.d_crit import assumptions
from analyses.efficiency.histories import NETWORK_LABEL, network_of
from analyses.efficiency.model_efficiency.trend import cost_curves
from analyses.statistics import agreement
from analyses.statistics.critical_size import CriticalSize, midpoint_places
from analyses.statistics.joint import ESTIMATORS, Experiments, joint_test
from analyses.statistics.over_runs import budgets


def compute(
    cost_runs: Sequence[gi.Run],
    starts: Sequence[gi.Run],
    reduced_runs: Sequence[gi.Run],
    time_runs: Sequence[gi.Run],
    *,
    n_boot: int = 1000,
) -> xr.Dataset:
    """Three estimates of D_crit, whether they agree, and the curves they come from.

    Args:
        cost_runs: on the task's and on random labels, over fractions and seeds.
        starts: grokked runs.
        reduced_runs: the runs that continued ``starts`` with less data.
        time_runs: runs on several train fractions, of which the time to grok is read. All four:
            from ``runs.collect_runs``.
        n_boot: resamples of the joint test.

    Returns:
        The table of ``agreement.compute`` over "estimator"; the ``reason`` of the efficiency
        crossing says below which size the cost of generalising is assumed, that of the ungrokking
        midpoint counts the runs that have no plateau, of which the last accuracies are used. From
        the joint test (one seed: none): over "pair" ``ratio``, ``ratio_low``, ``ratio_high``;
        ``p`` of equality, ``within``, the largest ratio that is possible, and ``seeds_needed``
        (NaN unless all three estimates exist). The curves over "seed" and training pairs:
        ``memorising`` and ``generalising`` (size), the least norm at a common margin, and
        ``extended``, whether the latter is assumed and not measured; ``final`` (reduced_size),
        validation accuracy after training on; ``time`` (time_size), steps to 90 % validation
        accuracy, NaN where it was not reached by step ``budget``. What ``assumptions.compute``
        returns. Attributes: ``task``, network and weight decay in words; ``sentence``, whether the
        estimates agree; ``verdict``.

    Raises:
        ValueError: the runs are not all of one network, operation, modulus and weight decay.

    Source: second paper, sections 4.2 and 5; Varma et al. 2023, arXiv:2309.02390.
    """
    task = _one_task([*cost_runs, *starts, *reduced_runs, *time_runs])
    circuits = model_efficiency.compute(cost_runs)
    curves = cost_curves(circuits)
    reduced = ungrokking.compute(reduced_runs, starts)
    reduced = reduced.sel(moments="fresh").squeeze(["network", "weight_decay"])
    grokking = semi_grokking.compute(time_runs).squeeze("network")
    measured = _by_seed(curves, reduced, grokking)
    estimates, joint = _estimates(measured, n_boot)
    crossing, midpoint = ESTIMATORS[:2]
    estimates[crossing] = _with_assumed(estimates[crossing], measured.extended)
    estimates[midpoint] = _with_unfinished(estimates[midpoint], reduced)
    table = agreement.compute(estimates, n_pairs=cost_runs[0].config.data.p ** 2)
    found = table.assign_attrs(joint.attrs | {"task": task}).merge(joint).merge(measured)
    midpoints = _midpoints(measured, exist=not np.isnan(estimates[midpoint].value))
    tests = assumptions.compute(circuits, curves, midpoints, measured.time)
    return found.merge(tests)


def _by_seed(curves: xr.Dataset, reduced: xr.Dataset, grokking: xr.Dataset) -> xr.Dataset:
    """The curves of all experiments [seed, size] for the same seeds, NaN where there is no run."""
    final = reduced.final.assign_coords(fraction=reduced.n_train.values)
    times = grokking.assign_coords(fraction=grokking.n_train.values)
    budget = budgets(times.last_step)
    parts = {
        "memorising": curves.memorising,
        "generalising": curves.generalising,
        "extended": curves.extended,
        "final": final.rename(fraction="reduced_size"),
        "time": times.crossing.rename(fraction="time_size"),
        "budget": budget.rename(fraction="time_size"),
    }
    bare = {
        name: part.reset_coords(drop=True).transpose("seed", ...) for name, part in parts.items()
    }
    found = xr.Dataset(bare)  # over the seeds of all
    return found.assign(extended=found.extended.fillna(False).astype(bool))


def _midpoints(measured: xr.Dataset, *, exist: bool) -> list[float]:
    """The ungrokking midpoint of each seed; NaN for a seed without runs, or if none exists."""
    sizes, final, once = measured.reduced_size.values, measured.final.values, np.ones((1, 1), int)
    return [
        float(np.exp(midpoint_places(sizes, row[None], once)[0]))
        if exist and not np.isnan(row).all()
        else np.nan
        for row in final
    ]


def _estimates(measured: xr.Dataset, n_boot: int) -> tuple[dict[str, CriticalSize], xr.Dataset]:
    """Each estimate, and the result of the joint test as a dataset."""
    rows = {str(name): measured[name].values for name in measured.data_vars}
    experiments = Experiments(
        cost_sizes=measured["size"].values,
        memorising=rows["memorising"],
        generalising=rows["generalising"],
        reduced_sizes=measured.reduced_size.values,
        accuracy=rows["final"],
        time_sizes=measured.time_size.values,
        times=rows["time"],
        finished=~np.isnan(rows["time"]),
        budget=rows["budget"],
    )
    if experiments.seeds < 2:
        said = {"sentence": "Cannot tell: one seed has no interval.", "verdict": "cannot tell"}
        return experiments.estimates(), xr.Dataset(dict.fromkeys(_JOINT, np.nan), attrs=said)
    test = joint_test(experiments, n_boot=n_boot)
    complete = len(test.ratios) == len(ESTIMATORS)
    values = (test.p_value, test.within, test.seeds_needed)
    found = xr.Dataset(
        dict(zip(_JOINT, values if complete else [np.nan] * 3, strict=True))
        | {
            name: ("pair", [getattr(ratio, part) for ratio in test.ratios])
            for name, part in (("ratio", "value"), ("ratio_low", "low"), ("ratio_high", "high"))
        },
        coords={"pair": [f"{ratio.larger} / {ratio.smaller}" for ratio in test.ratios]},
        attrs={"sentence": str(test), "verdict": test.verdict},
    )
    return dict(test.estimates), found


_JOINT = ("p", "within", "seeds_needed")


def _with_assumed(found: CriticalSize, extended: xr.DataArray) -> CriticalSize:
    """The estimate; its reason says below which size the cost of generalising is assumed."""
    measured = extended["size"].where(~extended.all("seed"), drop=True)
    if np.isnan(found.value) or not extended.any() or not measured.size:
        return found
    said = f"what C_gen costs below {int(measured.min())} pairs is assumed"
    return dataclasses.replace(found, reason="; ".join(filter(None, (found.reason, said))))


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
