"""How reliable the estimates of D_crit are, on simulated curves with a known answer.

``grokinterp run coverage OUT`` prints two tables: with a D_crit, how often its 95 % interval
contains it; without one, how often it is estimated all the same. Each is measured on curves as the
estimators assume them, and on curves that depart from that: noise that differs between sizes and
seeds, seeds that shift their whole curve, seeds with other slopes, runs without an end. It takes
hours on one core at the default number of replicates, nearly all of it for the divergence of time.

The curves are those of :mod:`simulated_curves`. D_crit differs between seeds by 5 % around the
common one, which is the truth.

Examples:
    >>> from analyses.statistics import coverage
    >>> how = {"estimators": ("efficiency crossing",), "departures": ("as assumed",)}
    >>> data = coverage.compute((3,), replicates=4, **how)
    >>> data.coverage.dims, data.attrs["nominal"]
    (('estimator', 'departure', 'seeds'), 0.95)
"""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import typer
import xarray as xr

from analyses.announcement import Announcement
from analyses.options import Out
from analyses.pages.finding import Finding
from analyses.pages.palette import GUIDE, series
from analyses.pages.panels import draw, finished, panels
from analyses.pages.wrapping import wrapped
from analyses.statistics import simulated_curves as curves
from analyses.statistics.critical_size import (
    CriticalSize,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)
from analyses.statistics.simulated_curves import TRUTH, Departure, critical_sizes, sizes_around
from grokinterp.bars import progress_bar
from grokinterp.checks import check_int
from grokinterp.short_text import short

SEEDS = (3, 5, 10)
DEPARTURES = {
    "as assumed": Departure(),
    "no offsets": Departure(offset=0.0),
    "large offsets": Departure(offset=3.0),
    "uneven noise": Departure(uneven=4.0),
    "unequal slopes": Departure(slopes=0.3),
    "20 % censored": Departure(censored=0.2),
}


# Draws a data set of some seeds, with a departure, and returns the estimate.
Simulation = Callable[[np.random.Generator, int, Departure], CriticalSize]


