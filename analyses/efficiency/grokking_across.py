"""Grokking across architectures and amounts of data (second paper, Figs. 1, 2 and 3).

``grokinterp run grokking_across OUT`` trains what is not in OUT yet and draws it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.histories import LOG_TICKS, NETWORK_LABEL, side_by_side
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.statistics.over_runs import crossings, median_times, values_at
from analyses.statistics.thresholds import GENERALISED_FROM, TIMED_AT
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect, folder_name

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

FRACTIONS = (0.3, 0.5, 0.7)
LEVELS = (0.5, GENERALISED_FROM, TIMED_AT)
# Validation has left chance at five times 1/p, which is the 5 % of the published numbers at p = 97.
TIMES_CHANCE = 5.0
SPLITS = ("train", "test")
SPLIT_LABEL = {"train": "train", "test": "validation"}


def wanted(
    size: str,
    seeds: int,
    networks: Sequence[str] = settings.NETWORKS,
    fractions: Sequence[float] = FRACTIONS,
) -> list[Named]:
    """The runs of this experiment; every seed draws weights and split anew.

    Raises:
        ValueError: a fraction leaves fewer pairs than there are classes.
    """
    runs = [
        Named(
            folder_name(network, fraction, "seed", seed),
            settings.with_fraction(
                settings.seeded(settings.network(network, size), seed), fraction
            ),
        )
        for network in networks for fraction in fractions for seed in range(seeds)
    ]  # fmt: skip
    for named in runs:
        settings.check_classes(named.config)
    return runs


def collect_runs(
    out: Path,
    size: str,
    seeds: int,
    networks: Sequence[str] = settings.NETWORKS,
    fractions: Sequence[float] = FRACTIONS,
) -> list[Run]:
    """Train what is not in ``out`` yet; see :func:`wanted`."""
    return collect(out, wanted(size, seeds, networks, fractions))


def compute(runs: Sequence[Run]) -> "xr.Dataset":
    """Accuracies of all runs, when they cross levels, and how long validation lags behind.

    A crossing is the step of the first of five evaluated rows in a row at or above the level, as
    networks may collapse for a while. A run that ends first is censored: it would take longer than
    its ``last_step``, how much longer is not known.

    Args:
        runs: of any networks, training fractions and seeds; no two of one cell.

    Returns:
        Dataset over "network", "fraction" and "seed", NaN where there is no such run:

        * ``accuracy`` (..., split, step) and ``median_accuracy`` over seeds, 0..1, split being
          train or test (the pairs held out);
        * ``crossing`` (..., split, level), in steps, NaN where not crossed by ``last_step`` (...);
          ``crossing_median``, ``crossing_low`` and ``crossing_high``: Kaplan-Meier median over
          seeds and its 95 % interval, infinite where not reached;
        * ``delay`` (...): step at which validation crosses 99 % over that at which training does,
          NaN where either does not; ``delay_above`` (...): the bound if only training does, and
          NaN otherwise; ``delay_median``, ``delay_low`` and ``delay_high`` as for crossings, NaN
          where training crosses 99 % in no run;
        * ``test_at_learned`` (...): validation accuracy where training crosses 99 %;
        * ``train_at_leaving`` (...): training accuracy where validation crosses 5/p for the first
          time, which leaves chance.

    Source: second paper, Figs. 1-3 and section 3.
    """
    import xarray as xr

    per_run = ("network", "fraction", "seed")
    data = side_by_side(runs, per_run)
    accuracy = xr.concat([data[f"{split}_accuracy"] for split in SPLITS], dim="split")
    accuracy = accuracy.assign_coords(split=list(SPLITS)).transpose(*per_run, "split", "step")
    crossing = crossings(accuracy, xr.DataArray(list(LEVELS), {"level": list(LEVELS)}))
    train, test = (accuracy.sel(split=split, drop=True) for split in SPLITS)
    learned, generalised = (
        crossing.sel(split=split, level=TIMED_AT, drop=True) for split in SPLITS
    )
    delay = generalised / learned
    above = data.last_step.where(generalised.isnull()) / learned
    medians = {
        "crossing": median_times(crossing, data.last_step),
        "delay": median_times(delay, above),
    }
    return xr.Dataset(
        {
            "accuracy": accuracy,
            "median_accuracy": accuracy.median("seed"),
            "crossing": crossing,
            "delay": delay,
            "delay_above": above,
            "test_at_learned": values_at(test, learned),
            "train_at_leaving": values_at(train, crossings(test, TIMES_CHANCE * data.chance)),
            **{
                f"{name}_{part}": values
                for name, found in medians.items() for part, values in found.items()
            },
            **{name: data[name] for name in ("last_step", "n_train", "chance")},
        },
    )  # fmt: skip


def table(data: "xr.Dataset") -> list[dict[str, Any]]:
    """One row per run: what F6, F7 and the delays are read from; None where it did not happen."""
    rows = []
    for at in np.argwhere(data.last_step.notnull().values):
        run = data.isel(dict(zip(data.last_step.dims, at, strict=True)))
        learned = run.crossing.sel(level=TIMED_AT)
        numbers = {
            **{f"{SPLIT_LABEL[split]} 99 %": learned.sel(split=split) for split in SPLITS},
            "delay": run.delay,
            "delay above": run.delay_above,
            "validation at train 99 %": run.test_at_learned,
            "train at leaving chance": run.train_at_leaving,
        }
        rows.append(
            {axis: run[axis].item() for axis in data.last_step.dims}
            | {name: None if np.isnan(value) else value.item() for name, value in numbers.items()}
        )
    return rows


def plot_networks(data: "xr.Dataset", *, fraction: float = 0.5) -> "go.Figure":
    """Fig. 1: accuracies against steps, a panel per network."""
    cells = data.sel(fraction=fraction)
    panels = [cells.sel(network=network) for network in data.network.values]
    return _plot_curves(panels, f"Grokking on {fraction:.0%} of the pairs")


def plot_fractions(data: "xr.Dataset", *, network: str) -> "go.Figure":
    """Figs. 2 and 3: accuracies of one network against steps, a panel per training fraction."""
    cells = data.sel(network=network)
    panels = [cells.sel(fraction=fraction) for fraction in data.fraction.values]
    return _plot_curves(panels, f"Grokking and the amount of data: {NETWORK_LABEL[network]}")


def plot_crossings(data: "xr.Dataset", *, level: float = TIMED_AT) -> "go.Figure":
    """Steps to a level against training pairs: seeds, and their median; triangles are censored."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import SUBSET_STYLE, finish

    symbols = {"train": "circle", "test": "diamond"}
    networks = data.network.values
    figure = make_subplots(
        cols=len(networks), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[f"<b>{NETWORK_LABEL[network]}</b>" for network in networks],
    )  # fmt: skip
    for i, network in enumerate(networks):
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        at_level = data.sel(network=network, level=level)
        for split in SPLITS:
            cells, color = at_level.sel(split=split), SUBSET_STYLE[split]["color"]
            for seed in data.seed.values:
                run = cells.sel(seed=seed)
                figure.add_scatter(
                    x=run.n_train, y=run.crossing, mode="markers", showlegend=False,
                    marker={"color": color, "symbol": symbols[split], "size": 6, "opacity": 0.5},
                    hovertemplate=f"seed {seed}, %{{x}} pairs: step %{{y}}<extra></extra>", **place,
                )  # fmt: skip
                figure.add_scatter(
                    x=run.n_train, y=run.last_step.where(run.crossing.isnull()), mode="markers",
                    marker={"color": color, "symbol": "triangle-up-open", "size": 11},
                    name="not reached by then", legendgroup="censored",
                    showlegend=bool(i == 0 and split == "test" and seed == data.seed.values[0]),
                    hovertemplate=f"seed {seed}, %{{x}} pairs: after step %{{y}}<extra></extra>",
                    **place,
                )  # fmt: skip
            figure.add_scatter(
                x=cells.n_train, y=cells.crossing_median.where(np.isfinite(cells.crossing_median)),
                mode="lines+markers", name=f"{SPLIT_LABEL[split]}, median of seeds",
                legendgroup=split, showlegend=i == 0,
                line={**SUBSET_STYLE[split], "width": 2},
                marker={"symbol": symbols[split], "size": 10}, **place,
            )  # fmt: skip
    figure.update_xaxes(title="training pairs")
    figure.update_yaxes(type="log", tickvals=LOG_TICKS)
    figure.update_yaxes(title=f"step at which accuracy reaches {level:.0%}", col=1)
    figure = finish(
        figure, title="How long training and generalising take", height=460, seeds=_seeds(data)
    )
    return _spacious(figure)


