"""How figures look: one layout for all, readable from 400 pixels up, and shared pieces.

Examples:
    >>> import plotly.graph_objects as go
    >>> from analyses import style
    >>> figure = style.finish(go.Figure(go.Scatter(y=[0, 1, 4])), title="Squares")
    >>> figure.layout.title.text
    'Squares'
"""

import copy
import math
from functools import cache
from typing import Any

import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages import axes
from analyses.pages.palette import DRAWN_SUBSETS, GUIDE, INK, SERIES, SUBSET_LABEL, SUBSET_STYLE
from analyses.pages.wrapping import count_lines, wrapped

LOSS_LABEL = {
    "mse": "mean squared error",
    "cross_entropy": "cross-entropy (nats)",
    "cross_entropy_float64": "cross-entropy (nats)",
    "mse_softmax": "mean squared error of probabilities",
}
LEVEL: dict[str, Any] = {"line_dash": "dot", "line_color": GUIDE}  # of a reference line
IPR_BINS = {"start": 0, "end": 1.0001, "size": 0.025}  # of histograms; the last bin includes 1

TEXT, TITLE = 13, 16  # sizes in pixels
_EDGE = 12  # pixels between the border and what stands next to it
_FIRST = 10  # pixels by which plotly places a title of several lines too high
_TITLE_LINE, _SEEDS_LINE = 21, 17  # heights in pixels
_BOTTOM = 50  # pixels below the panels, without a legend
_LETTERS = 43  # of a line of the title, so that it fits into 400 pixels


def stacked_panels(rows: int, *, height: int, gap: int, **options: Any) -> tuple[go.Figure, int]:
    """Rows of subplots whose height in pixels does not depend on how many there are.

    Args:
        rows: number of rows.
        height: of one row, in pixels.
        gap: between two rows, in pixels.
        options: further arguments of plotly's ``make_subplots``.

    Returns:
        The figure, and the height in pixels of all rows and the gaps between them.
    """
    total = rows * (height + gap) - gap
    spacing = gap / total if rows > 1 else 0
    return make_subplots(rows=rows, vertical_spacing=spacing, **options), total


def add_subset_lines(
    figure: go.Figure,
    x: xr.DataArray,
    values: xr.DataArray,
    *,
    hover: str,
    in_legend: bool | None = None,
    width: float | None = None,
    **place: int,
) -> None:
    """Draw one line for each of ``DRAWN_SUBSETS``, in its colour and dash.

    Args:
        figure: where to draw.
        x: positions.
        values: what to draw, with a dimension "subset" besides that of ``x``.
        hover: plotly's ``hovertemplate``.
        in_legend: whether these lines stand in a legend that several panels share; None: the
            figure has one panel.
        width: of the lines, in pixels.
        place: ``row`` and ``col`` of the panel.
    """
    for subset in DRAWN_SUBSETS:
        figure.add_scatter(
            x=x,
            y=values.sel(subset=subset),
            name=SUBSET_LABEL[subset],
            mode="lines",
            line=SUBSET_STYLE[subset] | ({} if width is None else {"width": width}),
            legendgroup=None if in_legend is None else subset,
            showlegend=in_legend,
            hovertemplate=hover,
            **place,
        )


def explain(figure: go.Figure, name: str, **marker: Any) -> None:
    """An entry of the legend for what is not drawn as a trace of its own, such as a dashed line."""
    marker = {"color": INK, "size": 9} | marker
    figure.add_scatter(
        x=[math.nan], y=[math.nan], mode="markers", name=name, marker=marker, showlegend=True
    )


def finish(
    figure: go.Figure, *, title: str, height: int = 420, note: str = "", **layout: Any
) -> go.Figure:
    """Apply the common layout: title above, legend below, and room for both at any width.

    Long titles and headings are broken into lines; those between rows of panels make the figure
    higher. Equal titles of the horizontal axes of three or more panels in a row become one.
    Logarithmic axes get labels at every scale. A panel without a number says so.

    Args:
        figure: the figure; it is changed and returned.
        title: of the figure.
        height: in pixels, without the further lines of headings between rows of panels.
        note: a line below the title, such as what the figure stands on in words
            (``labels.seeds_in_words``) or what a mark means.
        layout: further settings of ``update_layout``, applied last.
    """
    headings = axes.arrange(figure)
    text = wrapped(title, _LETTERS)
    top = _EDGE + 16 + _TITLE_LINE * count_lines(text) + axes.HEADING_LINE * headings
    if note:
        small = wrapped(note, 52)
        text += "<br>" * bool(text) + f"<span style='font-size:13px'>{small}</span>"
        top += _SEEDS_LINE * count_lines(small)
    height += axes.widen_gaps(figure, height - top - _BOTTOM)
    figure.update_layout(
        title={"text": text, "y": 1 - (_EDGE + _FIRST * ("<br>" in text)) / height},
        template=_template(),
        height=height,
        margin_t=top,
    )
    return figure.update_layout(**layout)


@cache
def _plain_template() -> go.layout.Template:
    import plotly.io as pio

    template = go.layout.Template(pio.templates["plotly_white"])
    axis = {"automargin": True, "tickfont": {"size": 12}}
    axis |= {"title": {"standoff": 8, "font": {"size": TEXT}}}
    layout: Any = template.layout
    layout.update(
        font={"size": TEXT, "color": INK},
        title={
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "pad": {"l": _EDGE},
            "yref": "container",
            "yanchor": "top",
            "font": {"size": TITLE},
        },
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0.01,
            "xref": "container",
            "xanchor": "left",
            "font": {"size": 12},
            "tracegroupgap": 0,
        },
        margin={"l": 60, "r": 20, "b": _BOTTOM},
        colorway=[look.color for look in SERIES],
        hovermode="closest",
        xaxis=axis,
        yaxis=axis,
    )
    return template


def _template() -> go.layout.Template:
    return copy.deepcopy(_plain_template())