def simulated_crossing(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Norms of two circuits: one grows with the size, the other is constant."""
    sizes = sizes_around(rng, 0.4)
    growing = curves.growing(sizes, critical_sizes(rng, seeds), how.slope(rng, seeds))
    return efficiency_crossing(sizes, *curves.norms(rng, growing, seeds, how))


def simulated_midpoint(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Final accuracies that rise from chance to one; each replicate has its own width."""
    sizes = sizes_around(rng, 0.4)
    logit = curves.transition(rng, sizes, critical_sizes(rng, seeds), how.slope(rng, seeds))
    return ungrokking_midpoint(sizes, curves.accuracies(rng, logit, seeds, how))


def simulated_divergence(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Times that diverge as a power (-1/2 to -2) of the distance from D_crit, cut by a budget."""
    sizes = sizes_around(rng, 0.6)
    beyond = sizes - critical_sizes(rng, seeds)
    budget = float(np.exp(rng.uniform(np.log(4e3), np.log(3e4))))
    return divergence_of_time(sizes, *curves.times(rng, beyond, seeds, how, budget=budget))


def equal_norms(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Two circuits with the same norm at every size."""
    sizes = sizes_around(rng, 0.4)
    curve = np.ones((seeds, curves.N_SIZES))
    return efficiency_crossing(sizes, *curves.norms(rng, curve, seeds, how))


def parallel_norms(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """One circuit needs 5 % more norm than the other at every size."""
    sizes = sizes_around(rng, 0.4)
    curve = np.full((seeds, curves.N_SIZES), 1.05)
    return efficiency_crossing(sizes, *curves.norms(rng, curve, seeds, how))


def meeting_norms(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """With less data one circuit becomes as cheap as the other, but never cheaper."""
    sizes = sizes_around(rng, 0.4)
    truth = np.full((seeds, 1), TRUTH)
    curve = np.maximum(curves.growing(sizes, truth, how.slope(rng, seeds)), 1.0)
    return efficiency_crossing(sizes, *curves.norms(rng, curve, seeds, how))


def no_drop(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Every network keeps its accuracy of .92 to .99."""
    sizes = sizes_around(rng, 0.4)
    logit = np.full((seeds, curves.N_SIZES), rng.uniform(2.6, 5))
    return ungrokking_midpoint(sizes, curves.accuracies(rng, logit, seeds, how))


def half_a_drop(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Accuracy falls to a plateau at one half."""
    sizes = sizes_around(rng, 0.4)
    slope = how.slope(rng, seeds)
    logit = np.maximum(slope * np.log(sizes / critical_sizes(rng, seeds)) / 0.05, 0.0)
    return ungrokking_midpoint(sizes, curves.accuracies(rng, logit, seeds, how))


def power_law(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Times that are a power of the size itself; the budget cuts off none to half of them."""
    sizes = sizes_around(rng, 0.6)
    budget = 1000 * float(np.exp(rng.uniform(0, 2)))
    beyond = np.broadcast_to(sizes, (seeds, curves.N_SIZES))
    return divergence_of_time(sizes, *curves.times(rng, beyond, seeds, how, budget=budget))


def exponential(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Times that fall exponentially with the size, cut off as for a power law."""
    sizes = sizes_around(rng, 0.6)
    budget = 1000 * float(np.exp(rng.uniform(0, 2)))
    # A power of this is an exponential of the size.
    beyond = np.broadcast_to(TRUTH * np.exp(sizes / TRUTH - 1), (seeds, curves.N_SIZES))
    return divergence_of_time(sizes, *curves.times(rng, beyond, seeds, how, budget=budget))


def levelling(rng: np.random.Generator, seeds: int, how: Departure) -> CriticalSize:
    """Times that fall as a power of the size to a constant, as if a part of them needed no data."""
    sizes = sizes_around(rng, 0.6)
    budget = 1000 * float(np.exp(rng.uniform(0, 2)))
    # A power of -1/2 to -2 of this levels off from D_crit on.
    beyond = np.broadcast_to(TRUTH * 2 / (1 + (sizes / TRUTH) ** -2.0), (seeds, curves.N_SIZES))
    return divergence_of_time(sizes, *curves.times(rng, beyond, seeds, how, budget=budget))


SIMULATED: dict[str, Simulation] = {
    "efficiency crossing": simulated_crossing,
    "ungrokking midpoint": simulated_midpoint,
    "divergence of time": simulated_divergence,
}
ABSENT: dict[str, dict[str, Simulation]] = {
    "efficiency crossing": {
        "equal": equal_norms,
        "parallel": parallel_norms,
        "meeting": meeting_norms,
    },
    "ungrokking midpoint": {"no drop": no_drop, "half a drop": half_a_drop},
    "divergence of time": {
        "power law": power_law,
        "exponential": exponential,
        "levelling": levelling,
    },
}


def compute(
    seeds: tuple[int, ...] = SEEDS,
    *,
    replicates: int = 300,
    estimators: tuple[str, ...] = tuple(SIMULATED),
    departures: tuple[str, ...] = tuple(DEPARTURES),
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Simulate and estimate, with a D_crit and without one; ``progress`` shows a bar.

    Returns:
        With a D_crit, over ("estimator", "departure", "seeds"): ``detected``, share of replicates
        with an interval; of those, ``coverage``, the share whose interval contains the truth,
        ``above`` and ``below``, the shares whose interval lies entirely above or below it,
        ``bias``, median of value / truth - 1, and ``width``, median of high / low. Without one,
        over ("absence", "departure", "seeds"): ``false``, share of replicates with an interval. An
        absence is named after its estimator and the shape of the curves.
    """
    check_int("replicates", replicates, minimum=1)
    absent = {
        f"{name}: {kind}": simulate
        for name in estimators
        for kind, simulate in ABSENT[name].items()
    }
    shape = len(departures), len(seeds)
    rows = np.full((len(estimators), *shape, 6), np.nan)
    false = np.zeros((len(absent), *shape))
    data_sets = (rows[..., 0].size + false.size) * replicates
    with progress_bar(data_sets, unit="", desc="simulated data sets", wanted=progress) as bar:

        def estimates(simulate: Simulation, at: tuple[int, ...]) -> list[CriticalSize]:
            rng, found = np.random.default_rng([seed, seeds[at[1]]]), []
            for _ in range(replicates):
                found.append(simulate(rng, seeds[at[1]], DEPARTURES[departures[at[0]]]))
                bar.update()
            return found

        for at in np.ndindex(*shape):
            for i, name in enumerate(estimators):
                rows[i, *at] = _summary(estimates(SIMULATED[name], at))
            for i, simulate in enumerate(absent.values()):
                false[i, *at] = np.mean([not np.isnan(e.low) for e in estimates(simulate, at)])
    names = ("detected", "coverage", "above", "below", "bias", "width")
    axes = ("estimator", "departure", "seeds")
    present = {name: (axes, rows[..., k]) for k, name in enumerate(names)}
    coords = {"estimator": list(estimators), "absence": list(absent)}
    return xr.Dataset(
        present | {"false": (("absence", *axes[1:]), false)},
        coords=coords | {"departure": list(departures), "seeds": list(seeds)},
        attrs={"replicates": replicates, "truth": TRUTH, "nominal": 0.95},
    )


def plot_rates(data: xr.Dataset) -> go.Figure:
    """Coverage where there is a D_crit; rate of false estimates where there is none."""
    names = [data.estimator.values.tolist(), data.absence.values.tolist()]
    titles = [
        "There is a D_crit: intervals that contain it, of all intervals (a marker per departure)",
        "There is none: data sets with an interval (a marker per departure)",
    ]
    heights = [len(rows) for rows in names]
    figure = panels(titles, rows=2, row_heights=heights, vertical_spacing=0.2)
    for i, n in enumerate(data.seeds.values):
        one = data.sel(seeds=n)
        covered = one.coverage.transpose("estimator", "departure").values
        false = one.false.transpose("absence", "departure").values
        for row, rates in ((1, covered), (2, false)):
            places = np.arange(len(rates)) + 0.25 * (i - (data.sizes["seeds"] - 1) / 2)
            x, y, look = rates.ravel(), np.repeat(places, rates.shape[1]), series(i)
            hover = "%{text}: %{x:.0%}<extra></extra>"
            options = {"mode": "markers", "size": 8, "opacity": 0.75, "hover": hover}
            text = np.tile(data.departure.values, len(rates))
            draw(figure, (row, 1), x, y, f"{n} seeds", look, text=text, **options)
    nominal = data.attrs["nominal"]
    for row, level in ((1, nominal), (2, 1 - nominal)):
        ends = {"y0": -0.5, "y1": heights[row - 1] - 0.5, "line": {"color": GUIDE, "dash": "dash"}}
        figure.add_shape(type="line", x0=level, x1=level, **ends, row=row, col=1)
        figure.update_xaxes(tickformat=".0%", row=row)
        figure.update_yaxes(
            tickvals=list(range(heights[row - 1])),
            ticktext=[wrapped(name, 12) for name in names[row - 1]],
            row=row,
        )
        figure.update_yaxes(zeroline=False, range=[heights[row - 1] - 0.5, -0.5], row=row)
    title = f"Estimates of D_crit on simulated curves, {data.attrs['replicates']} data sets each"
    return finished(figure, title, height=280 + 45 * sum(heights))


def experiment(
    out: Out,
    replicates: Annotated[int, typer.Option(min=1)] = 300,
    seeds: Annotated[list[int] | None, typer.Option(help="numbers of seeds; 3, 5, 10")] = None,
    estimator: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(SIMULATED)}")] = None,
) -> Iterator[Announcement | Finding]:
    """Simulate how often the estimates of D_crit are right, with a D_crit and without one."""
    for name in estimator or ():
        if name not in SIMULATED:
            known = ", ".join(SIMULATED)
            raise ValueError(f"estimator {short(name)} is unknown; take one of {known}")
    numbers, names = tuple(seeds or SEEDS), tuple(estimator or SIMULATED)
    begin = time.perf_counter()
    compute(seeds=numbers, estimators=names, replicates=1)
    yield Announcement(seconds=(time.perf_counter() - begin) * replicates)
    data = compute(seeds=numbers, estimators=names, replicates=replicates, progress=True)
    yield Finding(data=data, figures=[plot_rates(data)], rows=table(data))


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """How often each estimate is right; then how often there is a false one, by departure."""
    by_departure = data.false.stack(case=("absence", "seeds")).to_pandas().T.reset_index()
    titles = {name: f"false: {name}" for name in data.departure.values}
    rows = data.drop_dims("absence").to_dataframe().reset_index().to_dict("records")
    return [*rows, *by_departure.rename(columns=titles).to_dict("records")]


def _summary(every: list[CriticalSize]) -> tuple[float, ...]:
    """The six variables of :func:`compute` with a D_crit, for one cell."""
    found = [e for e in every if not np.isnan(e.low)]  # a single seed has a value but no interval
    if not found:
        return 0.0, *[np.nan] * 5
    value, low, high = np.array([(e.value, e.low, e.high) for e in found]).T
    above, below = float((low > TRUTH).mean()), float((high < TRUTH).mean())
    bias, width = float(np.median(value) / TRUTH - 1), float(np.median(high / low))
    return len(found) / len(every), 1 - above - below, above, below, bias, width
