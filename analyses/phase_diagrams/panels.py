"""A sweep with many axes as panels of a figure: the data of each panel, and the subplots.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import panels, sweep_phases
    >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 10})
    >>> axes = {"data.corruption": [0.0, 0.3], "data.train_fraction": [0.3, 0.6]}
    >>> axes["training.weight_decay"] = [0.0, 5.0]
    >>> phases = sweep_phases.compute(gi.sweep(base, axes))
    >>> x, y, panel = "data.train_fraction", "data.corruption", "training.weight_decay"
    >>> panels.split(phases, x=x, y=y, panel=panel, at=None).titles
    ('weight decay 0 (lr·wd 0)', 'weight decay 5 (lr·wd 0.05)')
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.palette import GUIDE
from analyses.pages.style import finish, stacked_panels
from grokinterp.short_text import short, short_repr

AXIS_LABEL = {
    "data.train_fraction": "train fraction α",  # noqa: RUF001
    "data.corruption": "corruption ξ",
    "training.weight_decay": "weight decay",
    "training.dropout": "dropout probability",
    "training.lr": "learning rate",
    "training.steps": "steps",
    "model.d_mlp": "neurons N",
    "model.act": "activation",
    "model.n_layers": "layers",
    "model.n_heads": "heads",
    "model.tie_embedding": "tied embedding",
    "model.init": "initialisation",
}
_WIDE = 4  # most panels side by side
_TOP, _BOTTOM = 85, 130  # pixels above and below the panels, for title and legend
_HEIGHT = {1: 420, 2: 360, 3: 290, 4: 240}  # pixels of a panel, by the number side by side


@short_repr
@dataclass(frozen=True, eq=False)
class Panels:
    """The panels of a figure, one per value of the panel axis."""

    data: "tuple[xr.Dataset, ...]"  # one per panel, with dimensions y, x
    titles: tuple[str, ...]  # one per panel; "" without a panel axis
    x: str  # dotted path of the horizontal axis
    y: str  # of the vertical one

    def grid(self, row_names: Sequence[str] = ("",)) -> go.Figure:
        """An empty figure with a subplot for every panel and quantity.

        Args:
            row_names: the quantities, drawn below each other; ("",) for a single one.

        Positions in a subplot are indices of the axes' values.
        """
        rows, wide = len(row_names), min(len(self.data), _WIDE)
        blocks = -(-len(self.data) // wide)
        places = [self.place(i, row, rows) for i in range(len(self.data)) for row in range(rows)]
        used = {(place["row"], place["col"]) for place in places}
        titles = {
            (self.place(i, 0, rows)["row"], i % wide + 1): t for i, t in enumerate(self.titles)
        }
        columns = range(1, wide + 1)
        shape = [[(row, column) for column in columns] for row in range(1, blocks * rows + 1)]
        figure, inner = stacked_panels(
            blocks * rows,
            height=_HEIGHT[wide],
            gap=125 if blocks > 1 else 14,
            cols=wide,
            horizontal_spacing=0.025,
            specs=[[{} if at in used else None for at in row] for row in shape],
            subplot_titles=[titles.get(at, "") for row in shape for at in row if at in used],
        )
        frame = {"showline": True, "mirror": True, "linecolor": GUIDE, "ticks": "outside"}
        frame |= {"showgrid": False, "zeroline": False, "showticklabels": False}
        x, y = self.data[0][self.x], self.data[0][self.y]
        figure.update_xaxes(range=[-0.5, len(x) - 0.5], matches="x", **frame, **ticks(x))
        figure.update_yaxes(range=[-0.5, len(y) - 0.5], matches="y", **frame, **ticks(y))
        place: dict[str, Any]
        for place in places:
            row = (place["row"] - 1) % rows
            if row == rows - 1:
                figure.update_xaxes(title=axis_label(self.x), showticklabels=True, **place)
            if place["col"] == 1:
                name = f"<b>{row_names[row]}</b><br>" if row_names[row] else ""
                figure.update_yaxes(title=name + axis_label(self.y), showticklabels=True, **place)
        return figure.update_layout(height=inner + _TOP + _BOTTOM)

    def place(self, panel: int, row: int = 0, rows: int = 1) -> dict[str, int]:
        """The arguments of ``add_trace`` for a panel and a quantity, both counted from 0."""
        return {"row": panel // _WIDE * rows + row + 1, "col": panel % _WIDE + 1}


def finish_panels(figure: go.Figure, *, title: str, seeds: str = "") -> go.Figure:
    """Apply the common layout, with the legend below the panels."""
    layout: Any = figure.layout
    bottom = _BOTTOM if any(trace.showlegend for trace in figure.data) else _BOTTOM - 60  # pyright: ignore[reportAttributeAccessIssue]
    height = layout.height - _BOTTOM + bottom
    return finish(figure, title=title, height=height, note=seeds)


def split(
    phases: xr.Dataset, *, x: str, y: str, panel: str | None, at: Mapping[str, Any] | None
) -> Panels:
    """Split a dataset over a sweep's axes into panels.

    Args:
        phases: from ``sweep_phases.compute``.
        x: dotted path of the horizontal axis.
        y: dotted path of the vertical axis.
        panel: dotted path of the axis with one panel per value; by default the only other axis with
            more than one value.
        at: the value to take of each further axis, by dotted path.

    Raises:
        ValueError: x, y or panel is not an axis, or axes with several values are left.
    """
    data = _at(phases, at or {})
    axes = [str(dim) for dim in data.majority.dims]
    for name, axis in (("x", x), ("y", y), ("panel", panel)):
        if axis is not None and axis not in axes:
            raise ValueError(
                f"{name}={short(axis)} is not an axis of the sweep; choose x= and y= from its "
                f"axes {', '.join(axes)}{'' if len(axes) > 1 else ': a diagram needs two'}"
            )
    if len({x, y, panel}) < 3:
        raise ValueError(f"x, y and panel must be different axes, got {x!r}, {y!r} and {panel!r}")
    others = [axis for axis in axes if axis not in (x, y, panel) and data.sizes[axis] > 1]
    if panel is None and len(others) == 1:
        panel = others.pop()
    if others:
        known = "; ".join(f"{axis}: {_listed(data[axis])}" for axis in others)
        raise ValueError(
            f"a figure shows x, y and one panel axis, and {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} left. Fix values with at={{axis: value}} or "
            f"choose another panel axis; values are {known}"
        )
    data = data.squeeze([axis for axis in axes if axis not in (x, y, panel)])
    cells = [data] if panel is None else [data.isel({panel: i}) for i in range(data.sizes[panel])]
    titles = [_title(cell, panel) if panel else "" for cell in cells]
    cells = [cell.transpose(y, x, ...) for cell in cells]
    return Panels(tuple(cells), tuple(titles), x, y)


def axis_label(path: str) -> str:
    """The name of an axis in figures."""
    return AXIS_LABEL.get(path, path.rpartition(".")[2].replace("_", " "))


def value_label(value: object) -> str:
    """A value of an axis as text; numbers have at most six digits."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{float(value):.6g}" if isinstance(value, int | float | np.number) else str(value)


