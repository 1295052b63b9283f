"""How reliable the estimates of D_crit are, on simulated curves with a known answer.

``grokinterp run coverage OUT`` prints two tables: with a D_crit, how often its 95 % interval
contains it; without one, how often it is estimated all the same. It takes about an hour on one core
at the default number of replicates, nearly all of it for the divergence of time.

Every replicate draws new sizes, a factor of 1.2 apart with a random start, and new seeds. Each seed
has an offset that its whole curve shares, its own D_crit (with a spread of 5 % around the common
one, which is the truth), and noise in every run. Curves bend like real ones: the memorising norm is
a constant plus a power of the size, transitions may be steeper than the sizes resolve, and training
ends before the slowest runs grok.
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
from analyses.pages.panels import Look, draw, finished, panels
from analyses.pages.style import BLUE, GREEN, GREY, ORANGE
from analyses.statistics.critical_size import (
    CriticalSize,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)
from grokinterp.bars import progress_bar
from grokinterp.checks import check_int
from grokinterp.short_text import short

TRUTH = 1000.0
SEEDS = (3, 5, 10)
OFFSETS = (0.0, 0.05, 0.15, 0.3)  # standard deviations of the seeds' offsets, without a D_crit
_JITTER = 0.05  # standard deviation of a seed's log D_crit
_N_SIZES, _RATIO = 9, 1.2


def sizes_around(rng: np.random.Generator, first: float) -> np.ndarray:
    """Nine sizes, the smallest about ``first`` times the true D_crit."""
    return np.round(TRUTH * first * _RATIO ** (np.arange(_N_SIZES) + rng.uniform()))


def simulated_crossing(rng: np.random.Generator, seeds: int) -> CriticalSize:
    """Norms of two circuits: one grows with the size, the other is constant."""
    sizes = sizes_around(rng, 0.4)
    growing = 0.6 + 0.4 * (sizes / _critical(rng, seeds)) ** 0.8
    return _of_norms(rng, sizes, seeds, growing, offset=0.03)


def simulated_midpoint(rng: np.random.Generator, seeds: int) -> CriticalSize:
    """Final accuracies that rise from chance to one; each replicate has its own width."""
    sizes = sizes_around(rng, 0.4)
    width = np.exp(rng.uniform(np.log(0.01), np.log(0.15)))  # in the logarithm of the size
    logit = np.log(sizes / _critical(rng, seeds)) / width
    return _of_accuracies(rng, sizes, seeds, logit, offset=0.0)


def simulated_divergence(rng: np.random.Generator, seeds: int) -> CriticalSize:
    """Times that diverge as a power (-1/2 to -2) of the distance from D_crit, cut by a budget."""
    sizes = sizes_around(rng, 0.6)
    beyond = sizes - _critical(rng, seeds)
    budget = np.exp(rng.uniform(np.log(4e3), np.log(3e4)))
    return _of_times(rng, sizes, seeds, beyond, budget, offset=0.15)


def equal_norms(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """Two circuits with the same norm at every size."""
    sizes = sizes_around(rng, 0.4)
    return _of_norms(rng, sizes, seeds, np.ones_like(sizes), offset=offset)


def parallel_norms(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """One circuit needs 5 % more norm than the other at every size."""
    sizes = sizes_around(rng, 0.4)
    return _of_norms(rng, sizes, seeds, np.full_like(sizes, 1.05), offset=offset)


def meeting_norms(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """With less data one circuit becomes as cheap as the other, but never cheaper."""
    sizes = sizes_around(rng, 0.4)
    growing = np.maximum(0.6 + 0.4 * (sizes / TRUTH) ** 0.8, 1.0)
    return _of_norms(rng, sizes, seeds, growing, offset=offset)


def no_drop(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """Every network keeps its accuracy of .92 to .99."""
    sizes = sizes_around(rng, 0.4)
    return _of_accuracies(rng, sizes, seeds, np.full_like(sizes, rng.uniform(2.6, 5)), offset)


def half_a_drop(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """Accuracy falls to a plateau at one half."""
    sizes = sizes_around(rng, 0.4)
    logit = np.maximum(np.log(sizes / _critical(rng, seeds)) / 0.05, 0.0)
    return _of_accuracies(rng, sizes, seeds, logit, offset)


def power_law(rng: np.random.Generator, seeds: int, offset: float) -> CriticalSize:
    """Times that are a power of the size itself; the budget cuts off none to half of them."""
    sizes = sizes_around(rng, 0.6)
    return _of_times(rng, sizes, seeds, sizes, 1000 * np.exp(rng.uniform(0, 2)), offset)


SIMULATED: dict[str, Callable[[np.random.Generator, int], CriticalSize]] = {
    "efficiency crossing": simulated_crossing,
    "ungrokking midpoint": simulated_midpoint,
    "divergence of time": simulated_divergence,
}
ABSENT: dict[str, dict[str, Callable[[np.random.Generator, int, float], CriticalSize]]] = {
    "efficiency crossing": {
        "equal": equal_norms,
        "parallel": parallel_norms,
        "meeting": meeting_norms,
    },
    "ungrokking midpoint": {"no drop": no_drop, "half a drop": half_a_drop},
    "divergence of time": {"power law": power_law},
}


def compute(
    seeds: tuple[int, ...] = SEEDS,
    *,
    replicates: int = 300,
    estimators: tuple[str, ...] = tuple(SIMULATED),
    offsets: tuple[float, ...] = OFFSETS,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Simulate and estimate, with a D_crit and without one; ``progress`` shows a bar.

    Returns:
        With a D_crit, over ("estimator", "seeds"): ``detected``, share of replicates with an
        interval; of those, ``coverage``, the share whose interval contains the truth, ``above`` and
        ``below``, the shares whose interval lies entirely above or below it, ``bias``, median of
        value / truth - 1, and ``width``, median of high / low. Without one, over ("absence",
        "seeds", "offset"): ``false``, share of replicates with an interval. An absence is named
        after its estimator and the shape of the curves.
    """
    check_int("replicates", replicates, minimum=1)
    absent = {
        f"{name}: {kind}": simulate
        for name in estimators
        for kind, simulate in ABSENT[name].items()
    }
    rows = np.full((len(estimators), len(seeds), 6), np.nan)
    false = np.zeros((len(absent), len(seeds), len(offsets)))
    data_sets = (rows[..., 0].size + false.size) * replicates
    with progress_bar(data_sets, unit="", desc="simulated data sets", wanted=progress) as bar:

        def estimates(
            simulate: Callable[..., CriticalSize], n: int, *offset: float
        ) -> list[CriticalSize]:
            rng, found = np.random.default_rng([seed, n]), []
            for _ in range(replicates):
                found.append(simulate(rng, n, *offset))
                bar.update()
            return found

        for j, n in enumerate(seeds):
            for i, name in enumerate(estimators):
                rows[i, j] = _summary(estimates(SIMULATED[name], n))
            for i, simulate in enumerate(absent.values()):
                for k, offset in enumerate(offsets):
                    found = estimates(simulate, n, offset)
                    false[i, j, k] = np.mean([not np.isnan(e.low) for e in found])
    names = ("detected", "coverage", "above", "below", "bias", "width")
    present = {name: (("estimator", "seeds"), rows[..., k]) for k, name in enumerate(names)}
    axes = {"estimator": list(estimators), "absence": list(absent)}
    return xr.Dataset(
        present | {"false": (("absence", "seeds", "offset"), false)},
        coords=axes | {"seeds": list(seeds), "offset": list(offsets)},
        attrs={"replicates": replicates, "truth": TRUTH, "nominal": 0.95},
    )


