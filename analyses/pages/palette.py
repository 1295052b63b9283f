"""The only place of colours: one look per meaning, in every figure.

Meanings that share a figure differ by at least 14.5 (CIEDE2000), with normal colour vision as with
protanopia, deuteranopia and tritanopia. In grey print the subsets keep an order: "train" is
darkest, then changed labels, unchanged labels and "test". Their dashes and markers differ, too.
"""

from typing import NamedTuple

INK, PAPER = "#000000", "#FFFFFF"  # text and totals; the ground
GUIDE, FAINT = "#8C8C8C", "#DDDDDD"  # reference lines and controls; separators


class Look(NamedTuple):
    """Colour, dash and marker of a curve."""

    color: str
    dash: str = "solid"
    symbol: str = "circle"


# The examples of a subset. Validation pairs of the second paper are the test pairs.
SUBSET_LOOK = {
    "train": Look("#13278E", "solid", "circle"),
    "test": Look("#E58903", "dash", "diamond"),
    "changed": Look("#9B2B3D", "dashdot", "x"),
    "unchanged": Look("#2D8976", "dot", "square"),
}
SUBSET_STYLE = {
    name: {"color": look.color, "dash": look.dash} for name, look in SUBSET_LOOK.items()
}
SUBSET_LABEL = {
    "train": "train, all",
    "test": "test",
    "changed": "train, corrupted",
    "unchanged": "train, uncorrupted",
    "selected": "train, redrawn",
}
# Without "selected": its curve nearly covers that of the corrupted labels.
DRAWN_SUBSETS = tuple(SUBSET_LOOK)

# What memorises and what generalises: circuits, neurons, halves of a network, and their answers.
MEMORISING = Look("#9A2BE0", "dashdot", "circle")
GENERALISING = Look("#6BA4F7", "solid", "square")

PHASE_COLOR = {
    "coexistence": "#FED082",
    "clean generalization": "#EAF1DB",
    "partial inversion": "#11D3F4",
    "full inversion": "#3D56C8",
    "memorization": "#D52806",
    "forgetting": "#542340",
    "confusion": "#ACACAC",
    "diverged": INK,
}

# Things without a meaning of their own, such as layers, orders or networks, in this order.
SERIES = (
    Look("#1999FD", "solid", "circle"),
    Look("#946B01", "dash", "square"),
    Look("#8061A3", "dot", "diamond"),
    Look("#8BA97B", "dashdot", "triangle-up"),
    Look(INK, "longdash", "cross"),
    Look("#B893B2", "longdashdot", "star"),
)
PLAIN = SERIES[0].color  # of a figure that shows one thing

SHARE_SCALE = "Cividis"  # of numbers from 0 to 1
ORDER_SCALE = "Viridis_r"  # of values in order, such as train fractions
CYCLE_SCALE = "Twilight"  # of angles


def series(number: int) -> Look:
    """The look of the thing with this number, from 0; they repeat after six."""
    return SERIES[number % len(SERIES)]


def shades(count: int, *, start: float) -> list[str]:
    """Colours from light to dark for values in order; ``start`` is how dark the first one is."""
    import numpy as np
    from plotly.colors import sample_colorscale

    at = np.linspace(start, 1.0, count).tolist()
    return [str(color) for color in sample_colorscale(ORDER_SCALE, at)]
