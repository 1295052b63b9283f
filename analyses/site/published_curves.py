"""Published curves over ours: what an entry of the ledger that compares curves has looked at."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from analyses.ledger.comparisons import Curve
from analyses.ledger.entry import Entry
from analyses.ledger.targets import target
from analyses.ledger.verdicts import select
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import SUBSET_LABEL, SUBSET_LOOK, Look, series
from analyses.pages.panels import LOG_STEPS, draw, finished, panels

_SUBSET = {"val": "test", "corrupted": "changed", "uncorrupted": "unchanged"}  # the papers' names
_LABEL = SUBSET_LABEL | {"train": "train"}
_COLUMNS = 3


def compares_curves(entry: Entry) -> bool:
    """Whether an entry compares curves, of more points than two."""
    return isinstance(entry.comparison, Curve) and all(
        len(target(name)["value"]["x"]) > 2 for name in entry.reads
    )


def plot_curves(compared: Sequence[tuple[Entry, xr.Dataset]], *, title: str = "") -> go.Figure:
    """The published points as open markers, each of our seeds as a line.

    Args:
        compared: entries that compare curves, all of one quantity, with the results that they read.
        title: of the figure; by default what the first entry claims.
    """
    shown = [
        (panel, names, entry, data)
        for entry, data in compared
        for panel, names in _panels(entry).items()
    ]
    headings = [panel.replace("_", " ") if len(shown) > 1 else "" for panel, *_ in shown]
    if len(compared) > 1:
        headings = [f"<b>{entry.figure}</b><br>{entry.claim}" for *_, entry, _ in shown]
    rows = -(-len(shown) // _COLUMNS)
    columns = -(-len(shown) // rows)
    empty = rows * columns - len(shown)
    specs: list[list[dict[str, Any] | None]] = [[{}] * columns for _ in range(rows)]
    specs[-1][columns - empty :] = [None] * empty
    figure = panels(headings + [""] * empty, rows=rows, specs=specs)
    for i, (_, names, entry, data) in enumerate(shown):
        place = (i // columns + 1, i % columns + 1)
        for number, (label, name) in enumerate(names.items()):
            ours, theirs = select(data, entry.reads[name]), target(name)["value"]
            look = SUBSET_LOOK.get(label, series(number))
            _draw(figure, place, label, look, ours, theirs)
        _name_axes(figure, place, target(next(iter(names.values()))))
    first, _ = compared[0]
    seeds = [select(data, part).sizes["seed"] for e, data in compared for part in e.reads.values()]
    tolerances = dict.fromkeys(str(entry.comparison) for entry, _ in compared)
    note = f"{seeds_in_words(seeds)}; compared within {' or '.join(tolerances)}"
    height = 160 + 300 * rows
    return finished(figure, title or f"{first.figure}: {first.claim}", height=height, note=note)


def _panels(entry: Entry) -> dict[str, dict[str, str]]:
    """Panel -> label of a curve in it -> id of the published curve, as the ids are put together."""
    found: dict[str, dict[str, str]] = {}
    for name in entry.reads:
        before, _, after = name.partition(".curve")
        panel = before.split(".", 2)[2] if before.count(".") > 1 else ""
        quantity = after.removeprefix(".").removesuffix("_acc").removesuffix("_loss")
        found.setdefault(panel, {})[_SUBSET.get(quantity, quantity)] = name
    return found


def _draw(
    figure: Any, place: tuple[int, int], label: str, look: Look, ours: xr.DataArray, theirs: Any
) -> None:
    def add(whose: str, x: Any, y: Any, look: Look, **options: Any) -> None:
        name = f"{_LABEL.get(label, '')}, {whose}".removeprefix(", ")
        hover = f"{theirs['x_name']} %{{x}}: %{{y:.4g}}<extra>{whose}</extra>"
        draw(figure, place, x, y, name, look, hover=hover, **options)

    (axis,) = [dim for dim in ours.dims if dim != "seed"]
    for curve in ours.transpose("seed", axis):
        curve = curve.dropna(axis)
        if axis == "step":
            curve = curve[curve.step > 0]  # a logarithmic axis has no step 0
        add("ours", curve[axis], curve, look, mode="lines", width=1.5)
    marked = look._replace(symbol=f"{look.symbol}-open")
    add("published", theirs["x"], theirs["y"], marked, mode="markers", size=7)


def _name_axes(figure: Any, place: tuple[int, int], published: dict[str, Any]) -> None:
    row, column = place
    value, unit = published["value"], published["unit"]
    x = LOG_STEPS if value["x_name"] == "step" else {"title": value["x_name"].replace("_", " ")}
    figure.update_xaxes(x, row=row, col=column)
    quantity = {"percent": "accuracy (%)", "fraction": "accuracy"}.get(unit, unit)
    log = {"type": "log"} if unit.startswith("loss") else {}
    figure.update_yaxes({"title": quantity if column == 1 else ""} | log, row=row, col=column)
