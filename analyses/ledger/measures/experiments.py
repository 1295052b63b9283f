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
from analyses.efficiency.mixing.variants import PUBLISHED
from analyses.efficiency.model_efficiency import trend
from analyses.pages.finding import Finding
from analyses.registry import resolve
from analyses.statistics.over_runs import median_times

LEVELS = (0.5, 0.9, 0.99)
_POINTS = 120  # of a stored curve, at evenly spaced logarithms of the step


def findings(name: str, work: Path, **options: Any) -> list[Finding]:
    """Run an experiment of the registry and return what it found."""
    steps = resolve("experiment", name)(out=work, **options)
    return [step for step in steps if isinstance(step, Finding)]


def grokking(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Figs. 1-3, over "network", "fraction", "seed", "split" and "level".

    ``first_step``: first evaluated step at a level, NaN if never; ``final`` and ``best`` accuracy;
    ``test_at_learned``; ``delay``; ``lowest_after`` 99 % validation accuracy; ``plateau``, the
    median validation accuracy from step 600 to half of the step at which it reaches .9;
    ``accuracy`` (..., step), thinned. Without seeds: ``time`` (network, fraction, split), the
    Kaplan-Meier median step of 99 %, ``typical_delay`` and ``typical_plateau`` (network, fraction).
    """
    data = findings("grokking_across", work, size=size, seeds=seeds)[0].data
    accuracy = data.accuracy
    level = xr.DataArray(list(LEVELS), {"level": list(LEVELS)})
    above = accuracy >= level
    step = data.step.isel(step=above.argmax("step")).drop_vars("step")
    first = step.where(above.any("step"))
    test = accuracy.sel(split="test", drop=True)
    ripe = first.sel(split="test", level=0.9, drop=True).fillna(2 * data.last_step)
    waiting = test.where((test.step >= 600) & (test.step <= ripe / 2))
    after = test.where(test.step > first.sel(split="test", level=0.99, drop=True))
    time = median_times(data.crossing.sel(level=0.99), data.last_step)["median"]
    plateau = waiting.median("step")
    kept = np.unique(np.geomspace(max(1, int(data.step[1])), int(data.step[-1]), _POINTS).round())
    return xr.Dataset(
        {
            "first_step": first,
            "final": accuracy.isel(step=-1, drop=True),
            "best": accuracy.max("step"),
            "test_at_learned": data.test_at_learned,
            "delay": data.delay,
            "lowest_after": after.min("step"),
            "plateau": plateau,
            "accuracy": accuracy.sel(step=kept, method="nearest").drop_duplicates("step"),
            "time": time,
            "typical_delay": data.delay_median,
            "typical_plateau": plateau.median("seed"),
            "train_at_leaving": data.train_at_leaving,
        }
    )


def data_efficiency(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 4: the experiment's dataset, with ``first_fraction`` over settings, and their gains."""
    return without_text(findings("data_efficiency", work, size=size, seeds=seeds)[0].data)


def mixture(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 5 over "circuits" (of ``protocols``, dashed), "start" ("10:1", "1:1") and "seed".

    Of the published way to mix: ``loss`` and ``accuracy`` (split, step); ``first_step`` (split,
    level) of .5 and 1; ``peak_loss`` and ``peak_at`` of validation, and ``train_loss_at_peak``;
    ``zero_step``, where validation loss falls below 1e-5; ``loss_when_fitted``, validation loss
    when train loss falls to 1.1e-5; ``groks`` and ``falls_together`` (1 or 0); ``gen_share``, the
    last weight of C_gen over the sum of both. ``fit``: the train loss of C_mem alone over that of
    C_gen alone. Over "variant", too: ``delay_ratio`` (factor), and ``peak`` over the start. A seed
    whose networks do not qualify as circuits is missing.
    """
    found = findings("mixture", work, size=size, seeds=seeds)
    parts: list[xr.Dataset] = []
    circuits = []
    for one in found:
        if one.name == "mixture-halves-of-one-network":
            continue
        circuits.append(str(one.name).removeprefix("mixture-"))
        own = one.data.sel(variant=PUBLISHED, drop=True)
        last, alone = own.weights.isel(step=-1, drop=True), own.alone.sel(split="train", drop=True)
        mixed = _mixed(own[["loss", "accuracy"]]).assign(
            gen_share=last.sel(circuit="generalising", drop=True) / last.sum("circuit"),
            fit=alone.sel(circuit="memorising", drop=True)
            / alone.sel(circuit="generalising", drop=True),
        )
        parts.append(mixed.merge(one.data[["delay_ratio", "peak"]]))
    axis = xr.Variable("circuits", circuits)
    return xr.concat(parts, axis, combine_attrs="drop", join="outer")  # controls: one variant


def _mixed(curves: xr.Dataset) -> xr.Dataset:
    """The numbers of :func:`mixture` from its curves."""
    train, test = (curves.sel(split=split, drop=True) for split in ("train", "test"))
    level = xr.DataArray([0.5, 1.0], {"level": [0.5, 1.0]})
    above = curves.accuracy >= level
    peak = test.loss.idxmax("step")
    start = test.loss.isel(step=0, drop=True)
    zero = (test.loss < 1e-5).where(test.step > 0, False)
    fitted = (train.loss <= 1.1e-5).idxmax("step")
    early = train.loss < 0.01 * train.loss.isel(step=0)
    late = test.step >= 7
    gap = abs(test.accuracy - train.accuracy).where(late).max("step")
    falls = (test.loss.diff("step") <= 0).all("step") & (gap <= 0.10)
    groks = (
        (test.loss.max("step") / start >= 1.2)
        & (peak > early.idxmax("step"))
        & (test.loss.isel(step=-1, drop=True) < 1e-5)
    )
    return curves.assign(
        first_step=above.idxmax("step").where(above.any("step")),
        peak_loss=test.loss.max("step"),
        peak_at=peak,
        train_loss_at_peak=train.loss.sel(step=peak).drop_vars("step"),
        zero_step=zero.idxmax("step").where(zero.any("step")),
        loss_when_fitted=test.loss.sel(step=fitted).drop_vars("step"),
        groks=groks.astype(float),
        falls_together=falls.astype(float),
    )


def model_efficiency(
    *, seeds: int, work: Path, size: str, initial_scale: float = 1.0
) -> xr.Dataset:
    """Fig. 6: norms and logits of all circuits, with the slopes of :mod:`trend`."""
    options = {"size": size, "seeds": seeds, "initial_scale": initial_scale}
    data = findings("model_efficiency", work, **options)[0].data
    slopes = trend.compute(data)
    norm = data.cost.sel(measure="all parameters")
    per_norm = data.median_logit / norm
    ratio = per_norm.sel(circuit="C_gen", drop=True) / per_norm.sel(circuit="C_mem", drop=True)
    generalising = norm.sel(circuit="C_gen", drop=True).mean("seed")
    return (
        without_text(data)
        .assign(
            norm=norm,
            mean_norm=norm.mean("seed"),
            norm_range=generalising.max("fraction") / generalising.min("fraction"),
            least_efficiency_ratio=ratio.min("fraction"),
            norm_by_percent=_by_percent(norm),
            logit_by_percent=_by_percent(data.median_logit),
            ratio_by_percent=_by_percent(per_norm),
        )
        .merge(
            without_text(slopes).rename({name: f"trend_{name}" for name in without_text(slopes)})
        )
    )


def training_efficiency(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Section 4.1: steps to memorise random labels, to fit, and to generalise."""
    return without_text(findings("training_efficiency", work, size=size, seeds=seeds)[0].data)


def ungrokking(
    *, seeds: int, work: Path, size: str, network: str, level: float | None = None
) -> xr.Dataset:
    """Figs. 7 and 8: accuracy after training on with less data.

    The experiment's dataset without curves, and ``percent_at`` (moments, network, weight_decay,
    level, seed): the percentage of all pairs at which final accuracy crosses .1, .5 and .9,
    linearly between fractions; ``moved`` (moments, network): the range of its mean at .5 over
    weight decays; ``finished`` (moments, network, weight_decay): the share of runs that end on a
    plateau.
    """
    options = {"size": size, "seeds": seeds, "network": [network], "level": level}
    data = findings("ungrokking", work, **options)[0].data
    levels = [0.1, 0.5, 0.9]
    percent = xr.apply_ufunc(
        lambda final: np.array([_crossing(100 * data.fraction.values, final, at) for at in levels]),
        data.final,
        input_core_dims=[["fraction"]],
        output_core_dims=[["level"]],
        vectorize=True,
    ).assign_coords(level=levels)
    middle = percent.sel(level=0.5, drop=True).mean("seed")
    small = data.drop_vars([name for name in data.data_vars if "step" in data[name].dims])
    return without_text(small).assign(
        final_by_percent=_by_percent(data.final),
        percent_at=percent,
        moved=middle.max("weight_decay") - middle.min("weight_decay"),
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
    (ending) of the outcomes; ``semi_grokked``, the share of all runs that end so, with its Wilson
    interval, ``semi_grokked_low`` and ``semi_grokked_high``. Of the runs that end so between 15 and
    90 %, without axes: their number ``taken_apart``; the means of ``S_mem`` and ``S_gen``; and
    ``both_circuits``, the share in which both are found; NaN if there are none.
    """
    found = findings("semi_grokking", work, size=size, seeds=seeds, network=network)
    data = found[0].data.squeeze("network", drop=True)
    level = xr.DataArray([0.5, 0.9], {"level": [0.5, 0.9]})
    above = data.test_accuracy >= level
    step = data.step.isel(step=above.argmax("step")).drop_vars("step")
    kept = np.unique(np.geomspace(max(1, int(data.step[1])), int(data.step[-1]), _POINTS).round())
    early = int(data.budget[0])
    semi = data.sel(ending="semi-grokked", drop=True)
    return xr.Dataset(
        {
            "final": data["last"],
            "first_step": step.where(above.any("step")),
            "best": data.test_accuracy.max("step"),
            "late": (
                ~above.sel(level=0.9, drop=True).where(data.step <= early, False).any("step")
            ).astype(float),
            "share": data.share,
            "semi_grokked": semi.overall,
            "semi_grokked_low": semi.overall_low,
            "semi_grokked_high": semi.overall_high,
            "accuracy": data.test_accuracy.sel(step=kept, method="nearest").drop_duplicates("step"),
        }
    ).assign(_taken_apart([one.data for one in found[1:]]))


def _taken_apart(found: Sequence[xr.Dataset]) -> dict[str, float]:
    """The numbers of :func:`semi_grokking` on the semi-grokked runs that were taken apart."""
    names = ("S_mem", "S_gen", "both_circuits")
    runs = [data.isel(run=data.outcome.values == "semi-grokked") for data in found]
    if not sum(data.sizes["run"] for data in runs):
        return {"taken_apart": 0.0} | dict.fromkeys(names, float("nan"))
    (data,) = runs
    both = data.assign(both_circuits=data.verdict == "both")
    return {"taken_apart": float(data.sizes["run"])} | {
        name: float(both[name].mean()) for name in names
    }


def d_crit(
    *, seeds: int, work: Path, size: str, network: str, times_decay: float = 1.0
) -> xr.Dataset:
    """Section 4.2: three estimates of D_crit, ``value``, ``low``, ``high`` over "estimator".

    With the joint test and what the account assumes, see the experiment. ``spread``: the largest
    over the smallest estimate, NaN unless all three exist; like the others, without seeds.

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
    return without_text(data).assign(spread=largest / least)


def without_text(data: xr.Dataset) -> xr.Dataset:
    """Without the variables that hold text."""
    return data.drop_vars([name for name in data.data_vars if data[name].dtype.kind in "OUS"])


def _by_percent(data: xr.DataArray) -> xr.DataArray:
    """Over "percent" of the pairs instead of their fraction, as published curves are."""
    percent = (100 * data.fraction).round(6).values
    return data.assign_coords(fraction=percent).rename(fraction="percent")