def plot_rates(data: xr.Dataset) -> go.Figure:
    """Coverage where there is a D_crit; rate of false estimates where there is none."""
    names = [data.estimator.values.tolist(), data.absence.values.tolist()]
    titles = [
        "There is a D_crit: intervals that contain it, of all intervals",
        "There is none: data sets with an interval (a marker per offset)",
    ]
    heights = [len(rows) for rows in names]
    figure = panels(titles, rows=2, row_heights=heights, vertical_spacing=0.2)
    looks = (Look(BLUE), Look(ORANGE, symbol="square"), Look(GREEN, symbol="diamond"))
    for i, n in enumerate(data.seeds.values):
        one = data.sel(seeds=n)
        false = one.false.transpose("absence", "offset").values
        for row, rates in ((1, one.coverage.values[:, None]), (2, false)):
            places = np.arange(len(rates)) + 0.25 * (i - (data.sizes["seeds"] - 1) / 2)
            x, y, look = rates.ravel(), np.repeat(places, rates.shape[1]), looks[i % len(looks)]
            options = {"mode": "markers", "size": 8, "opacity": 0.75}
            draw(figure, (row, 1), x, y, f"{n} seeds", look, **options)
    nominal = data.attrs["nominal"]
    for row, level in ((1, nominal), (2, 1 - nominal)):
        ends = {"y0": -0.5, "y1": heights[row - 1] - 0.5, "line": {"color": GREY, "dash": "dash"}}
        figure.add_shape(type="line", x0=level, x1=level, **ends, row=row, col=1)
        figure.update_xaxes(tickformat=".0%", row=row)
        figure.update_yaxes(
            tickvals=list(range(heights[row - 1])), ticktext=names[row - 1], row=row
        )
        figure.update_yaxes(zeroline=False, range=[heights[row - 1] - 0.5, -0.5], row=row)
    figure.update_annotations(font_size=14)
    title = f"Estimates of D_crit on simulated curves, {data.attrs['replicates']} data sets each"
    layout = {"legend": {"y": -0.08, "yanchor": "top"}, "margin": {"b": 80}}
    return finished(figure, title, height=250 + 45 * sum(heights), **layout)


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
    """How often each estimate is right; then how often there is a false one, by offset."""
    present, absent = data.drop_dims(("absence", "offset")), data.false
    by_offset = absent.stack(case=("absence", "seeds")).to_pandas().T.reset_index()
    titles = {offset: f"false at offset {offset:g}" for offset in absent.offset.values}
    by_offset = by_offset.rename(columns=titles)
    rows = present.to_dataframe().reset_index().to_dict("records")
    return [*rows, *by_offset.to_dict("records")]


