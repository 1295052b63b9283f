"""Validation accuracy by setting, learning rate and fraction, and how much data each needs."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.efficiency.data_efficiency.grids import BASELINE, FACTORS, PANELS, RATES, cell
from analyses.efficiency.data_efficiency.runs import GROK_MEASURES
from analyses.statistics.many_comparisons import holm, paired_p
from analyses.statistics.over_runs import t_interval
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp.checks import check_number

_FOUND_BELOW = 0.05  # corrected p value
_WORDS = {1.0: "helps", 0.0: "cannot tell", -1.0: "hurts"}
READINGS = ("final", "best")  # which accuracy of a run; the paper does not say which it shows


def compute(sweep: xr.Dataset) -> xr.Dataset:
    """Validation accuracy by setting, learning rate and fraction, and how much data each needs.

    Intervals are 95 % Student-t intervals over seeds, each with its own split; those of accuracies
    are cut at 0 and 1, and there are none with fewer than two seeds. With three seeds a t interval
    is wide, and only approximate where some seeds grok and others do not.

    Args:
        sweep: of ``runs.job``, measured by :data:`GROK_MEASURES`. It may be unfinished; runs that
            are not done are left out.

    Returns:
        Dataset over "factor" (what is changed), "rate" ("low", "baseline", "high"), "fraction",
        "seed" and "reading" ("final" or "best" accuracy of a run); NaN where nothing was trained:

        * ``accuracy`` on the test set, 0..1, with ``mean``, ``low`` and ``high`` over seeds;
        * ``overall`` (factor, rate, reading): the mean over fractions, averaged over seeds, with
          ``overall_low`` and ``overall_high``. Seeds with a missing fraction are left out;
        * ``gain``, ``gain_low``, ``gain_high``: ``overall`` minus that of full-batch Adam at the
          same rate, paired by seed (same split, same initial weights). For Adam itself, minus that
          of Adam at the baseline rate. ``gain_p`` is the p value of the paired difference, and
          ``gain_p_holm`` the same corrected by Holm's rule for all differences of a reading;
        * ``helps`` (factor, rate, reading): 1 if the gain is positive and its corrected p value
          below 5 %, -1 if it is negative, 0 if neither can be told;
        * ``first_fraction``, ``first_low``, ``first_high``: see :func:`first_fraction`, at 90 %;
        * ``grok_step`` (factor, rate, fraction, seed): NaN if the run did not grok or is not done;
        * ``learning_rate`` (factor, rate); ``n_done`` (factor, rate, fraction), finished seeds.

    Raises:
        ValueError: another kind of sweep, or one without any finished run.

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
    gains = (overall - reference).where(~is_reference)
    p = xr.apply_ufunc(paired_p, gains, input_core_dims=[["seed"]], vectorize=True)
    corrected = xr.concat([one.copy(data=holm(one)) for _, one in p.groupby("reading")], "reading")
    sign = xr.where(gains.mean("seed") > 0, 1.0, -1.0)
    data = xr.Dataset(
        {
            "accuracy": accuracy,
            **t_interval(accuracy).clip(0, 1),
            **_named("overall", t_interval(overall).clip(0, 1)),
            **_named("gain", t_interval(gains)),
            "gain_p": p,
            "gain_p_holm": corrected,
            "helps": sign.where(corrected < _FOUND_BELOW, 0.0).where(gains.notnull().any("seed")),
            "grok_step": runs.grok_step,
            "learning_rate": runs.learning_rate.max(("fraction", "seed")),
            "n_done": runs.done.sum("seed").astype(int),
        }
    )
    first = first_fraction(data)
    return data.assign(
        first_fraction=first.value, first_low=first.low, first_high=first.high
    ).assign_attrs(level=GENERALISED_FROM, n_seeds=sweep.sizes["seed"])


def first_fraction(data: xr.Dataset, level: float = GENERALISED_FROM) -> xr.Dataset:
    """Smallest fraction at which validation accuracy is at least ``level``.

    Args:
        data: from :func:`compute`.
        level: an accuracy in (0, 1].

    Returns:
        ``value``: for the mean over seeds. ``low`` and ``high``: the fractions at which the upper
        and the lower end of the mean's interval reach the level, that is, the range that the
        intervals allow. NaN where no fraction of the grid reaches it: then it lies above the
        largest one, by an unknown amount (``low`` is also NaN where there is no interval). The true
        fraction may be smaller by up to one step of the grid.
    """
    check_number("level", level, minimum=0.0, strict=True)
    if level > 1:
        raise ValueError(f"level is an accuracy, at most 1, got {level}")
    accuracies = {"value": data["mean"], "low": data["high"], "high": data["low"]}
    return xr.Dataset(
        {
            name: data.fraction.where(accuracy >= level).min("fraction")
            for name, accuracy in accuracies.items()
        }
    )


def _by_factor_and_rate(sweep: xr.Dataset) -> xr.Dataset:
    """The sweep over "factor" and "rate"; ``done`` is False where there is no such setting."""
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
    """The paper's curves from a file of its numbers: panel -> (fractions, accuracies in 0..1).

    Raises:
        ValueError: the file has no curves of Fig. 4.
    """
    entries = json.loads(targets.read_text(encoding="utf-8"))
    ours = [e for e in entries if e["id"].startswith("p2.fig4.") and e["kind"] == "curve"]
    curves = [entry["value"] for entry in ours]
    if len(curves) != len(PANELS):
        raise ValueError(
            f"{targets} holds {len(curves)} curves of Fig. 4, expected {len(PANELS)}: the entries "
            "p2.fig4.*.curve in the order of the figure's panels"
        )
    shares = [(curve["x"], [y / 100 for y in curve["y"]]) for curve in curves]
    return dict(zip(PANELS, shares, strict=True))


def table(data: xr.Dataset) -> list[Mapping[str, Any]]:
    """One row per setting and learning rate, from final accuracies."""
    final = data.sel(reading="final")
    names = [f"{name}{end}" for name in ("overall", "gain") for end in ("", "_low", "_high")]
    names = ["learning_rate", *names, "gain_p_holm", "first_fraction", "first_low", "first_high"]
    rows = []
    for factor, rate in itertools.product(FACTORS, RATES):
        here = final.sel(factor=factor, rate=rate)
        if int(here.n_done.sum()):
            numbers = {name: float(here[name]) for name in names}
            rows.append(
                {"setting": factor, "rate": rate}
                | numbers
                | {"change": _WORDS.get(float(here.helps), "")}
            )
    return rows
