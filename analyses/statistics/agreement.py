"""Do the estimates of D_crit agree? A sentence and a forest plot."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import xarray as xr

from analyses.statistics.critical_size import CriticalSize

if TYPE_CHECKING:
    import plotly.graph_objects as go


def compute(estimates: Mapping[str, CriticalSize], *, n_pairs: int | None = None) -> xr.Dataset:
    """Estimates of one task by the name of their estimator, as a table.

    Returns:
        Over "estimator": ``value``, ``low``, ``high`` (training pairs; NaN where not known),
        ``n_boot``, ``reason`` and ``p_value``. Attributes: ``sentence``, :func:`agreement`; and
        ``n_pairs``, all pairs of the task, if given.
    """
    if not estimates:
        raise ValueError("estimates is empty; give at least one estimator's")
    fields = ("value", "low", "high", "n_boot", "reason", "p_value")
    return xr.Dataset(
        {
            name: ("estimator", [getattr(estimate, name) for estimate in estimates.values()])
            for name in fields
        },
        coords={"estimator": list(estimates)},
        attrs={"sentence": agreement(estimates)} | ({"n_pairs": n_pairs} if n_pairs else {}),
    )


def agreement(estimates: Mapping[str, CriticalSize]) -> str:
    """Whether the intervals overlap, or by what ratio the estimates differ, in a plain sentence.

    Two intervals that overlap do not show a difference; they do not show that there is none.
    """
    found = {name: e for name, e in estimates.items() if not math.isnan(e.low)}
    without = [name for name in estimates if name not in found]
    rest = f" No interval: {', '.join(without)}." if without else ""
    if len(found) < 2:
        return f"Fewer than two estimates with an interval: nothing to compare.{rest}"
    apart = [
        (a, b)
        for a, b in combinations(found, 2)
        if found[a].low > found[b].high or found[b].low > found[a].high
    ]
    if not apart:
        least = max(e.low for e in found.values())
        most = min(e.high for e in found.values())
        return (
            f"The {len(found)} intervals overlap, from {least:.4g} to {most:.4g} pairs: "
            f"no disagreement is seen.{rest}"
        )
    pairs = []
    for a, b in apart:
        large, small = (a, b) if found[a].value > found[b].value else (b, a)
        ratio = found[large].value / found[small].value
        pairs.append(f"{large} is {ratio:.3g} times {small}")
    return f"The estimates disagree, their intervals lie apart: {'; '.join(pairs)}.{rest}"


def plot_estimates(
    data: xr.Dataset, *, title: str = "The critical data-set size", seeds: str = ""
) -> "go.Figure":
    """A forest plot: a row per estimator, what is missing in words; ``seeds`` goes to the title."""
    import plotly.graph_objects as go

    from analyses.pages.style import BLACK, BLUE, finish

    rows = list(range(data.sizes["estimator"]))
    figure = go.Figure(
        go.Scatter(
            x=data.value, y=rows, mode="markers", showlegend=False,
            marker={"color": BLUE, "size": 12, "symbol": "diamond"},
            error_x={
                "array": (data.high - data.value).values, "thickness": 2, "width": 8,
                "arrayminus": (data.value - data.low).values, "symmetric": False,
            },
            customdata=list(zip(data.low.values, data.high.values, strict=True)),
            hovertemplate="%{x:.4g} [%{customdata[0]:.4g}, %{customdata[1]:.4g}]<extra></extra>",
        )
    )  # fmt: skip
    known = data.value.notnull().values
    for row in rows:
        figure.add_annotation(
            x=0.01, xref="x domain", xanchor="left", y=row, yshift=18 if known[row] else 0,
            text=wrapped(str(data.reason.values[row]), 80), showarrow=False, align="left",
            font={"color": BLACK, "size": 13},
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=rows, ticktext=data.estimator.values, range=[rows[-1] + 0.6, -0.6],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    of = f" of {data.attrs['n_pairs']}" if "n_pairs" in data.attrs else ""
    figure.update_xaxes(
        title=f"D_crit (training pairs{of}, log scale), 95 % interval", type="log",
        showticklabels=bool(known.any()),
    )  # fmt: skip
    height = 180 + 90 * data.sizes["estimator"]
    return finish(figure, title=title, height=height, seeds=seeds)


def wrapped(text: str, width: int) -> str:
    """In lines of a figure: 80 characters fit beside the names of rows at 900 pixels."""
    import textwrap

    return "<br>".join(textwrap.wrap(text, width))
