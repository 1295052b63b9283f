"""The second paper's experiments, run as registered, and what the ledger reads from their results.

Each function runs one experiment in ``work``, where it keeps its networks and goes on after an
interrupt, and adds to its dataset what entries compare.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analyses.efficiency.d_crit import runs as d_crit_runs
from analyses.efficiency.model_efficiency import runs as efficiency_runs
from analyses.efficiency.model_efficiency import trend
from analyses.pages.finding import Finding
from analyses.registry import resolve
from analyses.statistics.curves import Outcome
from analyses.statistics.over_runs import first_steps, median_times
from analyses.statistics.thresholds import TIMED_AT
from analyses.statistics.wilson import wilson_interval

LEVELS = (0.5, 0.9, 0.99)
_POINTS = 120  # of a stored curve, at evenly spaced logarithms of the step
_MEM, _GEN = "random labels, equal step", "C_gen, validation high"  # are what they say
_LIMITED = 0.05  # largest validation accuracy of a validated C_mem
_GENERALISES_FROM = 0.5  # fraction with which all small networks find the rule


def findings(name: str, work: Path, **options: Any) -> list[Finding]:
    """Run an experiment of the registry and return what it found."""
    steps = resolve("experiment", name)(out=work, **options)
    return [step for step in steps if isinstance(step, Finding)]


def grokking(
    *,
    seeds: int,
    work: Path,
    size: str,
    network: str | None = None,
    fraction: float | None = None,
) -> xr.Dataset:
    """Figs. 1-3, over "network", "fraction", "seed", "split" and "level".

    ``first_step``: first evaluated step at a level, NaN if never; ``late``, 1 if validation never
    reaches 90 %; ``final`` and ``best`` accuracy; ``test_at_learned``; ``delay``; ``lowest_after``
    99 % validation accuracy; ``plateau``, the median validation accuracy from step 600, as in the
    published figures, to half of the step at which it reaches .9; ``accuracy`` (..., step),
    thinned. Without seeds: ``time`` (network, fraction, split), the Kaplan-Meier median step of
    99 %, and (network, fraction) ``typical_delay`` and ``typical_waiting``, the median over seeds
    of :func:`waiting`.

    Args:
        seeds: how many.
        work: a folder.
        size: one of the experiment's.
        network: only this one.
        fraction: only this one.
    """
    options: dict[str, Any] = {
        "network": network and [network],
        "fraction": fraction and [fraction],
    }
    data = findings("grokking_across", work, size=size, seeds=seeds, **options)[0].data
    accuracy = data.accuracy
    level = xr.DataArray(list(LEVELS), {"level": list(LEVELS)})
    above = accuracy >= level
    first = first_steps(above)
    test = accuracy.sel(split="test", drop=True)
    ripe = first.sel(split="test", level=0.9, drop=True).fillna(2 * data.last_step)
    plateau = test.where((test.step >= 600) & (test.step <= ripe / 2)).median("step")
    learned = first.sel(split="train", level=0.99, drop=True)
    after = test.where(test.step > first.sel(split="test", level=0.99, drop=True))
    time = median_times(data.crossing.sel(level=0.99), data.last_step)["median"]
    return xr.Dataset(
        {
            "first_step": first,
            "late": first.sel(split="test", level=0.9, drop=True).isnull().astype(float),
            "final": accuracy.isel(step=-1, drop=True),
            "best": accuracy.max("step"),
            "test_at_learned": data.test_at_learned,
            "delay": data.delay,
            "lowest_after": after.min("step"),
            "plateau": plateau,
            "accuracy": _thinned(accuracy),
            "time": time,
            "typical_delay": data.delay_median,
            "typical_waiting": waiting(test, learned, ripe).median("seed", skipna=False),
            "train_at_leaving": data.train_at_leaving,
        }
    )


def _thinned(curves: xr.DataArray) -> xr.DataArray:
    """Curves at evenly spaced logarithms of the step."""
    first, last = max(1, int(curves.step[1])), int(curves.step[-1])
    kept = np.unique(np.geomspace(first, last, _POINTS).round())
    return curves.sel(step=kept, method="nearest").drop_duplicates("step")


def waiting(test: xr.DataArray, learned: xr.DataArray, ripe: xr.DataArray) -> xr.DataArray:
    """Each run's validation accuracy between learning and generalising: its plateau, if it has one.

    The median from the step at which training has reached 99 % to half-way, in log time, to the
    step at which validation reaches 90 %. A run that generalises before has what validation has
    when training has learned; NaN if that never happens.

    Args:
        test: validation accuracy, over "step" and the axes of runs.
        learned: step of 99 % in training, NaN if never.
        ripe: step of 90 % in validation.
    """
    half_way = np.maximum(learned, np.sqrt(learned * ripe))
    return test.where((test.step >= learned) & (test.step <= half_way)).median("step")


def data_efficiency(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 4: the experiment's dataset, with ``first_fraction`` over settings, and their gains.

    Also ``by_seed`` (factor, rate, seed, reading), the mean over fractions, and ``told`` (factor,
    rate, reading): 1 if a change helps, -1 if it hurts, NaN if neither can be told.
    """
    data = without_text(findings("data_efficiency", work, size=size, seeds=seeds)[0].data)
    by_seed = data.accuracy.mean("fraction", skipna=False)
    return data.assign(by_seed=by_seed, told=data.helps.where(data.helps != 0))