def _seeds(*parts: "xr.Dataset") -> str:
    counts = [part.last_step.notnull().sum("seed").values.ravel() for part in parts]
    return seeds_in_words(np.concatenate(counts), of=parts[0].sizes["seed"])


def _plot_curves(panels: list["xr.Dataset"], title: str) -> "go.Figure":
    """Thin lines are seeds, thick ones their medians."""
    from plotly.subplots import make_subplots

    from analyses.pages.style import GREY, finish

    figure = make_subplots(
        cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[_heading(panel) for panel in panels],
    )  # fmt: skip
    for i, panel in enumerate(panels):
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        panel = panel.sel(step=slice(1, None))  # a logarithmic axis has no step 0
        for split in SPLITS:
            cells = panel.sel(split=split)
            for seed in panel.seed.values:
                _draw(figure, cells.accuracy.sel(seed=seed), split, place)
            _draw(figure, cells.median_accuracy, split, place, median=True, legend=i == 0)
        figure.add_hline(panel.chance.item(), line_dash="dot", line_color=GREY, **place)
    figure.update_xaxes(type="log", title="step (updates)", exponentformat="power", dtick=1)
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy (dotted: chance)", col=1)
    return _spacious(finish(figure, title=title, height=440, seeds=_seeds(*panels)))


