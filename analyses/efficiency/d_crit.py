"""The critical data-set size of one task and network, from three kinds of evidence (section 4.2).

``grokinterp run d_crit OUT`` trains what is not in OUT yet with one network, one weight decay and
one batch rule, so that the three are about the same D_crit: what memorising and generalising cost
in norm (where do the curves cross?), grokked networks trained on with less data (where is half of
the validation accuracy lost?), and the time to grok (where does it diverge?).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.efficiency import semi_grokking, ungrokking
from analyses.efficiency.cost import efficiency_runs, efficiency_trend, model_efficiency
from analyses.efficiency.histories import LOG_TICKS, NETWORK_LABEL, network_of
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.statistics import agreement
from analyses.statistics.critical_size import (
    CriticalSize,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)
from analyses.statistics.over_runs import budgets

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


def compute(
    cost_runs: Sequence[gi.Run],
    starts: Sequence[gi.Run],
    reduced_runs: Sequence[gi.Run],
    time_runs: Sequence[gi.Run],
) -> "xr.Dataset":
    """Three estimates of D_crit, whether they agree, and the curves that they come from.

    Args:
        cost_runs: of ``efficiency_runs.collect_runs``.
        starts: grokked runs of ``ungrokking.collect_runs``.
        reduced_runs: and what continued them.
        time_runs: over train fractions, as of ``semi_grokking.collect_runs``.

    Returns:
        The table of ``agreement.compute`` over "estimator"; the midpoint's ``reason`` counts the
        runs that have no plateau and are read where they ended. The curves over training pairs:
        ``memorising`` and ``generalising`` (seed, size), the least norm at a common margin;
        ``final`` (reduced_seed, reduced_size), validation accuracy after training on;
        ``time`` (time_seed, time_size) to 90 % validation accuracy, in steps, NaN where a run had
        not got there by ``budget``. Attribute ``task``: network and weight decay, in words.

    Raises:
        ValueError: the runs are not of one network, operation, modulus and weight decay.

    Source: second paper, sections 4.2 and 5; Varma et al. 2023, arXiv:2309.02390.
    """
    task = _one_task([*cost_runs, *starts, *reduced_runs, *time_runs])
    curves = efficiency_trend.cost_curves(model_efficiency.compute(cost_runs))
    reduced = ungrokking.compute(reduced_runs, starts)
    reduced = reduced.sel(moments="fresh").squeeze(["network", "weight_decay"])
    grokking = semi_grokking.compute(time_runs).squeeze("network")
    final = reduced.final.transpose("seed", "fraction").values
    time = grokking.crossing.transpose("seed", "fraction").values
    budget = budgets(grokking.last_step).transpose("seed", "fraction").values
    estimates: dict[str, CriticalSize] = {
        "efficiency crossing": efficiency_crossing(
            curves["size"].values, curves.memorising.values, curves.generalising.values
        ),
        "ungrokking midpoint": _with_unfinished(
            ungrokking_midpoint(reduced.n_train.values, final), reduced
        ),
        "divergence of time": divergence_of_time(
            grokking.n_train.values, time, ~np.isnan(time), budget
        ),
    }
    table = agreement.compute(estimates, n_pairs=cost_runs[0].config.data.p ** 2)
    return table.assign(
        memorising=curves.memorising,
        generalising=curves.generalising,
        final=(("reduced_seed", "reduced_size"), final),
        time=(("time_seed", "time_size"), time),
        budget=(("time_seed", "time_size"), budget),
    ).assign_coords(
        reduced_size=reduced.n_train.values, time_size=grokking.n_train.values
    ).assign_attrs(task=task)  # fmt: skip


def _with_unfinished(found: CriticalSize, reduced: "xr.Dataset") -> CriticalSize:
    """The estimate, and how many of its accuracies are no plateaus."""
    exists = reduced.last_step.notnull()
    unfinished = int((exists & ~reduced.flat).sum())
    if np.isnan(found.value) or not unfinished:
        return found
    said = f"{unfinished} of {int(exists.sum())} runs have no plateau and count as they ended"
    return dataclasses.replace(found, reason="; ".join(filter(None, (found.reason, said))))


def _one_task(runs: Sequence[gi.Run]) -> str:
    found = sorted({
        f"{NETWORK_LABEL.get(network_of(c), network_of(c))}, "
        f"{getattr(c.data.operation, 'name', c.data.operation)}, p = {c.data.p}, weight decay "
        f"{c.training.weight_decay:g}"
        for c in (run.config for run in runs)
    })  # fmt: skip
    if len(found) != 1:
        raise ValueError(
            f"runs are of different tasks: {'; '.join(found)}. D_crit depends on all of these; "
            "take runs that share them"
        )
    return found[0]


def plot_curves(data: "xr.Dataset", *, title: str | None = None) -> "go.Figure":
    """What each estimate is read off, over the number of training pairs; estimates as bands."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import BLUE, GREEN, GREY, ORANGE, finish

    figure = make_subplots(
        rows=3, shared_xaxes=True, vertical_spacing=0.07,
        subplot_titles=[
            agreement.wrapped(f"{name}: {_words(data, name)}", 110)
            for name in data.estimator.values
        ],
    )  # fmt: skip
    lines = (
        (1, "C_mem", data.memorising, "size", ORANGE, "circle"),
        (1, "C_gen", data.generalising, "size", BLUE, "square"),
        (2, "validation accuracy after training on", data.final, "reduced_size", GREEN, "diamond"),
        (3, "steps to 90 % validation accuracy", data.time, "time_size", BLUE, "triangle-up"),
        (3, "not by this step", data.budget.where(data.time.isnull()), "time_size", GREY,
         "triangle-up-open"),
    )  # fmt: skip
    for row, name, values, along, color, symbol in lines:
        for i, seed in enumerate(values.transpose(..., along).values):
            figure.add_scatter(
                x=values[along].values, y=seed, row=row, col=1, name=name, legendgroup=name,
                showlegend=i == 0, mode="markers" if row == 3 else "lines+markers",
                marker={"color": color, "symbol": symbol, "size": 8},
                line={"color": color, "width": 1}, opacity=0.75,
            )  # fmt: skip
    for row, low, high in zip((1, 2, 3), data.low.values, data.high.values, strict=True):
        if np.isfinite([low, high]).all():
            place: dict[str, Any] = {"row": row, "col": 1}
            figure.add_vrect(low, high, fillcolor=GREY, opacity=0.25, line_width=0, **place)
    figure.update_xaxes(type="log", tickvals=LOG_TICKS)
    figure.update_xaxes(title="training pairs D", row=3)
    figure.update_yaxes(title="norm needed", type="log", row=1, nticks=4)
    figure.update_yaxes(title="accuracy", range=[-0.05, 1.05], row=2)
    figure.update_yaxes(title="steps", type="log", row=3, tickvals=LOG_TICKS)
    figure.update_annotations(font_size=13)
    title = title or f"Three ways to D_crit: {data.attrs['task']}"
    figure = finish(figure, title=title, height=820, seeds=_seeds(data))
    return figure.update_layout(legend={"y": -0.09, "yanchor": "top", "x": 0, "xanchor": "left"})