def model_efficiency(
    *,
    seeds: int,
    work: Path,
    size: str,
    initial_scale: float = 1.0,
    fraction: Sequence[float] | None = None,
) -> xr.Dataset:
    """Fig. 6: norms and logits of all circuits, with the slopes of :mod:`trend`, and of each seed.

    ``norm``, of all parameters; ``norm_range``, the largest over the smallest mean norm of C_gen as
    published, over the published fractions, and ``norm_range_validated``, of a C_gen that is known
    to generalise, from half of the pairs on; NaN if a seed lacks it at some fraction.
    ``least_efficiency_ratio`` (seed): logit per norm of C_gen over that of C_mem, both as
    published, at the fraction where it is least. ``saving`` (measure, fraction, seed): what
    memorising random labels costs, over what generalising does. ``unused_share`` (circuit,
    fraction, seed): share of the squared norm that is in embedding rows of tokens that never occur.
    ``both_exist`` (fraction, seed): 1 if random labels are learned, with validation near chance,
    and the task's labels in training and validation. ``falls_and_flat``: 1 if the least norm rises
    with the data for random labels, and the interval of its slope for C_gen contains 0; NaN if the
    first cannot be told; ``steeper`` (seed), the difference of these slopes.
    """
    options = {"size": size, "seeds": seeds, "initial_scale": initial_scale, "fraction": fraction}
    data = findings("model_efficiency", work, **options)[0].data
    slopes = without_text(trend.compute(data))
    norm = data.cost.sel(measure="all parameters", drop=True)
    used = data.cost.sel(measure="used parameters", drop=True)
    per_norm = data.median_logit / norm
    ratio = _wide(
        per_norm.sel(circuit="C_gen", drop=True) / per_norm.sel(circuit="C_mem", drop=True)
    )
    least = slopes.sel(measure="least")
    memorising, generalising = (least.sel(circuit=name, drop=True) for name in (_MEM, _GEN))
    rises, falls = memorising.low > 0, memorising.high < 0
    flat = (generalising.low <= 0) & (generalising.high >= 0)
    return (
        without_text(data)
        .assign(
            norm=norm,
            norm_range=_range(_wide(norm.sel(circuit="C_gen", drop=True))),
            norm_range_validated=_range(
                _wide(norm.sel(circuit=_GEN, drop=True), _GENERALISES_FROM)
            ),
            least_efficiency_ratio=ratio.min("fraction", skipna=False),
            saving=data.cost.sel(circuit=_MEM, drop=True) / data.cost.sel(circuit=_GEN, drop=True),
            unused_share=1 - (used / norm) ** 2,
            both_exist=_both_exist(data),
            steeper=memorising.each - generalising.each,
            falls_and_flat=(rises & flat).astype(float).where(rises | falls),
            norm_by_percent=_by_percent(norm),
            logit_by_percent=_by_percent(data.median_logit),
            ratio_by_percent=_by_percent(per_norm),
        )
        .merge(slopes.rename({name: f"trend_{name}" for name in slopes}))
    )


def _wide(values: xr.DataArray, least: float = min(efficiency_runs.FRACTIONS)) -> xr.DataArray:
    """At the fractions from ``least`` on."""
    return values.sel(fraction=[f for f in values.fraction.values if f >= least])


def _range(values: xr.DataArray) -> xr.DataArray:
    """The largest over the smallest mean over seeds; NaN if a value is missing."""
    mean = values.mean("seed", skipna=False)
    return mean.max("fraction", skipna=False) / mean.min("fraction", skipna=False)


