"""Validation accuracy by setting, rate and fraction, and what it says about data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.efficiency.data_efficiency.grids import BASELINE, FACTORS, PANELS, RATES, cell
from analyses.efficiency.data_efficiency.runs import GROK_MEASURES
from analyses.statistics.over_runs import t_interval
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp.checks import check_number

READINGS = ("final", "best")  # the paper does not say which of the two it shows


def compute(sweep: xr.Dataset) -> xr.Dataset:
    """Validation accuracy by setting, learning rate and fraction, and what it says about data.

    Intervals are 95 % Student t intervals over seeds, whose splits differ, too; those of accuracies
    end at 0 and 1, and there are none with fewer than two seeds. With three seeds a t interval is
    wide, and rough where some seeds grok and others do not.

    Args:
        sweep: of ``runs.job``, with :data:`GROK_MEASURES`; it need not be finished,
            and runs that are not done are left out.

    Returns:
        Dataset over "factor" (what is changed), "rate" ("low", "baseline", "high"), "fraction",
        "seed" and "reading" ("final" or "best" of the history); NaN where nothing was trained:

        * ``accuracy`` on the test set, 0..1, with ``mean``, ``low`` and ``high`` over seeds;
        * ``overall`` (factor, rate, reading): mean over fractions, the average over seeds, with
          ``overall_low`` and ``overall_high``; NaN unless all fractions of a seed are done;
        * ``gain``, ``gain_low``, ``gain_high``: how far ``overall`` is above that of full-batch
          Adam at the same rate, paired by seed (same split, same initial weights); for Adam itself
          above Adam at the baseline rate;
        * ``first_fraction``, ``first_low``, ``first_high``: see :func:`first_fraction`, at 90 %;
        * ``grok_step`` (factor, rate, fraction, seed): NaN if the run ended first, or is not done;
        * ``learning_rate`` (factor, rate), and ``n_done`` (factor, rate, fraction), seeds.

    Raises:
        ValueError: not such a sweep, or one without any finished run.

    Source: second paper, Fig. 4; the matched comparison is ours.
    """
    if "setting" not in sweep.dims or not set(GROK_MEASURES) <= set(sweep.data_vars):
        raise ValueError(
            "compute takes a sweep of data_efficiency.job with the measures "
            f"{', '.join(GROK_MEASURES)}, got {dict(sweep.sizes)} with {', '.join(map(str, sweep))}"
        )
    if not bool(sweep.done.any()):
        raise ValueError("no run of the sweep is done; train some of it first")
    runs = _by_factor_and_rate(sweep.load())
    readings = [runs[f"{name}_accuracy"].sel(subset="test", drop=True) for name in READINGS]
    accuracy = xr.concat(readings, dim="reading").assign_coords(reading=list(READINGS))
    accuracy = accuracy.transpose("factor", "rate", "fraction", "seed", "reading")
    overall = accuracy.mean("fraction", skipna=False)
    plain = overall.sel(factor=BASELINE, drop=True)
    same_rate = plain.broadcast_like(overall)
    reference = same_rate.where(overall.factor != BASELINE, plain.sel(rate="baseline", drop=True))
    is_reference = (overall.factor == BASELINE) & (overall.rate == "baseline")
    data = xr.Dataset({
        "accuracy": accuracy,
        **t_interval(accuracy).clip(0, 1),
        **_named("overall", t_interval(overall).clip(0, 1)),
        **_named("gain", t_interval((overall - reference).where(~is_reference))),
        "grok_step": runs.grok_step,
        "learning_rate": runs.learning_rate.max(("fraction", "seed")),
        "n_done": runs.done.sum("seed").astype(int),
    })  # fmt: skip
    first = first_fraction(data)
    return data.assign(
        first_fraction=first.value, first_low=first.low, first_high=first.high
    ).assign_attrs(level=GENERALISED_FROM, n_seeds=sweep.sizes["seed"])


def first_fraction(data: xr.Dataset, level: float = GENERALISED_FROM) -> xr.Dataset:
    """Smallest fraction at which validation accuracy is at least ``level``.

    Args:
        data: as :func:`compute` returns it.
        level: an accuracy in (0, 1].

    Returns:
        ``value``, of the mean over seeds; ``low`` and ``high``, the fractions where the upper and
        the lower end of its interval get there first, which is what the intervals do not rule out.
        NaN where that is at no fraction on the grid: it is above the largest, by how much is not
        known (``low`` is NaN as well where there is no interval). All are exact to a step of the
        grid only, downward.
    """
    check_number("level", level, minimum=0.0, strict=True)
    if level > 1:
        raise ValueError(f"level is an accuracy, at most 1, got {level}")
    reached = {"value": data["mean"] >= level, "low": data["high"] >= level,
               "high": data["low"] >= level}  # fmt: skip
    return xr.Dataset(
        {name: data.fraction.where(there).min("fraction") for name, there in reached.items()}
    )


def _by_factor_and_rate(sweep: xr.Dataset) -> xr.Dataset:
    """The sweep with its settings taken apart; ``done`` is False where there is no such setting."""
    factors, rates = zip(*map(cell, sweep.setting.values.tolist()), strict=True)
    apart = sweep.assign_coords(factor=("setting", list(factors)), rate=("setting", list(rates)))
    runs = apart.set_index(setting=["factor", "rate"]).unstack("setting")
    runs = runs.reindex(factor=list(FACTORS), rate=list(RATES))
    runs["done"] = runs.done.fillna(0).astype(bool)
    runs = runs.rename({"data.train_fraction": "fraction"})
    return runs.transpose("factor", "rate", "fraction", "seed", ...)


def _named(name: str, found: xr.Dataset) -> dict[str, xr.DataArray]:
    return {name: found["mean"], f"{name}_low": found.low, f"{name}_high": found.high}


def read_published(targets: Path) -> dict[str, tuple[list[float], list[float]]]:
    """The paper's curves, panel -> (fractions, accuracies in 0..1), from a file of its numbers.

    Raises:
        ValueError: the file has no curves of Fig. 4.
    """
    entries = json.loads(targets.read_text(encoding="utf-8"))
    curves = [e["value"] for e in entries
              if e["id"].startswith("p2.fig4.") and e["kind"] == "curve"]  # fmt: skip
    if len(curves) != len(PANELS):
        raise ValueError(
            f"{targets} holds {len(curves)} curves of Fig. 4, wanted {len(PANELS)}: the entries "
            "p2.fig4.*.curve in the order of the figure's panels"
        )
    shares = [(curve["x"], [y / 100 for y in curve["y"]]) for curve in curves]
    return dict(zip(PANELS, shares, strict=True))


def table(data: xr.Dataset) -> list[Mapping[str, Any]]:
    """One row per panel and version of it: what ranking and claims are read from, final values."""
    final = data.sel(reading="final")
    names = ("overall", "overall_low", "overall_high", "gain", "gain_low", "gain_high",
             "first_fraction", "first_low", "first_high")  # fmt: skip
    rows = []
    for factor in FACTORS:
        for rate in RATES:
            here = final.sel(factor=factor, rate=rate)
            if int(here.n_done.sum()):
                numbers = {name: float(here[name]) for name in ("learning_rate", *names)}
                rows.append({"setting": factor, "rate": rate} | numbers)
    return rows
