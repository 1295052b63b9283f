"""Semi-grokking near the critical amount of data, and runs that are merely unfinished (Fig. 9).

A run that ends while its validation accuracy is in the middle has either stopped there for good,
which is semi-grokking, or was stopped. ``grokinterp run semi_grokking OUT`` trains what is not in
OUT yet for two or three times the usual budget (``LONGER``), and judges it at both.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.histories import NETWORK_LABEL, side_by_side
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLACK, BLUE, GREY, ORANGE, SKY
from analyses.statistics.curves import Outcome, outcome
from analyses.statistics.over_runs import crossings, median_times
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect, folder_name

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

FRACTIONS = {  # around where each network stops to generalise
    "tiny": (0.4, 0.5, 0.6, 0.7),
    "small": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "published": tuple(percent / 100 for percent in range(20, 31)),
}
LONGER = {"tiny": 2, "small": 2, "published": 3}  # times the usual budget
_EARLY = 0.5  # of the steps, after which runs are judged for the first time

OUTCOME_STYLE = {  # colour, marker, and pattern of a bar
    Outcome.GROKKED: (BLUE, "circle", ""),
    Outcome.SEMI_GROKKED: (ORANGE, "diamond", "x"),
    Outcome.UNFINISHED: (SKY, "triangle-right-open", "/"),
    Outcome.NOT_GENERALISED: (GREY, "square", "."),
    Outcome.DIVERGED: (BLACK, "x", "+"),
}


def wanted(size: str, seeds: int, network: str = "transformer") -> list[Named]:
    """The runs of this experiment; every seed draws weights and split anew."""
    usual = settings.network(network, size)
    long = usual.replace({"training.steps": LONGER[size] * usual.training.steps})
    return [
        Named(
            folder_name("semi", network, fraction, "seed", seed),
            settings.with_fraction(settings.seeded(long, seed), fraction),
        )
        for fraction in FRACTIONS[size] for seed in range(seeds)
    ]  # fmt: skip


def collect_runs(out: Path, size: str, seeds: int, network: str = "transformer") -> list[Run]:
    """Train what is not in ``out`` yet."""
    return collect(out, wanted(size, seeds, network))


def compute(runs: Sequence[Run], *, budgets: Sequence[int] | None = None) -> "xr.Dataset":
    """How runs ended, judged when they had trained for a part of their steps and for all.

    Args:
        runs: of any networks, training fractions and seeds; no two of one cell.
        budgets: steps after which to judge; None: a half of the longest run, and all of it.

    Returns:
        Dataset over "network", "fraction" and "seed": ``test_accuracy`` (..., step), 0..1;
        ``crossing`` in steps, of 90 % for 5 evaluated rows in a row, NaN where not by
        ``last_step``; and, over "budget" too:

        * ``outcome`` (..., seed): of ``statistics.curves.Outcome``, "" for no run.
          What would be "semi-grokked" is "unfinished" until three times the Kaplan-Meier median
          ``crossing_median`` (network, budget, fraction) of the next larger fraction for which it
          is finite, or of its own fraction if there is none;
        * ``last`` (..., seed): accuracy at the last row, and ``looks_semi``, whether that is
          between 10 and 90 %, which is how the published figure is read;
        * ``share`` (..., ending) of the seeds with each outcome.

    Raises:
        ValueError: no runs, two of one cell, or a budget that no run reaches.

    Source: second paper, Fig. 9 and section 4.2. There "semi-grokking" is read off the last value.
    """
    import xarray as xr

    data = side_by_side(runs, ("network", "fraction", "seed"))
    longest = int(data.last_step.max())
    budgets = sorted(budgets or {max(1, round(longest * _EARLY)), longest})
    if not 0 < budgets[0] <= budgets[-1] <= longest:
        raise ValueError(f"budgets must lie in 1..{longest}, the steps of the runs; got {budgets}")
    judged = xr.concat([_judge(data, budget) for budget in budgets], dim="budget")
    return xr.Dataset(
        {name: data[name] for name in ("test_accuracy", "last_step", "n_train", "chance")}
        | {"crossing": crossings(data.test_accuracy, GENERALISED_FROM)}
        | dict(judged.items()),
        coords={"budget": budgets},
    )


def _curve(data: "xr.Dataset", at: tuple[int, ...], budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and test accuracy of one run up to a step, without rows that are other runs'."""
    curve = data.test_accuracy[at].sel(step=slice(None, budget)).dropna("step")
    return curve.step.values, curve.values


def _judge(data: "xr.Dataset", budget: int) -> "xr.Dataset":
    """Everything :func:`compute` says about one budget, knowing nothing that happened later."""
    import xarray as xr

    curves = data.test_accuracy.sel(step=slice(None, budget))
    crossing = crossings(curves, GENERALISED_FROM)
    medians = median_times(crossing, data.last_step.clip(max=budget))["median"]
    ends = xr.full_like(crossing, "", dtype=object)
    last = xr.full_like(crossing, np.nan)
    for at in np.argwhere(data.last_step.notnull().values):
        network, fraction, _ = cell = tuple(at)
        # Its own comes last, which is what the largest fraction has.
        larger = medians.values[network, fraction + 1 :]
        neighbours = np.append(larger, medians.values[network, fraction])
        next_time = next(iter(neighbours[np.isfinite(neighbours)]), None)
        ends[cell], last[cell] = _end(data, cell, budget, next_time)
    count = data.last_step.notnull().sum("seed")
    shares = [(ends == str(end)).sum("seed") / count.where(count > 0) for end in Outcome]
    return xr.Dataset(
        {
            "outcome": ends.astype(str),
            "last": last,
            "looks_semi": (last >= NOT_GENERALISED_BELOW) & (last < GENERALISED_FROM),
            "crossing_median": medians,
            "share": xr.concat(shares, dim="ending"),
        },
        coords={"ending": [str(end) for end in Outcome]},
    )


