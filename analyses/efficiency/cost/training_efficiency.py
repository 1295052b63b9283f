"""Training efficiency: how many steps it takes to memorise, and how many to generalise.

The second paper says that C_mem is learned faster than C_gen. Training accuracy on the task's own
labels cannot show it, since a generalising network raises it too; random labels can, trained with
the same rate, decay and batches. ``grokinterp run training_efficiency OUT`` uses the runs of
``model_efficiency``, in the same folder.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.efficiency.cost.efficiency_runs import collect_runs, wanted
from analyses.efficiency.histories import NETWORK_LABEL, side_by_side
from analyses.efficiency.settings import SEEDS
from analyses.options import Networks, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLUE, ORANGE, RED
from analyses.statistics.over_runs import budgets, crossings, median_times
from analyses.statistics.thresholds import TIMED_AT

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# What happens, on which labels (random or not), seen in which accuracy.
EVENTS = {
    "memorised": (True, "train_accuracy"),
    "fitted": (False, "train_accuracy"),
    "generalised": (False, "test_accuracy"),
}
# How much longer generalising takes than what is named.
RATIOS = {"gap": "memorised", "delay": "fitted"}
_CELL = ("network", "fraction", "seed")


def compute(runs: Sequence[gi.Run], *, level: float = TIMED_AT) -> "xr.Dataset":
    """Steps to memorise random labels, to fit the task's, and to generalise.

    A time is the first step of five evaluated rows in a row at or above the level. A run that ends
    before that is censored: its time is above its last step.

    Args:
        runs: of any networks, fractions and seeds, on the task's labels and, with
            ``data.corruption=1``, on random ones; no two of one cell.
        level: of accuracy.

    Returns:
        Dataset over "network", "fraction" and "seed": ``time`` (..., "event") in steps, NaN where
        there is no run or it is censored; and ``budget``, the last step, NaN where there is none.
        ``ratio`` (..., "over") of the time to generalise over that to memorise random labels
        ("gap") or to fit the task's ("delay"); ``ratio_above``, the bound where only the former is
        censored, and ``ratio_below``, where only the latter is. Over seeds, ``time_median``,
        ``time_low``, ``time_high`` and ``ratio_...``: Kaplan-Meier medians with 95 % intervals,
        infinite where not reached, NaN where nothing is known, and of ratios where any seed has
        ``ratio_below``: without these seeds, which memorise slowest, the median would be too large.
        ``n_train`` ("fraction").

    Raises:
        ValueError: no run with the task's labels or none with random ones, labels of which only
            some are random, two runs of one cell.
    """
    import xarray as xr

    curves = {random: side_by_side(_with(runs, random), _CELL) for random in (False, True)}
    curves = dict(zip(curves, xr.align(*curves.values(), join="outer"), strict=True))
    per_event = [
        (crossings(curves[random][name], level), budgets(curves[random].last_step))
        for random, name in EVENTS.values()
    ]
    time, budget = (xr.concat(found, "event") for found in zip(*per_event, strict=True))
    data = xr.Dataset({"time": time, "budget": budget}, attrs={"level": level})
    data = data.assign_coords(event=list(EVENTS)).transpose(*_CELL, "event")
    sizes = {run.config.data.train_fraction: run.config.data.n_train for run in runs}
    data["n_train"] = ("fraction", [sizes[f] for f in data.fraction.values])
    last = data.sel(event="generalised", drop=True)
    before = data[["time", "budget"]].sel(event=list(RATIOS.values())).rename(event="over")
    before = before.assign_coords(over=list(RATIOS))
    data["ratio"] = last.time / before.time
    data["ratio_above"] = last.budget.where(last.time.isnull()) / before.time
    data["ratio_below"] = last.time / before.budget.where(before.time.isnull())
    for name, bound in (("time", data.budget), ("ratio", data.ratio_above)):
        for part, values in median_times(data[name], bound).items():
            data[f"{name}_{part}"] = values
    bounded = data.ratio_below.notnull().any("seed")
    ratios = [f"ratio_{end}" for end in ("median", "low", "high")]
    return data.assign(data[ratios].where(~bounded))


def _with(runs: Sequence[gi.Run], random: bool) -> list[gi.Run]:
    if bad := [c for run in runs if (c := run.config.data.corruption) not in (0.0, 1.0)]:
        raise ValueError(
            f"runs has one with data.corruption={bad[0]}; labels are all the task's (0) or all "
            "random (1)"
        )
    chosen = [run for run in runs if (run.config.data.corruption == 1.0) == random]
    if not chosen:
        raise ValueError(
            f"runs has none with data.corruption={float(random)}; it takes runs on the task's "
            "labels (0) and on random ones (1)"
        )
    return chosen


# Label, colour, dash and marker.
_LOOKS = {
    "memorised": ("random labels memorised", RED, "dot", "diamond"),
    "fitted": ("the task's labels fitted", BLUE, "solid", "circle"),
    "generalised": ("generalised (validation)", ORANGE, "dash", "square"),
    "gap": ("over memorising random labels", RED, "dot", "diamond"),
    "delay": ("over fitting the task's labels", BLUE, "solid", "circle"),
}


def plot_times(
    data: "xr.Dataset", *, title: str = "How long learning takes (open triangles: longer)"
) -> "go.Figure":
    """Steps against training pairs, a panel per network: seeds, and their median as a line.

    An open triangle is a run that ended before; a median that was not reached is left out.
    """
    figure = _panels(data, title)
    for i in range(data.sizes["network"]):
        for event in data.event.values:
            here = data.isel(network=i).sel(event=event)
            bound = here.budget.where(here.time.isnull())
            _draw(figure, here.n_train, here.time, bound, here.time_median, event, i + 1)
    figure.update_yaxes(title=f"steps to accuracy {data.level:.0%}", col=1)
    return figure


def plot_ratios(
    data: "xr.Dataset",
    *,
    title: str = "How much longer generalising takes (open triangles up: more, down: less)",
) -> "go.Figure":
    """Time to generalise over the two others; an open triangle is a bound, lower if it points up.

    There is no median where a seed has an upper bound only.
    """
    from analyses.pages.style import GREY

    figure = _panels(data, title)
    for i in range(data.sizes["network"]):
        for over in data.over.values:
            here = data.isel(network=i).sel(over=over)
            _draw(
                figure, here.n_train, here.ratio, here.ratio_above, here.ratio_median, over, i + 1,
                below=here.ratio_below,
            )  # fmt: skip
    figure.add_hline(1.0, line_color=GREY, line_dash="dot")
    figure.update_yaxes(title="steps to generalise over other steps", col=1)
    return figure


def _panels(data: "xr.Dataset", title: str) -> "go.Figure":
    from plotly.subplots import make_subplots

    from analyses.pages.style import finish

    names = [f"<b>{NETWORK_LABEL.get(name, name)}</b>" for name in data.network.values]
    figure = make_subplots(
        cols=len(names), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=names
    )
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log", exponentformat="none", dtick="D2")
    seeds = seeds_in_words(data.budget.notnull().sum("seed"), of=data.sizes["seed"])
    figure = finish(figure, title=title, height=480, seeds=seeds)
    return figure.update_layout(margin_t=130, legend_y=1.1)


def _draw(
    figure: "go.Figure", pairs: Any, values: Any, above: Any, median: Any, kind: str, column: int,
    below: Any = None,
) -> None:  # fmt: skip
    label, color, dash, symbol = _LOOKS[kind]
    place: dict[str, Any] = {"row": 1, "col": column, "legendgroup": kind}
    drawn = [(values, symbol, ""), (above, "triangle-up-open", "more than ")]
    if below is not None:
        drawn.append((below, "triangle-down-open", "less than "))
    for seed in values.seed.values:
        for y, mark, what in drawn:
            figure.add_scatter(
                x=pairs, y=y.sel(seed=seed), mode="markers", showlegend=False,
                marker={"color": color, "symbol": mark, "size": 7 if y is values else 11},
                opacity=0.6, **place,
                hovertemplate=f"seed {seed}, %{{x}} pairs: {what}%{{y:.4g}}<extra></extra>",
            )  # fmt: skip
    figure.add_scatter(
        x=pairs, y=median.where(np.isfinite(median)), mode="lines+markers", name=label,
        line={"color": color, "dash": dash, "width": 2.5}, showlegend=column == 1,
        marker={"symbol": symbol, "size": 9}, hovertemplate="%{x} pairs: median %{y:.4g}", **place,
    )  # fmt: skip


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = SEEDS, network: Networks = None
) -> Iterator[Announcement | Finding]:
    """Compare how long memorising and generalising take; for the MLP unless others are named."""
    networks = network or ["mlp"]
    yield Announcement.of(out, [run for one in networks for run in wanted(size, seeds, one)])
    data = compute([run for one in networks for run in collect_runs(out, size, seeds, one)])
    yield Finding(data=data, figures=[plot_times(data), plot_ratios(data)])
