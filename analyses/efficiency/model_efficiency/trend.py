"""How a circuit's cost grows with the amount of data, and how much of that is a confound.

A cost that grows as a power of the number of training pairs, D^a, is a line of slope a in
logarithms. We compare the slope of the published measure with those of the controlled ones.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import model_efficiency
    >>> from analyses.efficiency.circuits.sources import PUBLISHED_RULES
    >>> from analyses.efficiency.model_efficiency import runs, trend
    >>> few = {"training.steps": 100}
    >>> configs = [named.config.replace(few) for named in runs.wanted("tiny", 1, "mlp")[-6:]]
    >>> trained = gi.train_many(configs, checkpoints=PUBLISHED_RULES)
    >>> slopes = trend.compute(model_efficiency.compute(trained))
    >>> slope = slopes.slope.sel(measure="all parameters")
    >>> bool(slope.sel(circuit="C_gen") < slope.sel(circuit="random labels, equal step"))
    True
"""

import math

import numpy as np
import xarray as xr

from analyses.efficiency.model_efficiency.computation import CIRCUITS, NORM_KINDS
from analyses.efficiency.model_efficiency.runs import FRACTIONS
from analyses.statistics.over_runs import t_interval
from grokinterp.checks import check_choice

PUBLISHED = {"circuit": "C_mem", "measure": "all parameters"}
_NOT_DETECTED = "not detected"
_FEWEST = 3  # fractions needed to fit a slope


def compute(data: xr.Dataset) -> xr.Dataset:
    """Slope of log cost against log D for every circuit and measure, over the published fractions.

    The slope is fitted by least squares to each seed, over the fractions at which it has the
    circuit (at least 3). The interval is Student's t over seeds.

    Args:
        data: from ``model_efficiency.compute``.

    Returns:
        Dataset over "circuit" and "measure": ``slope``, ``low`` and ``high`` (95 %; NaN for fewer
        than two seeds), ``n_seeds``, and ``each`` (..., seed), the slopes themselves. ``share``:
        the slope divided by that of C_mem here by the published measure, NaN unless the interval of
        the latter excludes 0. ``verdict``: "rises", "falls", "no trend seen" or "not detected:
        why".
    """
    wide = data.sel(fraction=[f for f in data.fraction.values if f >= min(FRACTIONS)])
    logs = np.log(wide.n_train), np.log(wide.cost)
    slopes = xr.apply_ufunc(_slope, *logs, input_core_dims=[["fraction"]] * 2, vectorize=True)
    slopes = slopes.transpose("circuit", "measure", "seed")
    found = t_interval(slopes).rename(mean="slope")
    found = found.assign(n_seeds=slopes.count("seed"), each=slopes)
    verdict = [
        [
            _verdict(found.sel(circuit=c, measure=m), wide.sel(circuit=c, measure=m))
            for m in NORM_KINDS
        ]
        for c in CIRCUITS
    ]
    result = found.assign(verdict=(("circuit", "measure"), verdict)).assign_attrs(
        network=data.attrs["network"], equal_step=data.attrs["equal_step"]
    )
    reference = result.sel(PUBLISHED)
    certain = float(reference.low) > 0 or float(reference.high) < 0
    return result.assign(share=result.slope / (reference.slope if certain else np.nan))


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of the least-squares line through the known points; NaN for fewer than 3."""
    there = ~np.isnan(y)
    return float(np.polyfit(x[there], y[there], 1)[0]) if there.sum() >= _FEWEST else math.nan


def _verdict(found: xr.Dataset, here: xr.Dataset) -> str:
    """Whether one circuit's cost rises or falls in one measure, or why that is unknown."""
    if not found.n_seeds:
        return _why(here)
    if found.low.isnull():
        return f"{_NOT_DETECTED}: one seed has no interval"
    if found.low <= 0 <= found.high:
        return "no trend seen"
    return "rises" if found.slope > 0 else "falls"


def _why(here: xr.Dataset) -> str:
    """Why a circuit has no slope: the most frequent reason over fractions and seeds."""
    if here.measure == "least" and here.attrs["no_least"]:
        return f"{_NOT_DETECTED}: {here.attrs['no_least']}"
    seeds = (here.missing == "").sum("fraction")
    reasons = [reason for reason in here.missing.values.ravel().tolist() if reason]
    often = max(set(reasons), key=reasons.count) if reasons else "costs are not positive"
    return (
        f"{_NOT_DETECTED}: at most {int(seeds.max())} of {here.sizes['fraction']} fractions have "
        f"it, as {often}"
    )