def _end(
    data: "xr.Dataset", at: tuple[int, ...], budget: int, next_time: float | None
) -> tuple[str, float]:
    """A run's outcome and its last accuracy."""
    steps, values = _curve(data, at, budget)
    # The history of a run that diverged ends without a mark.
    diverged = bool(data.diverged[at]) and data.last_step[at] < budget
    enough = len(steps) > 1  # for a curve
    end = outcome(steps, values, next_time) if enough else Outcome.UNFINISHED
    if diverged and end != Outcome.GROKKED:
        end = Outcome.DIVERGED
    return str(end), float(values[-1]) if len(values) else np.nan


def plot_trajectories(data: "xr.Dataset", *, network: str = "transformer") -> "go.Figure":
    """Fig. 9: validation accuracy against steps; colours are fractions, symbols how runs ended."""
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    from analyses.pages.style import finish

    figure = go.Figure()
    cells = data.sel(network=network).isel(budget=-1)
    shades = sample_colorscale("Viridis_r", np.linspace(0.15, 1.0, data.sizes["fraction"]))
    for fraction, shade in zip(data.fraction.values, shades, strict=True):
        for seed in data.seed.values:
            run = cells.sel(fraction=fraction, seed=seed)
            curve = run.test_accuracy.dropna("step").sel(step=slice(1, None))
            if not curve.size:
                continue
            symbol = OUTCOME_STYLE[Outcome(run.outcome.item())][1]
            figure.add_scatter(
                x=curve.step, y=curve, mode="lines+markers", name=f"{fraction:.3g}",
                line={"color": shade, "width": 1.5}, legendgroup=str(fraction),
                showlegend=bool(seed == data.seed.values[0]),
                marker={"symbol": symbol, "size": [0] * (curve.size - 1) + [11]},
                hovertemplate=f"{fraction:.3g}, seed {seed}: %{{x}}, %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
    for end in Outcome:
        if (cells.outcome == str(end)).any():
            figure.add_scatter(
                x=[None], y=[None], mode="markers", name=str(end),
                marker={"color": BLACK, "symbol": OUTCOME_STYLE[end][1], "size": 10},
            )  # fmt: skip
    for budget in data.budget.values[:-1]:
        figure.add_vline(budget, line_dash="dot", line_color=GREY)
    figure.add_hline(cells.chance.item(), line_dash="dot", line_color=GREY)
    figure.update_xaxes(
        type="log", exponentformat="power", dtick=1,
        title="step (updates; dotted: end of a smaller budget)",
    )  # fmt: skip
    figure.update_yaxes(title="validation accuracy (dotted: chance)", range=[-0.03, 1.03])
    title = f"Near the critical amount of data: {NETWORK_LABEL[network]}"
    return finish(figure, title=title, height=520, seeds=_seeds(cells)).update_layout(
        legend={
            "orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top",
            "tracegroupgap": 0,
        },
        legend_title="share of pairs<br>that train; outcome",
    )  # fmt: skip


def plot_outcomes(data: "xr.Dataset", *, network: str = "transformer") -> "go.Figure":
    """Share of seeds that ended in each way against the training fraction, a panel per budget."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import finish

    figure = make_subplots(
        cols=data.sizes["budget"], shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=[f"<b>judged at step {budget}</b>" for budget in data.budget.values],
    )  # fmt: skip
    cells = data.sel(network=network)
    fractions = [f"{fraction:.3g}" for fraction in data.fraction.values]
    for i in range(data.sizes["budget"]):
        for end in Outcome:
            if not (cells.outcome == str(end)).any():
                continue
            color, _, pattern = OUTCOME_STYLE[end]
            figure.add_bar(
                x=fractions, y=cells.share.isel(budget=i).sel(ending=str(end)), name=str(end),
                marker={"color": color, "pattern": {"shape": pattern, "fgcolor": BLACK}},
                legendgroup=str(end), showlegend=i == 0, row=1, col=i + 1,
                hovertemplate="%{x}: %{y:.0%} " + str(end) + "<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title="share of pairs that train", type="category")
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="share of seeds", col=1)
    title = f"Semi-grokked, or unfinished? {NETWORK_LABEL[network]}"
    return finish(figure, title=title, height=440, seeds=_seeds(cells)).update_layout(
        barmode="stack", margin_t=120, legend={"y": 1.1}
    )


def _seeds(cells: "xr.Dataset") -> str:
    return seeds_in_words(cells.last_step.notnull().sum("seed"), of=cells.sizes["seed"])


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "transformer"
) -> Iterator[Announcement | Finding]:
    """Train near the critical amount of data, and tell semi-grokked runs from unfinished ones."""
    yield Announcement.of(out, wanted(size, seeds, network))
    runs = collect_runs(out, size, seeds, network)
    usual = settings.network(network, size).training.steps
    data = compute(runs, budgets=(usual, LONGER[size] * usual))
    figures = [plot(data, network=network) for plot in (plot_trajectories, plot_outcomes)]
    yield Finding(data=data, figures=figures, rows=_counts(data))


def _counts(data: "xr.Dataset") -> Iterator[dict[str, int]]:
    """How many runs ended in which way, a row for each budget."""
    for i, budget in enumerate(data.budget.values):
        judged = data.isel(budget=i)
        counts = {str(end): int((judged.outcome == str(end)).sum()) for end in Outcome}
        looks = {"last accuracy 10-90 %": int(judged.looks_semi.sum())}
        yield {"judged at step": int(budget)} | counts | looks
