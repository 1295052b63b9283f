"""Figures of data efficiency: the paper's nine panels with a control, and a ranking."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.data_efficiency.grids import PANELS, RATES
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLUE, GREY, ORANGE, RED, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STYLE = {  # of a learning rate, in every figure
    "low": {"color": RED, "dash": "dot", "symbol": "square"},
    "baseline": {"color": BLUE, "dash": "solid", "symbol": "circle"},
    "high": {"color": ORANGE, "dash": "dash", "symbol": "diamond"},
}
_OTHER = {"baseline": "high", "low": "baseline", "high": "baseline"}


def plot_curves(
    data: xr.Dataset,
    *,
    reading: str = "final",
    published: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> "go.Figure":
    """Fig. 4: validation accuracy against the fraction, a panel per setting, at two learning rates.

    Args:
        data: as ``data_efficiency.compute`` returns it.
        reading: "final" or "best".
        published: panel -> (fractions, accuracies), drawn thin in grey; None: nothing.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=3, cols=3, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.03,
        vertical_spacing=0.07, subplot_titles=[f"<b>{panel}</b>" for panel in PANELS],
    )  # fmt: skip
    shown: set[str] = set()
    data = data.sel(reading=reading)
    for i, (panel, (factor, rate)) in enumerate(PANELS.items()):
        place: dict[str, Any] = {"row": i // 3 + 1, "col": i % 3 + 1}
        if published is not None:
            x, y = published[panel]
            figure.add_scatter(
                x=np.multiply(100, x), y=np.multiply(100, y), mode="lines+markers",
                line={"color": GREY, "width": 1}, marker={"symbol": "x", "size": 6},
                name="published, one run", legendgroup="published", showlegend=i == 0, **place,
            )  # fmt: skip
        for drawn in (_OTHER[rate], rate):  # the panel's own rate on top
            cells = data.sel(factor=factor, rate=drawn)
            if int(cells.n_done.sum()):
                _draw(figure, cells, drawn, place, legend=drawn not in shown)
                shown.add(drawn)
    figure.update_xaxes(range=[4, 96], dtick=20, tick0=10)
    figure.update_yaxes(range=[-4, 104], dtick=25)
    figure.update_xaxes(title="pairs in training (%)", row=3)
    figure.update_yaxes(title="validation accuracy (%)", row=2, col=1)
    figure.update_annotations(font_size=14)
    title = f"Data efficiency: {reading} validation accuracy"
    figure = finish(figure, title=title, height=820, seeds=_seeds(data))
    return figure.update_layout(margin_t=115, legend={"y": 1.045}, title_y=0.975)


def plot_ranking(data: xr.Dataset, *, reading: str = "final") -> "go.Figure":
    """Every setting at every rate: mean over fractions, gain over Adam, and data needed.

    Settings are in the order of their means at the baseline rate. In the last panel an open
    triangle, or an interval up to it, is beyond the largest fraction of the grid.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        cols=3, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[
            "<b>validation accuracy</b><br>mean over fractions (%)",
            "<b>gain over Adam at its rate</b><br>points; Adam: over baseline rate",
            f"<b>data for {data.attrs['level']:.0%} validation</b><br>pairs in training (%)",
        ],
    )  # fmt: skip
    data = data.sel(reading=reading)
    data = data.sortby(data.overall.sel(rate="baseline"), ascending=False)
    beyond = 100 * float(data.fraction[-1]) + 17
    for rate in RATES:
        cells = data.sel(rate=rate)
        cells = cells.isel(factor=np.flatnonzero(cells.n_done.sum("fraction") > 0))
        y = [data.factor.values.tolist().index(name) for name in cells.factor.values]
        y = np.array(y) + 0.22 * (RATES.index(rate) - 1)
        for i, name in enumerate(("overall", "gain")):
            middle, low, high = (
                100 * cells[n].values for n in (name, f"{name}_low", f"{name}_high")
            )
            _points(figure, i, data, rate, middle, low, high, y)
        needed = 100 * cells.first_fraction.values
        first, last = needed, needed
        if data.attrs["n_seeds"] > 1:  # without intervals NaN does not mean beyond
            first, last = (
                np.where(np.isnan(end), beyond, 100 * end)
                for end in (cells.first_low.values, cells.first_high.values)
            )
        symbols = np.where(np.isnan(needed), "triangle-right-open", _STYLE[rate]["symbol"])
        needed = np.where(np.isnan(needed), beyond, needed)
        _points(figure, 2, data, rate, needed, first, last, y, symbols=symbols)
    figure.add_vline(0, line={"color": GREY, "dash": "dot"}, row=1, col=2)  # pyright: ignore[reportArgumentType]
    figure.update_yaxes(
        tickvals=list(range(data.sizes["factor"])), ticktext=data.factor.values.tolist(),
        range=[data.sizes["factor"] - 0.5, -0.5],
    )  # fmt: skip
    figure.update_xaxes(range=[-4, 104], dtick=25, col=1)
    ticks = [*(100 * data.fraction.values[::2]).round(), beyond]
    figure.update_xaxes(
        tickvals=ticks, ticktext=[*(f"{tick:g}" for tick in ticks[:-1]), "more"],
        range=[ticks[0] - 6, beyond + 7], tickangle=0, col=3,
    )  # fmt: skip
    figure.update_annotations(font_size=13)
    title = f"Who needs less data: {reading} accuracy"
    figure = finish(figure, title=title, height=560, seeds=_seeds(data))
    return figure.update_layout(margin={"l": 170, "t": 140}, legend={"y": 1.11}, title_y=0.96)


def _draw(
    figure: "go.Figure", cells: xr.Dataset, rate: str, place: dict[str, Any], *, legend: bool
) -> None:
    """One curve with its interval."""
    style = _STYLE[rate]
    mean, low, high = (100 * cells[name].values for name in ("mean", "low", "high"))
    figure.add_scatter(
        x=100 * cells.fraction.values, y=mean, mode="lines+markers", legendgroup=rate,
        name=_rate_label(cells, rate), showlegend=legend,
        line={"color": style["color"], "dash": style["dash"], "width": 2},
        marker={"symbol": style["symbol"], "size": 7},
        error_y={"array": high - mean, "arrayminus": mean - low, "thickness": 1.2, "width": 3},
        hovertemplate="%{x:.0f} % of pairs: %{y:.1f} %<extra></extra>", **place,
    )  # fmt: skip


def _points(
    figure: "go.Figure",
    panel: int,
    data: xr.Dataset,
    rate: str,
    middle: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    y: np.ndarray,
    *,
    symbols: np.ndarray | None = None,
) -> None:
    """Markers with horizontal intervals."""
    style = _STYLE[rate]
    figure.add_scatter(
        x=middle, y=y, mode="markers", name=_rate_label(data.sel(rate=rate), rate),
        legendgroup=rate, showlegend=panel == 0, row=1, col=panel + 1,
        marker={
            "color": style["color"], "size": 9,
            "symbol": style["symbol"] if symbols is None else symbols,
        },
        error_x={"array": high - middle, "arrayminus": middle - low, "thickness": 1.5, "width": 3},
        hovertemplate="%{x:.3g}<extra></extra>",
    )  # fmt: skip


def _rate_label(cells: xr.Dataset, rate: str) -> str:
    return f"{rate} rate, {float(cells.learning_rate.max()):.2g}"


def _seeds(data: xr.Dataset) -> str:
    seeds = seeds_in_words(data.n_done, of=data.attrs["n_seeds"])
    return seeds + (", 95 % t intervals" if data.attrs["n_seeds"] > 1 else "")
