"""Panels, curves and markers: the few plotly calls that figures of many runs share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GUIDE, PHASE_COLOR, Look
from analyses.pages.style import finish

Place = tuple[int, int]  # row and column of a panel, from 1

LOG_STEPS: dict[str, Any] = {"type": "log", "title": "step (updates)"}
ACCURACIES = [-0.03, 1.03]  # range of an axis of accuracies


def panels(titles: Sequence[str] = ("",), *, rows: int = 1, gap: float = 0.07, **more: Any) -> Any:
    """A figure of ``rows`` rows of panels with these titles.

    The panels of a row share the y axis unless ``more`` says otherwise; ``gap`` is the horizontal
    distance between them as a share of the width.
    """
    from plotly.subplots import make_subplots

    more = {"shared_yaxes": True, "horizontal_spacing": gap, "subplot_titles": titles} | more
    return make_subplots(rows=rows, cols=len(titles) // rows, **more)


def draw(
    figure: Any,
    place: Place,
    x: Any,
    y: Any,
    name: str,
    look: Look,
    *,
    mode: str = "lines+markers",
    width: int | float = 2.5,
    size: Any = 9,
    hover: str | None = None,
    **more: Any,
) -> None:
    """Add a curve or markers to a panel.

    The legend shows each name (or ``legendgroup``) once, see :func:`finished`. ``hover`` is
    plotly's ``hovertemplate``; ``more`` goes to ``add_scatter``.
    """
    if "lines" in mode:
        more = {"line": {"color": look.color, "dash": look.dash, "width": width}} | more
    if "markers" in mode:
        more = {"marker": {"color": look.color, "symbol": look.symbol, "size": size}} | more
    more = {"legendgroup": name, "row": place[0], "col": place[1], "hovertemplate": hover} | more
    figure.add_scatter(x=x, y=y, mode=mode, name=name, **more)


def draw_phases(figure: Any, place: Place, x: Any, phases: np.ndarray) -> None:
    """Squares in the colours of phases below an axis of accuracies, a row for each seed.

    Args:
        figure: to draw on.
        place: the panel.
        x: positions.
        phases: names [seed, position]; "" is not drawn.
    """
    for row, names in enumerate(phases):
        for phase in sorted(set(names.tolist()) - {""}):
            at, look = names == phase, Look(PHASE_COLOR[phase], symbol="square")
            height = np.full(at.sum(), -0.06 - 0.05 * row)
            draw(figure, place, x[at], height, phase, look, mode="markers", size=8, hover=phase)


def draw_times(
    figure: Any,
    column: int,
    pairs: Any,
    times: xr.DataArray,
    bounds: Sequence[tuple[xr.DataArray, str, str]],
    median: xr.DataArray,
    name: str,
    look: Look,
) -> None:
    """Times of runs against training pairs: markers for seeds, a line for their median.

    Args:
        figure: to draw on.
        column: of its first row.
        pairs: size of the training set.
        times: over "seed" and sizes; NaN is not drawn.
        bounds: for times that are only bounded: the bounds, the marker and the words before the
            number in the hover text.
        median: over sizes; infinite where fewer than half of the runs have a time.
        name: of the median in the legend.
        look: colour, dash and marker.
    """
    faint: dict[str, Any] = {"mode": "markers", "opacity": 0.6, "showlegend": False}
    for seed in times.seed.values:
        for y, symbol, words in [(times, look.symbol, ""), *bounds]:
            hover = f"seed {seed}, %{{x}} pairs: {words}%{{y:.4g}}<extra></extra>"
            style, size = look._replace(symbol=symbol), 7 if y is times else 11
            draw(
                figure,
                (1, column),
                pairs,
                y.sel(seed=seed),
                name,
                style,
                size=size,
                hover=hover,
                **faint,
            )
    finite = median.where(np.isfinite(median))
    hover = "%{x} pairs: median %{y:.4g}"
    draw(figure, (1, column), pairs, finite, name, look, hover=hover)


def error_bars(middle: Any, low: Any, high: Any, **more: Any) -> dict[str, Any]:
    """Bars from ``low`` to ``high`` around ``middle``, for ``error_x`` or ``error_y``."""
    array, minus = (np.asarray(part, dtype=float) for part in (high - middle, middle - low))
    return {"array": array, "arrayminus": minus, "symmetric": False} | more


def draw_band(
    figure: Any, place: Place, x: Any, low: Any, high: Any, color: str, **more: Any
) -> None:
    """The area between two curves, a line where they are the same; left out where either is NaN."""
    known = ~(np.isnan(low) | np.isnan(high))
    x, low, high = x[known], low[known], high[known]
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        line={"width": 2 if np.array_equal(low, high) else 0, "color": color},
        fill="toself",
        fillcolor=color,
        hoverinfo="skip",
        row=place[0],
        col=place[1],
        **more,
    )


def level_line(figure: Any, y: Any, place: Place = (1, 1)) -> None:
    """A dotted horizontal line in a panel, such as chance."""
    figure.add_hline(float(y), line_dash="dot", line_color=GUIDE, row=place[0], col=place[1])


def finished(figure: Any, title: str, *, height: int, note: str = "", **layout: Any) -> go.Figure:
    """The common layout (:func:`analyses.pages.style.finish`), each legend entry once."""
    shown = set[str]()
    for trace in figure.data:
        entry = trace.legendgroup or trace.name
        if trace.showlegend is not False:
            trace.update(legendgroup=entry, showlegend=bool(entry) and entry not in shown)
            shown.add(entry)
    return finish(figure, title=title, height=height, note=note).update_layout(**layout)


def seeds_of(*parts: xr.Dataset) -> str:
    """How many seeds have a run, over the cells of ``last_step`` that have any."""
    counts = [part.last_step.notnull().sum("seed").values.ravel() for part in parts]
    return seeds_in_words(np.concatenate(counts), of=parts[0].sizes["seed"])