def _both_exist(data: xr.Dataset) -> xr.DataArray:
    """1 where a seed has a memorising and a generalising circuit by its accuracies, else 0."""
    random, task = (data.sel(circuit=name, drop=True) for name in ("random labels", "C_gen"))
    memorises = (random.train_accuracy >= TIMED_AT) & (random.test_accuracy <= _LIMITED)
    generalises = (task.train_accuracy >= TIMED_AT) & (task.test_accuracy >= TIMED_AT)
    return (memorises & generalises).astype(float)


def training_efficiency(
    *, seeds: int, work: Path, size: str, fraction: Sequence[float] | None = None
) -> xr.Dataset:
    """Section 4.1: steps to memorise random labels, to fit, and to generalise.

    With ``ratio_told`` (over, ...): the time to generalise over the others; where one of them was
    not reached, the bound on it by that run's last step, if this shows on which side of 1 it is.
    """
    options = {"size": size, "seeds": seeds, "fraction": fraction}
    data = without_text(findings("training_efficiency", work, **options)[0].data)
    return data.assign(ratio_told=told(data.ratio, data.ratio_above, data.ratio_below))


def told(ratio: xr.DataArray, above: xr.DataArray, below: xr.DataArray) -> xr.DataArray:
    """Ratios, or where they are unknown a bound that shows on which side of 1 they are; else NaN.

    Args:
        ratio: NaN where unknown.
        above: lower bounds; NaN where there is none.
        below: upper bounds.
    """
    return ratio.fillna(above.where(above >= 1)).fillna(below.where(below <= 1))


def ungrokking(
    *,
    seeds: int,
    work: Path,
    size: str,
    network: str,
    level: float | None = None,
    controls: bool = True,
) -> xr.Dataset:
    """Figs. 7 and 8: accuracy after training on with less data.

    The experiment's dataset without curves, over the seeds whose starts have grokked, and
    ``starts``, their number; ``percent_at`` (moments, network, weight_decay, level, seed): the
    percentage of all pairs at which final accuracy crosses .1, .5 and .9, linearly between
    fractions; ``shifted`` (moments, network): at how many weight decays the 50 % point is shown to
    be another than at the middle one, NaN if it is known at none; ``finished`` (moments, network,
    weight_decay): the share of runs that end on a plateau.
    """
    options = {"size": size, "seeds": seeds, "network": [network], "level": level}
    data = findings("ungrokking", work, **options, controls=controls)[0].data
    levels = [0.1, 0.5, 0.9]
    percent = xr.apply_ufunc(
        lambda final: np.array([_crossing(100 * data.fraction.values, final, at) for at in levels]),
        data.final,
        input_core_dims=[["fraction"]],
        output_core_dims=[["level"]],
        vectorize=True,
    ).assign_coords(level=levels)
    small = data.drop_vars([name for name in data.data_vars if "step" in data[name].dims])
    return without_text(small).assign(
        final_by_percent=_by_percent(data.final),
        percent_at=percent,
        starts=float(data.sizes["seed"]),
        shifted=data.shifts.sum("weight_decay", min_count=1),
        finished=1 - data.n_unfinished / data.n_runs,
    )