def _draw(
    figure: "go.Figure",
    curve: "xr.DataArray",
    split: str,
    place: dict[str, Any],
    *,
    median: bool = False,
    legend: bool = False,
) -> None:
    from analyses.pages.style import SUBSET_STYLE

    curve = curve.dropna("step")
    figure.add_scatter(
        x=curve.step, y=curve, mode="lines", name=f"{SPLIT_LABEL[split]}, median of seeds",
        line={**SUBSET_STYLE[split], "width": 3 if median else 1}, opacity=1.0 if median else 0.45,
        legendgroup=split, showlegend=legend, hovertemplate="step %{x}: %{y:.4f}", **place,
    )  # fmt: skip


def _spacious(figure: "go.Figure") -> "go.Figure":
    """Room for two lines over each panel, and the legend above them."""
    figure.update_annotations(font_size=13)
    return figure.update_layout(margin_t=140, legend={"y": 1.17})


def _heading(panel: "xr.Dataset") -> str:
    """The network, its data, and how long validation lags behind."""
    name = f"<b>{NETWORK_LABEL[panel.network.item()]}, {panel.fraction.item():.0%}</b>"
    delay, learned = panel.delay_median.item(), f"{TIMED_AT:.0%}"
    if np.isnan(delay):
        return f"{name}<br>training does not reach {learned}"
    if np.isinf(delay):
        return f"{name}<br>most do not reach {learned} validation here"
    return f"{name}<br>{learned}: validation {delay:.3g} times later"


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train the three networks on three amounts of data, and see which generalise late."""
    yield Announcement.of(out, wanted(size, seeds))
    data = compute(collect_runs(out, size, seeds))
    figures = [
        plot_networks(data),
        *(plot_fractions(data, network=network) for network in data.network.values),
        plot_crossings(data),
    ]
    yield Finding(data=data, figures=figures, rows=table(data))
