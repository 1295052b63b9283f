"""How figures look: one palette that colour-blind readers can tell apart, one layout."""

import plotly.graph_objects as go

# Okabe and Ito's palette. Subsets keep their colour and dash in every figure.
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
# What figures draw by default: the redrawn labels' curve all but covers that of the corrupted ones.
DRAWN_SUBSETS = ("train", "test", "changed", "unchanged")
LOSS_LABEL = {
    "mse": "mean squared error",
    "cross_entropy": "cross-entropy (nats)",
    "mse_softmax": "mean squared error of probabilities",
}
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


def finish(figure: go.Figure, *, title: str, height: int = 420, seeds: str = "") -> go.Figure:
    """Apply the common layout; legible at the width of a notebook.

    Args:
        figure: to be laid out.
        title: of the figure.
        height: in pixels.
        seeds: on how many it stands (``labels.seeds_in_words``), put behind the title.
    """
    text = f"{title} <span style='font-size:13px'>({seeds})</span>" if seeds else title
    return figure.update_layout(
        title={"text": text, "x": 0.0, "xanchor": "left", "font": {"size": 17}},
        template="plotly_white",
        font={"size": 14},
        height=height,
        margin={"l": 70, "r": 35, "t": 60, "b": 60},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0},
        hovermode="closest",
    )