def _crossing(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Where y first crosses a level from below, linearly between points; NaN if nowhere."""
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    above = np.flatnonzero((y[:-1] < level) & (y[1:] >= level))
    if not len(above):
        return float("nan")
    i = above[0]
    return float(x[i] + (level - y[i]) / (y[i + 1] - y[i]) * (x[i + 1] - x[i]))


def semi_grokking(*, seeds: int, work: Path, size: str, network: str) -> xr.Dataset:
    """Fig. 9: outcomes near the critical amount of data, over "budget", "fraction" and "seed".

    ``late``: 1 if 90 % is not reached by the first budget;
    ``final`` accuracy at each budget, ``first_step`` (level, fraction, seed), ``best``, ``share``
    (ending) of the outcomes at each fraction. Over "budget": ``unfinished``, the share of all runs
    that are too short to be judged; of the others, ``judged`` in number, ``semi_grokked``, the
    share that ends so, with its Wilson interval, ``semi_grokked_low`` and ``semi_grokked_high``;
    NaN if there are none. Of the runs that end so between 15 and 90 %, without axes: their number
    ``taken_apart``; the means of ``S_mem`` and ``S_gen``; and ``both_circuits``, the share in which
    both are found, with its Wilson interval; NaN if there are none.
    """
    found = findings("semi_grokking", work, size=size, seeds=seeds, network=network)
    data = found[0].data.squeeze("network", drop=True)
    level = xr.DataArray([0.5, 0.9], {"level": [0.5, 0.9]})
    above = data.test_accuracy >= level
    early = int(data.budget[0])
    return xr.Dataset(
        {
            "final": data["last"],
            "first_step": first_steps(above),
            "best": data.test_accuracy.max("step"),
            "late": (
                ~above.sel(level=0.9, drop=True).where(data.step <= early, False).any("step")
            ).astype(float),
            "share": data.share,
            "accuracy": _thinned(data.test_accuracy),
        }
    ).assign({**judged_ends(data.outcome), **_taken_apart([one.data for one in found[1:]])})


def judged_ends(outcome: xr.DataArray) -> dict[str, xr.DataArray]:
    """The shares of :func:`semi_grokking` from the outcome of every run, "" where there is none."""
    runs = ("fraction", "seed")
    exists = (outcome != "").sum(runs)
    unfinished = (outcome == Outcome.UNFINISHED).sum(runs)
    judged = exists - unfinished
    semi = (outcome == Outcome.SEMI_GROKKED).sum(runs) / judged.where(judged > 0)
    low, high = wilson_interval(semi.values, judged.values)
    return {
        "unfinished": unfinished / exists,
        "judged": judged.astype(float),
        "semi_grokked": semi,
        "semi_grokked_low": semi.copy(data=low),
        "semi_grokked_high": semi.copy(data=high),
    }


def _taken_apart(found: Sequence[xr.Dataset]) -> dict[str, float]:
    """The numbers of :func:`semi_grokking` on the semi-grokked runs that were taken apart."""
    names = ("S_mem", "S_gen", "both_circuits", "both_circuits_low", "both_circuits_high")
    runs = [data.isel(run=data.outcome.values == "semi-grokked") for data in found]
    if not sum(data.sizes["run"] for data in runs):
        return {"taken_apart": 0.0} | dict.fromkeys(names, float("nan"))
    (data,) = runs
    number, both = data.sizes["run"], float((data.verdict == "both").mean())
    low, high = wilson_interval(both, number)
    values = (float(data.S_mem.mean()), float(data.S_gen.mean()), both, float(low), float(high))
    return {"taken_apart": float(number)} | dict(zip(names, values, strict=True))


def d_crit(
    *, seeds: int, work: Path, size: str, network: str, times_decay: float = 1.0
) -> xr.Dataset:
    """Section 4.2: three estimates of D_crit, ``value``, ``low``, ``high`` over "estimator".

    With the joint test and what the account assumes, see the experiment. ``spread``: the largest
    over the smallest estimate, NaN unless all three exist, with ``spread_low`` and ``spread_high``,
    the least and the largest that it can be by the joint test; ``moves``: the efficiency crossing
    over the one that follows if generalising goes on with its slope where it is not measured
    (infinite: the costs do not cross then), with ``moves_low`` and ``moves_high`` by the ends of
    the slope's interval; ``censored_at_least``: the share of runs that did not grok with the fewest
    pairs whose time is measured. All without seeds.

    Args:
        seeds: how many.
        work: a folder.
        size: one of the experiment's.
        network: likewise.
        times_decay: weight decay, as a multiple of the network's own.
    """
    decay = times_decay * d_crit_runs.base(network, size).training.weight_decay
    options = {"size": size, "seeds": seeds, "network": [network], "weight_decay": [decay]}
    data = findings("d_crit", work, **options)[0].data
    largest, least = (getattr(data.value, end)("estimator", skipna=False) for end in ("max", "min"))
    censored = data.censored.isel(time_size=0, drop=True)
    ends = data.ratio_low.values if data.sizes.get("pair") else np.array([np.nan])
    crossing = data.value.sel(estimator="efficiency crossing", drop=True)
    moves = (crossing / data.crossing_if).fillna(np.inf).where(crossing.notnull())
    return without_text(data).assign(
        spread=largest / least,
        spread_low=max(1.0, float(ends.max())),
        spread_high=data.within,
        moves=moves.sel(end="mean", drop=True),
        moves_low=moves.sel(end="low", drop=True),
        moves_high=moves.sel(end="high", drop=True),
        censored_at_least=censored,
    )


def without_text(data: xr.Dataset) -> xr.Dataset:
    """Without the variables that hold text."""
    return data.drop_vars([name for name in data.data_vars if data[name].dtype.kind in "OUS"])


def _by_percent(data: xr.DataArray) -> xr.DataArray:
    """Over "percent" of the pairs instead of their fraction, as published curves are."""
    percent = (100 * data.fraction).round(6).values
    return data.assign_coords(fraction=percent).rename(fraction="percent")