def table(trend: xr.Dataset) -> list[dict[str, object]]:
    """A row per circuit and measure; a single one for a circuit that no seed has."""
    rows = []
    for circuit in trend.circuit.values:
        here = trend.sel(circuit=circuit)
        there = trend.measure.values if here.n_seeds.any() else trend.measure.values[:1]
        for measure in there:
            row = here.sel(measure=measure)
            low, slope, high = (float(row[name]) for name in ("low", "slope", "high"))
            rows.append(
                {
                    "circuit": circuit,
                    "norm": measure if here.n_seeds.any() else "any",
                    "slope": f"{slope:.2f} [{low:.2f}, {high:.2f}]",
                    "share of C_mem's as published": float(row.share),
                    "verdict": row.verdict.item(),
                }
            )
    return rows


def sentence(trend: xr.Dataset) -> str:
    """What the published measure shows, and what the controlled ones leave of it, in words."""
    clean, ours = "random labels, equal step", "C_mem's by the published measure"
    parts = [
        "As published, by the norm of all parameters: "
        f"C_mem {_words(trend, 'C_mem', 'all parameters')}, "
        f"C_gen {_words(trend, 'C_gen', 'all parameters')}.",
        f"Unused embeddings left out: C_mem {_words(trend, 'C_mem', 'used parameters')}.",
    ]
    for measure in ("matched margin", "least"):
        parts.append(
            f"{NORM_KINDS[measure].capitalize()}: C_mem {_words(trend, 'C_mem', measure)}, "
            f"random labels at equal steps {_words(trend, clean, measure)}, "
            f"C_gen {_words(trend, 'C_gen, validation high', measure)}."
        )
        share = float(trend.share.sel(circuit=clean, measure=measure))
        if share < 0:
            parts.append(f"For random labels that slope has the opposite sign to {ours}.")
        elif not math.isnan(share):
            parts.append(f"That of random labels is {share:.0%} of {ours}.")
    return " ".join(parts)


def _words(trend: xr.Dataset, circuit: str, measure: str) -> str:
    row = trend.sel(circuit=circuit, measure=measure)
    verdict = str(row.verdict.item())
    if verdict.startswith(_NOT_DETECTED):
        return _NOT_DETECTED  # the table says why
    return f"{verdict} (as D^{float(row.slope):.2f}, [{float(row.low):.2f}, {float(row.high):.2f}])"


def cost_curves(
    data: xr.Dataset,
    *,
    measure: str | None = None,
    memorising: str = "random labels, equal step",
    generalising: str = "C_gen, validation high",
    slope: float = 0.0,
) -> xr.Dataset:
    """What memorising and generalising cost at every training-set size, to find where they cross.

    Networks trained on few pairs do not generalise, so C_gen has no cost of its own there. By the
    account it costs the same at all sizes, so such sizes get the seed's geometric mean over the
    sizes that have one, and are marked. With another ``slope`` they follow D^slope from there.

    Args:
        data: from ``model_efficiency.compute``.
        measure: one of ``NORM_KINDS``; None: "least", or "matched margin" for a network that has no
            least norm.
        memorising: the circuit, one of ``CIRCUITS``.
        generalising: likewise.
        slope: of C_gen's cost in the data, in logarithms, at the sizes where it is not measured.

    Returns:
        Dataset over "seed" and "size" (training pairs): ``memorising``, ``generalising``, and
        ``extended``, whether the latter is assumed and not measured.
    """
    measure = measure or ("matched margin" if data.attrs["no_least"] else "least")
    check_choice("measure", measure, NORM_KINDS)
    for circuit in (memorising, generalising):
        check_choice("circuit", circuit, CIRCUITS)
    cost = data.cost.sel(measure=measure, drop=True).transpose("circuit", "seed", "fraction")
    cost = cost.drop_vars("n_train").assign_coords(fraction=data.n_train.values)
    cost = cost.rename(fraction="size")
    curves = cost.sel(circuit=[memorising, generalising]).to_dataset("circuit")
    curves = curves.rename({memorising: "memorising", generalising: "generalising"})
    absent = np.isnan(curves.generalising)
    log_size = np.log(curves["size"])
    away = log_size - log_size.where(~absent).mean("size")
    assumed = np.exp(np.log(curves.generalising).mean("size") + slope * away)
    filled = curves.generalising.fillna(assumed).transpose(*curves.generalising.dims)
    return curves.assign(generalising=filled, extended=absent)
