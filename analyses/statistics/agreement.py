"""Whether the estimates of D_crit agree: a table, a sentence and a forest plot.

Examples:
    >>> from analyses.statistics import agreement
    >>> from analyses.statistics.critical_size import CriticalSize
    >>> one, other = CriticalSize(300.0, 250.0, 350.0), CriticalSize(330.0, 290.0, 380.0)
    >>> estimates = {"crossing": one, "midpoint": other}
    >>> agreement.agreement(estimates)
    'The 2 intervals overlap, from 290 to 350 pairs: no disagreement is seen.'
    >>> figure = agreement.plot_estimates(agreement.compute(estimates))
"""

import math
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.palette import INK, PLAIN, Look
from analyses.pages.panels import draw, error_bars, finished, panels
from analyses.pages.wrapping import wrapped
from analyses.statistics.critical_size import CriticalSize


def compute(estimates: Mapping[str, CriticalSize], *, n_pairs: int | None = None) -> xr.Dataset:
    """A table of the estimates for one task, given by the name of their estimator.

    Returns:
        Over "estimator": ``value``, ``low``, ``high`` (training pairs; NaN where unknown),
        ``n_boot``, ``reason`` and ``p_value``. Attributes: ``sentence``, from :func:`agreement`;
        and ``n_pairs``, all pairs of the task, if given.
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
    """A sentence: the intervals overlap, or the estimates differ by some ratio.

    Overlapping intervals do not show a difference; they do not show that there is none.
    """
    found = {name: e for name, e in estimates.items() if not math.isnan(e.low)}
    without = [name for name in estimates if name not in found]
    rest = f" No interval: {', '.join(without)}." if without else ""
    if len(found) < 2:
        return f"Fewer than two estimates with an interval: nothing to compare.{rest}"
    apart = []
    for a, b in combinations(found, 2):
        large, small = (a, b) if found[a].value > found[b].value else (b, a)
        if found[a].low > found[b].high or found[b].low > found[a].high:
            ratio = found[large].value / found[small].value
            apart.append(f"{large} is {ratio:.3g} times {small}")
    if apart:
        return f"The estimates disagree, their intervals lie apart: {'; '.join(apart)}.{rest}"
    least, most = max(e.low for e in found.values()), min(e.high for e in found.values())
    return (
        f"The {len(found)} intervals overlap, from {least:.4g} to {most:.4g} pairs: "
        f"no disagreement is seen.{rest}"
    )


def plot_estimates(
    data: xr.Dataset, *, title: str = "The critical data-set size", seeds: str = ""
) -> go.Figure:
    """A forest plot: a row per estimator, reasons in words; ``seeds`` goes to the title."""
    rows = np.arange(data.sizes["estimator"])
    value, low, high = data.value.values, data.low.values, data.high.values
    hover = "%{x:.4g} [%{customdata[0]:.4g}, %{customdata[1]:.4g}]<extra></extra>"
    options = {"mode": "markers", "size": 12, "hover": hover, "showlegend": False}
    bars = error_bars(value, low, high, thickness=2, width=8)
    figure, look, ends = panels(), Look(PLAIN, symbol="diamond"), list(zip(low, high, strict=True))
    draw(figure, (1, 1), value, rows, "", look, error_x=bars, customdata=ends, **options)
    known = ~np.isnan(value)
    left = {"x": 0.01, "xref": "x domain", "xanchor": "left", "align": "left", "showarrow": False}
    for row, reason in zip(rows, data.reason.values, strict=True):
        above = {"yanchor": "bottom", "yshift": 10} if known[row] else {"yanchor": "middle"}
        font = {"color": INK, "size": 13}
        figure.add_annotation(y=row, text=wrapped(str(reason), 60), font=font, **left, **above)
    figure.update_yaxes(
        tickvals=rows,
        ticktext=[wrapped(str(name), 12) for name in data.estimator.values],
        showgrid=False,
    )
    figure.update_yaxes(range=[rows[-1] + 0.6, -0.6], zeroline=False)
    of = f" of {data.attrs['n_pairs']}" if "n_pairs" in data.attrs else ""
    figure.update_xaxes(title=f"D_crit (training pairs{of}, log scale), 95 % interval")
    figure.update_xaxes(type="log", showticklabels=bool(known.any()))
    return finished(figure, title, height=180 + 90 * len(rows), note=seeds)