def _critical(rng: np.random.Generator, seeds: int) -> np.ndarray:
    return TRUTH * np.exp(_JITTER * rng.standard_normal((seeds, 1)))


def _of_norms(
    rng: np.random.Generator, sizes: np.ndarray, seeds: int, growing: np.ndarray, offset: float
) -> CriticalSize:
    """The estimate from a memorising norm and a constant one, each with its own offset per seed."""
    memorising, generalising = (
        30 * curve * _log_noise(rng, (seeds, 1), offset) * _log_noise(rng, (seeds, _N_SIZES), 0.05)
        for curve in (growing, 1.0)
    )
    return efficiency_crossing(sizes, memorising, generalising)


def _of_accuracies(
    rng: np.random.Generator, sizes: np.ndarray, seeds: int, logit: np.ndarray, offset: float
) -> CriticalSize:
    logit = logit + 0.5 * rng.standard_normal((seeds, _N_SIZES))
    logit = logit + offset * rng.standard_normal((seeds, 1))
    return ungrokking_midpoint(sizes, 0.01 + 0.985 / (1 + np.exp(-logit)))


def _of_times(
    rng: np.random.Generator,
    sizes: np.ndarray,
    seeds: int,
    beyond: np.ndarray,
    budget: float,
    offset: float,
) -> CriticalSize:
    """The estimate from times that are a power of ``beyond``, the distance from D_crit or size."""
    exponent = rng.uniform(0.5, 2)
    times = 1000 * (np.maximum(beyond, 1e-6) / TRUTH) ** -exponent
    times = times * _log_noise(rng, (seeds, 1), offset) * _log_noise(rng, (seeds, _N_SIZES), 0.2)
    finished = (times < budget) & (beyond > 0)
    return divergence_of_time(sizes, times, finished, budget)


def _summary(every: list[CriticalSize]) -> tuple[float, ...]:
    """The six variables of :func:`compute` over ("estimator", "seeds"), for one cell."""
    found = [e for e in every if not np.isnan(e.low)]  # a single seed has a value but no interval
    if not found:
        return 0.0, *[np.nan] * 5
    value, low, high = np.array([(e.value, e.low, e.high) for e in found]).T
    above, below = float((low > TRUTH).mean()), float((high < TRUTH).mean())
    bias, width = float(np.median(value) / TRUTH - 1), float(np.median(high / low))
    return len(found) / len(every), 1 - above - below, above, below, bias, width


def _log_noise(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    return np.exp(size * rng.standard_normal(shape))