def _seeds(data: "xr.Dataset") -> str:
    """How many stand behind each estimate."""
    return seeds_in_words([data.sizes[axis] for axis in ("seed", "reduced_seed", "time_seed")])


def _words(data: "xr.Dataset", name: str) -> str:
    """An estimate, or the reason why there is none."""
    one = data.sel(estimator=name)
    if np.isnan(one.value):
        return one.reason.item()
    return f"{one.value:.0f} pairs" + (
        "" if np.isnan(one.low) else f" [{one.low:.0f}, {one.high:.0f}]"
    )


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "mlp"
) -> Iterator[Announcement | Finding]:
    """Estimate D_crit three times, with one network without norms; five seeds are better."""
    wanted = [
        *efficiency_runs.wanted(size, seeds, network),
        *ungrokking.wanted(size, seeds, networks=[network], controls=False),
        *semi_grokking.wanted(size, seeds, network),
    ]
    yield Announcement.of(out, wanted)
    costs = efficiency_runs.collect_runs(out, size, seeds, network)
    starts, reduced = ungrokking.collect_runs(out, size, seeds, networks=[network], controls=False)
    times = semi_grokking.collect_runs(out, size, seeds, network)
    data = compute(costs, starts, reduced, times)
    figures = [agreement.plot_estimates(data, seeds=_seeds(data)), plot_curves(data)]
    yield Finding(data=data, figures=figures, rows=_sentences(data))


def _sentences(data: "xr.Dataset") -> Iterator[str]:
    """An estimate each, and whether they agree."""
    for name in data.estimator.values:
        one = data.sel(estimator=name)
        known = f" ({one.reason.item()})" if one.value.notnull() and one.reason.item() else ""
        yield f"{name}: {_words(data, name)}{known}"
    yield data.attrs["sentence"]
