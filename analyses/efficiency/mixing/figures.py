"""Figures of mixtures: their curves, their scalars with predictions, and variants side by side."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.efficiency.mixing.delay import Verdict
from analyses.pages.labels import seeds_in_words
from analyses.pages.style import BLACK, GREEN, GREY, LOSS_LABEL, ORANGE, SUBSET_STYLE, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

SPLIT_NAME = {"train": "train", "test": "validation"}
_CIRCUIT = {
    "memorising": ("C<sub>mem</sub>", "m", {"color": ORANGE}),
    "generalising": ("C<sub>gen</sub>", "g", {"color": GREEN}),
}
_LEAST = 1e-7  # of a loss that is drawn
_SYMBOL = {"train": "circle", "test": "diamond"}


def plot_mixture(data: xr.Dataset, *, title: str = "Two circuits mixed") -> "go.Figure":
    """Accuracy and loss on train and validation, a row per start; a line per seed if there are any.

    Losses are drawn from 1e-7 on, on a logarithmic axis that ends above the largest loss of those
    mixtures that did not diverge.

    Args:
        data: of ``mixture.compute``, or several with a "seed" axis.
        title: of the figure.

    Source: the second paper, Fig. 5.
    """
    from plotly.subplots import make_subplots

    starts = data.start.values.tolist()
    figure = make_subplots(
        rows=len(starts), cols=2, shared_xaxes=True, horizontal_spacing=0.12,
        vertical_spacing=0.12, subplot_titles=[_start_title(s) for s in starts for _ in range(2)],
    )  # fmt: skip
    for row, start in enumerate(starts, 1):
        for col, quantity in enumerate(("accuracy", "loss"), 1):
            for split, name in SPLIT_NAME.items():
                here = _by_seed(data[quantity].sel(start=start, split=split))
                for i, curve in enumerate(here):
                    figure.add_scatter(
                        x=curve.step, y=curve, name=name, legendgroup=split,
                        line=SUBSET_STYLE[split] | {"width": 2 if len(here) == 1 else 1.4},
                        showlegend=row == col == 1 and i == 0, row=row, col=col,
                        hovertemplate=f"{name}, step %{{x}}: %{{y:.4g}}<extra></extra>",
                    )  # fmt: skip
    figure.update_yaxes(title="accuracy", range=[-0.03, 1.03], col=1)
    # One that diverged may pass 1e200 on its way, and would flatten all others.
    within = data.loss.where(np.isfinite(data.loss).all(["step", "split"]), data.loss.isel(step=0))
    top = float(np.log10(within.max())) + 0.3
    loss = LOSS_LABEL[data.attrs["loss"]].replace(" of ", "<br>of ")
    figure.update_yaxes(
        title=loss, type="log", range=[np.log10(_LEAST), top], exponentformat="power", dtick=2,
        col=2,
    )  # fmt: skip
    figure.update_xaxes(title="step (updates)", row=len(starts))
    figure.update_annotations(font_size=13)
    height = 130 + 260 * len(starts)
    figure = finish(figure, title=title, height=height, seeds=_seeds(data))
    return figure.update_layout(margin_t=110, legend={"y": 1.06})


def plot_scalars(data: xr.Dataset, flow: xr.Dataset, *, title: str | None = None) -> "go.Figure":
    """First factors and weights of both circuits, a column per start; predictions drawn over them.

    Args:
        data: of ``mixture.compute``.
        flow: of ``gradient_flow.predict``, with the same arguments.
        title: of the figure.
    """
    from plotly.subplots import make_subplots

    starts = data.start.values.tolist()
    figure = make_subplots(
        rows=2, cols=len(starts), shared_xaxes=True, vertical_spacing=0.07,
        horizontal_spacing=0.1, subplot_titles=[_start_title(start) for start in starts],
    )  # fmt: skip
    name = f"{flow.attrs['flow']} flow"
    for col, start in enumerate(starts, 1):
        for circuit, (label, letter, style) in _CIRCUIT.items():
            for row in (1, 2):
                curves = [
                    run.sel(start=start).scalars.sel(scalar=f"w_{letter}1") if row == 1
                    else run.sel(start=start).weights.sel(circuit=circuit)
                    for run in (data, flow)
                ]  # fmt: skip
                shown: dict[str, Any] = {"showlegend": row == col == 1, "row": row, "col": col}
                figure.add_scatter(
                    x=data.step, y=curves[0], name=f"{label}, trained", line=style | {"width": 4},
                    opacity=0.6, legendgroup=circuit,
                    hovertemplate="step %{x}: %{y:.4f}<extra></extra>", **shown,
                )  # fmt: skip
                dash = "dot" if letter == "m" else "dash"
                figure.add_scatter(
                    x=flow.step, y=curves[1], name=f"{label}, {name}",
                    line={"color": BLACK, "width": 1.6, "dash": dash}, legendgroup=f"{circuit}p",
                    hovertemplate="step %{x}: %{y:.4f}<extra></extra>", **shown,
                )  # fmt: skip
    figure.update_yaxes(title="first factor w<sub>1</sub>", row=1, col=1)
    figure.update_yaxes(title="weight w = w<sub>1</sub> w<sub>2</sub>", row=2, col=1)
    figure.update_yaxes(zerolinecolor=GREY)
    figure.update_xaxes(title="step (updates)", row=2)
    figure.update_annotations(font_size=13)
    return finish(figure, title=title or f"Scalars and their {name}", height=560).update_layout(
        margin_t=120, legend={"y": 1.06}
    )


def plot_variants(
    found: xr.Dataset, *, factor: float = 10.0, title: str | None = None
) -> "go.Figure":
    """When train and validation loss fall, for every variant; a column per start, a mark per seed.

    Marks at the right edge that are open have not fallen by the last step.

    Args:
        found: of ``delay.summary``, with a "variant" axis and perhaps a "seed" axis.
        factor: the fall to look at, 2 or 10 times.
        title: of the figure.
    """
    from plotly.subplots import make_subplots

    starts, last = found.start.values.tolist(), found.attrs["steps"]
    figure = make_subplots(
        cols=len(starts), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[_start_title(start) for start in starts],
    )  # fmt: skip
    names = found.variant.values.tolist()
    for col, start in enumerate(starts, 1):
        for split, label in SPLIT_NAME.items():
            here = found.fall_step.sel(start=start, split=split, factor=factor)
            verdicts = found.verdict.sel(start=start)
            steps = np.concatenate([here.sel(variant=name).values.ravel() for name in names])
            said = np.concatenate([verdicts.sel(variant=n).values.ravel() for n in names])
            rows = np.repeat(names, len(steps) // len(names))
            fell = ~np.isnan(steps)
            at = np.where(fell, steps, last)
            for some, symbol in ((fell, _SYMBOL[split]), (~fell, f"{_SYMBOL[split]}-open")):
                # A trace without any point would have no entry in the legend.
                x, y = (at[some], rows[some]) if some.any() else ([None], [None])
                figure.add_scatter(
                    x=x, y=y, customdata=said[some],
                    mode="markers", name=label, legendgroup=split,
                    showlegend=col == 1 and some is fell, row=1, col=col, cliponaxis=False,
                    marker={"color": SUBSET_STYLE[split]["color"], "size": 11, "symbol": symbol,
                            "line": {"width": 1.5}, "opacity": 0.8},
                    hovertemplate=f"{label}: step %{{x}} (%{{customdata}})<extra></extra>",
                )  # fmt: skip
    figure.update_xaxes(
        title="step (updates)", type="log", dtick=1, minor={"dtick": "D1", "showgrid": True},
        range=[0.4, np.log10(last) + 0.08],
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=names)
    title = title or f"When losses have fallen by {factor:g} times (open: not by the end)"
    height = 170 + 30 * len(names)
    return finish(figure, title=title, height=height, seeds=_seeds(found)).update_layout(
        margin={"t": 110, "l": 20}, legend={"y": 1 + 28 / (height - 170)}
    )


def table(found: xr.Dataset) -> list[dict[str, Any]]:
    """A row of numbers per variant and start, medians over seeds if there are any; for print.

    A time is NaN if half of the seeds or more had not come to it by the last step.
    """
    rows = []
    for variant in found.variant.values.tolist():
        for start in found.start.values.tolist():
            here = found.sel(variant=variant, start=start)
            verdicts = np.atleast_1d(here.verdict.values).tolist()
            row: dict[str, Any] = {"variant": variant, "start": start}
            for factor in here.factor.values:
                for split, name in SPLIT_NAME.items():
                    steps = here.fall_step.sel(split=split, factor=factor).values
                    row[f"{name} / {factor:g}"] = _censored_median(np.atleast_1d(steps))
            row["peak"] = float(np.median(here.peak))
            row["verdict"] = ", ".join(
                f"{verdicts.count(str(v))} {v}" for v in Verdict if str(v) in verdicts
            )
            rows.append(row)
    return rows


def _censored_median(steps: np.ndarray) -> float:
    middle = float(np.median(np.where(np.isnan(steps), np.inf, steps)))
    return middle if np.isfinite(middle) else float("nan")


def _seeds(data: xr.Dataset) -> str:
    """How many seeds there are, and of how many, if some were left out; "" without a seed axis."""
    if "seed" not in data.dims:
        return ""
    return seeds_in_words(data.sizes["seed"], of=data.attrs.get("n_wanted"))


def _by_seed(values: xr.DataArray) -> list[xr.DataArray]:
    return list(values.transpose("seed", ...)) if "seed" in values.dims else [values]


def _start_title(start: str) -> str:
    return f"w<sub>m2</sub> : w<sub>g2</sub> = {start}" if ":" in start else start
