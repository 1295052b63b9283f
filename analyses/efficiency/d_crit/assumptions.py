"""What the account of D_crit assumes, tested on the same runs: which part fails if sizes differ.

The account: memorising costs more with more data, generalising does not; below the size at which
both cost the same, a network that knows the rule forgets it, and no network finds it, however long
it trains. So at the ungrokking midpoint the costs should be equal; the cost of memorising should
rise with the data, and not because logits fall or rise with it; and times should diverge, rather
than exceed the last step only.

The place where the costs cross rests on one assumption more. On few pairs no network generalises,
so what generalising costs there is not measured. That it costs as much as on more pairs is the
account's claim. Here it is computed how far the crossing moves if the cost goes on as it does where
it is measured.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from analyses.efficiency.model_efficiency.trend import cost_curves
from analyses.statistics.critical_size import efficiency_crossing
from analyses.statistics.over_runs import t_interval

CIRCUITS = {"memorising": "random labels, equal step", "generalising": "C_gen, validation high"}
QUANTITIES = ("cost", "norm", "logit")
ENDS = ("mean", "low", "high")  # of the interval of a slope
_FEWEST = 3  # sizes needed to fit a slope


def compute(
    circuits: xr.Dataset, curves: xr.Dataset, midpoints: Sequence[float], times: xr.DataArray
) -> xr.Dataset:
    """The numbers that test each assumption.

    Args:
        circuits: from ``model_efficiency.compute``.
        curves: from ``cost_curves`` of the same, over "seed" and "size".
        midpoints: the ungrokking midpoint of each seed in training pairs, NaN if there is none.
        times: steps to grok over "seed" and "time_size", NaN where a run did not.

    Returns:
        ``excess``, ``excess_low``, ``excess_high``: what memorising costs at a seed's midpoint,
        over what generalising does (geometric mean over seeds, 95 % Student-t interval),
        interpolated in logarithms; NaN without a midpoint or outside the sizes. Over "circuit"
        (memorising, generalising) and "quantity": ``slope``, ``slope_low``, ``slope_high``, of the
        logarithm of the cost, of the norm of the weights in use and of the median correct logit,
        against the logarithm of the number of pairs. Over "end" (mean, low, high):
        ``crossing_if``, the pairs where the costs cross if generalising goes on with that end of
        its slope's interval where it is not measured; NaN: nowhere. Over "time_size":
        ``censored``, the share of runs that did not grok.
    """
    excess = [
        _at(curves["size"].values, ratio, midpoint)
        for ratio, midpoint in zip(_log_ratio(curves), midpoints, strict=True)
    ]
    found = t_interval(xr.DataArray(excess, dims="seed"))
    slopes = [
        [
            t_interval(xr.DataArray(_slopes(circuits, name, kind), dims="seed"))
            for kind in QUANTITIES
        ]
        for name in CIRCUITS.values()
    ]
    parts = {"slope": "mean", "slope_low": "low", "slope_high": "high"}
    going_on = slopes[1][0]  # of the cost of generalising
    return xr.Dataset(
        {
            name: float(np.exp(found[part]))
            for name, part in (("excess", "mean"), ("excess_low", "low"), ("excess_high", "high"))
        }
        | {
            name: (("circuit", "quantity"), [[float(one[part]) for one in row] for row in slopes])
            for name, part in parts.items()
        }
        | {"crossing_if": ("end", [_crossing_if(circuits, float(going_on[end])) for end in ENDS])}
        | {"censored": ("time_size", times.isnull().mean("seed").values)},
        coords={"circuit": list(CIRCUITS), "quantity": list(QUANTITIES), "end": list(ENDS)},
    )


def sentences(data: xr.Dataset) -> Iterator[str]:
    """A sentence for each assumption."""
    yield (
        "Cost of memorising over that of generalising at the ungrokking midpoint: "
        f"{_interval(data, 'excess')}; the account says 1."
    )
    for circuit in data.circuit.values:
        one = data.sel(circuit=circuit)
        told = (f"{q} as D^({_interval(one.sel(quantity=q), 'slope')})" for q in QUANTITIES)
        yield f"{circuit}: {', '.join(told)}."
    if data.extended.any():
        yield _in_words_if(data)
    late = data.censored.where(data.censored > 0, drop=True)
    if late.size:
        shares = ", ".join(
            f"{float(s):.0%} at {int(d)}" for d, s in zip(late.time_size, late, strict=True)
        )
        yield f"Runs that had not grokked by their last step: {shares} pairs."
    divergence = data.sel(estimator="divergence of time")
    if divergence.value.isnull():
        yield f"That the time diverges is not shown: {divergence.reason.item()}."
    else:
        place, p_value = float(divergence.value), float(divergence.p_value)
        yield f"The time diverges (p = {p_value:.2g}) at {place:.0f} pairs."


def _crossing_if(circuits: xr.Dataset, slope: float) -> float:
    """Where the costs cross if generalising goes on with a slope where it is not measured."""
    if math.isnan(slope):
        return math.nan
    curves = cost_curves(circuits, slope=slope).transpose("seed", "size")
    sizes = curves["size"].values
    return efficiency_crossing(sizes, curves.memorising.values, curves.generalising.values).value


def _in_words_if(data: xr.Dataset) -> str:
    """What the crossing is if the cost of generalising is not the same at all sizes."""
    measured = data["size"].where(~data.extended.astype(bool).all("seed"), drop=True)
    cost = data.sel(circuit="generalising", quantity="cost")
    if not measured.size or cost.slope.isnull():
        return "What generalising costs has no slope, so where the costs cross is an assumption."
    places = {
        end: "nowhere" if np.isnan(place) else f"at {place:.0f}"
        for end, place in zip(data.end.values.tolist(), data.crossing_if.values, strict=True)
    }
    return (
        f"Below {int(measured.min())} pairs the cost of generalising is not measured, and taken to "
        f"be the same. If it goes on as D^({_interval(cost, 'slope')}), the costs cross "
        f"{places['mean']} ({places['low']} and {places['high']} by the ends of the interval)."
    )


def _log_ratio(curves: xr.Dataset) -> np.ndarray:
    """Logarithm of the memorising cost over the generalising one, [seed, size]."""
    ratio = np.log(curves.memorising / curves.generalising)
    return ratio.transpose("seed", "size").values


def _at(sizes: np.ndarray, values: np.ndarray, size: float) -> float:
    """A curve's value at a size, linear in log size; NaN outside of the known sizes."""
    known = ~np.isnan(values)
    if known.sum() < 2 or not sizes[known][0] <= size <= sizes[known][-1]:
        return math.nan
    return float(np.interp(math.log(size), np.log(sizes[known]), values[known]))


def _slopes(circuits: xr.Dataset, name: str, quantity: str) -> list[float]:
    """Each seed's slope of one quantity of a circuit against the data, in logarithms."""
    one = circuits.sel(circuit=name)
    there = one.missing == ""
    values = {
        "cost": one.cost.sel(measure="matched margin" if circuits.attrs["no_least"] else "least"),
        "norm": one.cost.sel(measure="used parameters"),
        "logit": one.median_logit,
    }[quantity].where(there)
    logs = np.log(values.where(values > 0)).transpose("seed", "fraction").values
    x = np.log(circuits.n_train.values)
    slopes = []
    for y in logs:
        known = ~np.isnan(y)
        enough = known.sum() >= _FEWEST
        slopes.append(float(np.polyfit(x[known], y[known], 1)[0]) if enough else math.nan)
    return slopes


def _interval(data: xr.Dataset, name: str) -> str:
    if data[name].isnull():
        return "unknown"
    low, high = float(data[f"{name}_low"]), float(data[f"{name}_high"])
    interval = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{float(data[name]):.2f}{interval}"
