"""How figures look: a palette safe for colour-blind readers, one layout, shared pieces."""

from typing import Any

import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

# Okabe and Ito's palette. A subset has the same colour and dash in every figure.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#999999"

SUBSET_STYLE = {
    "train": {"color": BLUE, "dash": "solid"},
    "test": {"color": ORANGE, "dash": "dash"},
    "changed": {"color": RED, "dash": "solid"},
    "unchanged": {"color": GREEN, "dash": "dot"},
    "selected": {"color": PURPLE, "dash": "dashdot"},
}
SUBSET_LABEL = {
    "train": "train, all",
    "test": "test",
    "changed": "train, corrupted",
    "unchanged": "train, uncorrupted",
    "selected": "train, redrawn",
}
# Without "selected": its curve nearly covers that of the corrupted labels.
DRAWN_SUBSETS = ("train", "test", "changed", "unchanged")
LOSS_LABEL = {
    "mse": "mean squared error",
    "cross_entropy": "cross-entropy (nats)",
    "cross_entropy_float64": "cross-entropy (nats)",
    "mse_softmax": "mean squared error of probabilities",
}
LEVEL: dict[str, Any] = {"line_dash": "dot", "line_color": GREY}  # of a reference line
IPR_BINS = {"start": 0, "end": 1.0001, "size": 0.025}  # of histograms; the last bin includes 1
PHASE_COLOR = {
    "coexistence": ORANGE,
    "clean generalization": "#F0CE7A",
    "partial inversion": GREEN,
    "full inversion": BLUE,
    "memorization": RED,
    "forgetting": PURPLE,
    "confusion": GREY,
    "diverged": BLACK,
}


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
            line=SUBSET_STYLE[subset] | ({} if width is None else {"width": width}),
            legendgroup=None if in_legend is None else subset,
            showlegend=in_legend,
            hovertemplate=hover,
            **place,
        )


def finish(
    figure: go.Figure, *, title: str, height: int = 420, seeds: str = "", **layout: Any
) -> go.Figure:
    """Apply the common layout, readable at the width of a notebook.

    Args:
        figure: the figure; it is changed and returned.
        title: of the figure.
        height: in pixels.
        seeds: the number of seeds in words (``labels.seeds_in_words``), shown after the title.
        layout: further settings of ``update_layout``, applied last.
    """
    text = f"{title} <span style='font-size:13px'>({seeds})</span>" if seeds else title
    figure.update_layout(
        title={"text": text, "x": 0.0, "xanchor": "left", "font": {"size": 17}},
        template="plotly_white",
        font={"size": 14},
        height=height,
        margin={"l": 70, "r": 35, "t": 60, "b": 60},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
        hovermode="closest",
    )
    return figure.update_layout(**layout)