def ticks(values: xr.DataArray, most: int = 5) -> dict[str, Any]:
    """Positions and texts of at most ``most`` ticks, for values drawn at their indices."""
    count = len(values)
    step = -(-(count - 1) // (most - 1)) or 1
    shown = list(range(0, count, step))
    return {"tickvals": shown, "ticktext": [value_label(values.values[i].item()) for i in shown]}


def _at(phases: xr.Dataset, at: Mapping[str, Any]) -> xr.Dataset:
    for axis, value in at.items():
        if axis not in phases.majority.dims:
            raise ValueError(
                f"at names {short(axis)}, which is not an axis; axes are "
                f"{', '.join(map(str, phases.majority.dims))}"
            )
        known = phases[axis].values
        if isinstance(value, int | float) and np.issubdtype(known.dtype, np.number):
            here = np.isclose(known, value, rtol=1e-9, atol=1e-12)
        else:
            here = known == value
        if not here.any():
            raise ValueError(
                f"at[{short(axis)}]={short(value)} is not a value of that axis; its values are "
                f"{_listed(phases[axis])}"
            )
        phases = phases.isel({axis: int(here.argmax())})
    return phases


def _title(cell: xr.Dataset, panel: str) -> str:
    value = cell[panel].item()
    title = f"{axis_label(panel)} {value_label(value)}"
    if panel == "training.weight_decay" and "training.lr" not in cell.dims:
        lr = _learning_rate(cell)
        if lr is not None:
            title += f" (lr·wd {value_label(lr * value)})"
    return title


def _learning_rate(cell: xr.Dataset) -> float | None:
    if "training.lr" in cell.coords:
        return float(cell["training.lr"])
    base = json.loads(cell.attrs.get("base", "{}"))
    return base.get("training", {}).get("lr")


def _listed(values: xr.DataArray) -> str:
    return ", ".join(value_label(value) for value in values.values.tolist())
