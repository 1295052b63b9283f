"""Figures of data efficiency: the paper's nine panels with a control, and a ranking."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.data_efficiency.grids import PANELS, RATES
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GUIDE, Look, series
from analyses.pages.panels import Place, draw, error_bars, finished, panels
from analyses.pages.style import explain
from analyses.pages.wrapping import wrapped

_LOOK = {  # of a learning rate
    "low": series(2),
    "baseline": series(0),
    "high": series(1),
}
_CONTROL = {"baseline": "high", "low": "baseline", "high": "baseline"}  # the rate to compare with


def plot_curves(
    data: xr.Dataset,
    *,
    reading: str = "final",
    published: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> go.Figure:
    """Fig. 4: test accuracy against the fraction, a panel per setting, at two learning rates.

    Args:
        data: from ``data_efficiency.compute``.
        reading: "final" or "best".
        published: panel -> (fractions, accuracies), drawn as thin grey lines.
    """
    titles = [f"<b>{panel}</b>" for panel in PANELS]
    figure = panels(titles, rows=3, shared_xaxes=True, vertical_spacing=0.07)
    data = data.sel(reading=reading)
    for i, (panel, (factor, rate)) in enumerate(PANELS.items()):
        place = i // 3 + 1, i % 3 + 1
        if published is not None:
            x, y = (np.multiply(100, values) for values in published[panel])
            look = Look(GUIDE, symbol="x")
            draw(figure, place, x, y, "published, one run", look, width=1, size=6)
        for drawn in (_CONTROL[rate], rate):  # the panel's own rate on top
            cells = data.sel(factor=factor, rate=drawn)
            if int(cells.n_done.sum()):
                middle, low, high = (100 * cells[name].values for name in ("mean", "low", "high"))
                bars = error_bars(middle, low, high, thickness=1.2, width=3)
                hover = "%{x:.0f} % of pairs: %{y:.1f} %<extra></extra>"
                options = {"width": 2, "size": 7, "error_y": bars, "hover": hover}
                _draw(figure, place, 100 * cells.fraction.values, middle, cells, **options)
    figure.update_xaxes(range=[4, 96], dtick=20, tick0=10)
    figure.update_yaxes(range=[-4, 104], dtick=25)
    figure.update_xaxes(title="pairs in training (%)", row=3)
    figure.update_yaxes(title="test accuracy (%)", row=2, col=1)
    title = f"Data efficiency: {reading} test accuracy"
    return finished(figure, title, height=820, note=_seeds(data))


def plot_ranking(data: xr.Dataset, *, reading: str = "final") -> go.Figure:
    """Every setting at every rate: mean over fractions, gain over Adam, and data needed.

    Settings are sorted by their means at the baseline rate. In the last panel, an open triangle or
    the end of an interval at "more" lies beyond the largest fraction of the grid.
    """
    titles = [
        "<b>test accuracy</b><br>mean over fractions (%)",
        "<b>gain over Adam at its rate</b><br>points; Adam: over baseline rate",
        f"<b>data for {data.attrs['level']:.0%} test</b><br>pairs in training (%)",
    ]
    figure = panels(titles)
    data = data.sel(reading=reading)
    data = data.sortby(data.overall.sel(rate="baseline"), ascending=False)
    factors, beyond = data.factor.values.tolist(), 100 * float(data.fraction[-1]) + 17
    for i, rate in enumerate(RATES):
        cells = data.sel(rate=rate)
        cells = cells.isel(factor=np.flatnonzero(cells.n_done.sum("fraction") > 0))
        y = np.array([factors.index(name) for name in cells.factor.values]) + 0.22 * (i - 1)
        for column, name in enumerate(("overall", "gain"), 1):
            names = (name, f"{name}_low", f"{name}_high")
            x, low, high = (100 * cells[end].values for end in names)
            _draw_interval(figure, column, x, low, high, y, cells)
        names = ("first_fraction", "first_low", "first_high")
        needed, first, last = (100 * cells[name].values for name in names)
        known = ~np.isnan(needed)
        needed, first, last = (np.where(np.isnan(x), beyond, x) for x in (needed, first, last))
        if data.attrs["n_seeds"] == 1:  # there are no intervals
            first = last = needed
        symbols = np.where(known, _LOOK[rate].symbol, "triangle-right-open")
        _draw_interval(figure, 3, needed, first, last, y, cells, marker_symbol=symbols)
    figure.add_vline(0, line={"color": GUIDE, "dash": "dot"}, row=1, col=2)
    names = [wrapped(name, 12) for name in factors]
    figure.update_yaxes(tickvals=list(range(len(factors))), ticktext=names)
    figure.update_yaxes(range=[len(factors) - 0.5, -0.5])
    figure.update_xaxes(range=[-4, 104], dtick=50, col=1)
    ticks = [*(100 * data.fraction.values[::4]).round(), beyond]
    figure.update_xaxes(tickvals=ticks, ticktext=[*(f"{x:g}" for x in ticks[:-1]), "more"], col=3)
    figure.update_xaxes(range=[ticks[0] - 6, beyond + 7], tickangle=0, col=3)
    beyond_grid = {"symbol": "triangle-right-open"}
    explain(figure, "more than the largest fraction", **beyond_grid)
    title = f"Who needs less data: {reading} accuracy"
    return finished(figure, title, height=560, note=_seeds(data))


def _draw_interval(
    figure: Any, column: int, x: Any, low: Any, high: Any, y: Any, cells: xr.Dataset, **more: Any
) -> None:
    """Markers with horizontal intervals."""
    bars = error_bars(x, low, high, thickness=1.5, width=3)
    options = {"mode": "markers", "error_x": bars, "hover": "%{x:.3g}<extra></extra>"} | more
    _draw(figure, (1, column), x, y, cells, **options)


def _draw(figure: Any, place: Place, x: Any, y: Any, cells: xr.Dataset, **options: Any) -> None:
    """In the look of the cells' learning rate."""
    rate = cells.rate.item()
    name = f"{rate} rate, {float(cells.learning_rate.max()):.2g}"
    draw(figure, place, x, y, name, _LOOK[rate], legendgroup=rate, **options)


def _seeds(data: xr.Dataset) -> str:
    seeds = seeds_in_words(data.n_done, of=data.attrs["n_seeds"])
    return seeds + (", 95 % t intervals" if data.attrs["n_seeds"] > 1 else "")
