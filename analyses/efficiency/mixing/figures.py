"""Figures of mixtures: their curves, their scalars with predictions, and variants side by side."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.efficiency.mixing.delay import Verdict
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GENERALISING, GUIDE, INK, MEMORISING, SUBSET_LOOK, Look
from analyses.pages.panels import ACCURACIES, draw, finished, panels
from analyses.pages.style import LOSS_LABEL, explain

SPLITS = ("train", "test")
_CIRCUIT = {  # name, letter of its scalars, colour, dash of the prediction
    "memorising": ("C<sub>mem</sub>", "m", MEMORISING.color, "dot"),
    "generalising": ("C<sub>gen</sub>", "g", GENERALISING.color, "dash"),
}
_LEAST = 1e-7  # smallest loss that is drawn


def plot_mixture(data: xr.Dataset, *, title: str = "Two circuits mixed") -> go.Figure:
    """Accuracy and loss on train and test pairs, a row per start, a line per seed.

    The logarithmic axis of losses begins at 1e-7 and ends above the largest loss of a mixture that
    did not diverge.

    Args:
        data: from ``mixture.compute``, or several of these along a "seed" axis.
        title: of the figure.

    Source: the second paper, Fig. 5.
    """
    starts = data.start.values.tolist()
    loss = LOSS_LABEL[data.attrs["loss"]]
    names = "accuracy", loss
    titles = [f"{name}<br>{_start_title(start)}" for start in starts for name in names]
    axes = {"shared_xaxes": True, "shared_yaxes": False, "vertical_spacing": 0.16}
    figure = panels(titles, rows=len(starts), gap=0.12, **axes)
    for row, start in enumerate(starts, 1):
        for column, quantity in enumerate(("accuracy", "loss"), 1):
            for split in SPLITS:
                hover = f"{split}, step %{{x}}: %{{y:.4g}}<extra></extra>"
                curves = _by_seed(data[quantity].sel(start=start, split=split))
                width = 2 if len(curves) == 1 else 1.4
                for curve in curves:
                    options = {"mode": "lines", "width": width, "hover": hover}
                    draw(
                        figure,
                        (row, column),
                        curve.step,
                        curve,
                        split,
                        SUBSET_LOOK[split],
                        **options,
                    )
    figure.update_yaxes(range=ACCURACIES, col=1)
    # A loss that diverges may pass 1e200 on its way, which would flatten all others.
    within = data.loss.where(np.isfinite(data.loss).all(["step", "split"]), data.loss.isel(step=0))
    top = float(np.log10(within.max())) + 0.3
    figure.update_yaxes(type="log", range=[np.log10(_LEAST), top], col=2)
    figure.update_xaxes(title="step (updates)", row=len(starts))
    height = 170 + 270 * len(starts)
    return finished(figure, title, height=height, note=_seeds(data))


def plot_scalars(data: xr.Dataset, flow: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """First factors and weights of both circuits with their predictions, a column per start.

    Args:
        data: from ``mixture.compute``.
        flow: from ``gradient_flow.predict`` with the same arguments.
        title: of the figure.
    """
    starts = data.start.values.tolist()
    axes = {"shared_xaxes": True, "shared_yaxes": False, "vertical_spacing": 0.07}
    figure = panels([*map(_start_title, starts), *[""] * len(starts)], rows=2, gap=0.1, **axes)
    name, hover = f"{flow.attrs['flow']} flow", "step %{x}: %{y:.4f}<extra></extra>"
    for column, start in enumerate(starts, 1):
        for circuit, (label, letter, color, dash) in _CIRCUIT.items():
            thick = {"mode": "lines", "width": 4, "opacity": 0.6, "hover": hover}
            thin = {"mode": "lines", "width": 1.6, "hover": hover}
            trained, predicted = (run.sel(start=start) for run in (data, flow))
            for row in (1, 2):
                y, theory = (
                    run.scalars.sel(scalar=f"w_{letter}1")
                    if row == 1
                    else run.weights.sel(circuit=circuit)
                    for run in (trained, predicted)
                )
                place = row, column
                draw(figure, place, data.step, y, f"{label}, trained", Look(color), **thick)
                look = Look(INK, dash)
                draw(figure, place, flow.step, theory, f"{label}, {name}", look, **thin)
    figure.update_yaxes(title="first factor w<sub>1</sub>", row=1, col=1)
    figure.update_yaxes(title="weight w = w<sub>1</sub> w<sub>2</sub>", row=2, col=1)
    figure.update_yaxes(zerolinecolor=GUIDE)
    figure.update_xaxes(title="step (updates)", row=2)
    title = title or f"Scalars and their {name}"
    return finished(figure, title, height=560)


def plot_variants(
    found: xr.Dataset, *, factor: float = 10.0, title: str | None = None
) -> go.Figure:
    """When train and test loss fall in every variant; a column per start, a mark per seed.

    Open marks at the right edge have not fallen by the last step.

    Args:
        found: from ``delay.summary``, with a "variant" axis and perhaps a "seed" axis.
        factor: by which losses fall, 2 or 10.
        title: of the figure.
    """
    starts, last = found.start.values.tolist(), found.attrs["steps"]
    figure = panels([_start_title(start) for start in starts], gap=0.07)
    names = found.variant.values.tolist()
    for column, start in enumerate(starts, 1):
        verdicts = _by_variant(found.verdict.sel(start=start))
        rows = np.repeat(names, verdicts.size // len(names))
        for split in SPLITS:
            steps = _by_variant(found.fall_step.sel(start=start, split=split, factor=factor))
            fell, look = ~np.isnan(steps), SUBSET_LOOK[split]
            hover = f"{split}: step %{{x}} (%{{customdata}})<extra></extra>"
            options = {"mode": "markers", "size": 11, "opacity": 0.8, "hover": hover}
            for some, symbol in ((fell, look.symbol), (~fell, f"{look.symbol}-open")):
                # A trace without any point would have no entry in the legend.
                x, y = np.where(fell, steps, last)[some], rows[some]
                x, y = (x, y) if some.any() else ([None], [None])
                mark, said = look._replace(symbol=symbol), verdicts[some]
                draw(figure, (1, column), x, y, split, mark, customdata=said, **options)
    figure.update_traces(marker_line_width=1.5, cliponaxis=False)
    minor = {"dtick": "D1", "showgrid": True}
    figure.update_xaxes(title="step (updates)", type="log", minor=minor)
    figure.update_xaxes(range=[0.4, np.log10(last) + 0.08])
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=names)
    title = title or f"When losses have fallen by {factor:g} times"
    explain(figure, "not by the end", symbol="circle-open")
    height = 220 + 30 * len(names)
    return finished(figure, title, height=height, note=_seeds(found))


def table(found: xr.Dataset) -> list[dict[str, Any]]:
    """A row of numbers per variant and start, medians over seeds if there are several.

    A time is NaN if half of the seeds or more have not reached it by the last step.
    """
    rows = []
    for variant in found.variant.values.tolist():
        for start in found.start.values.tolist():
            here = found.sel(variant=variant, start=start)
            verdicts = np.atleast_1d(here.verdict.values).tolist()
            row: dict[str, Any] = {"variant": variant, "start": start}
            for factor in here.factor.values:
                for split in SPLITS:
                    steps = here.fall_step.sel(split=split, factor=factor).values
                    row[f"{split} / {factor:g}"] = _censored_median(np.atleast_1d(steps))
            row["peak"] = float(np.median(here.peak))
            counts = {str(verdict): verdicts.count(str(verdict)) for verdict in Verdict}
            row["verdict"] = ", ".join(f"{count} {v}" for v, count in counts.items() if count)
            rows.append(row)
    return rows


def _censored_median(steps: np.ndarray) -> float:
    middle = float(np.median(np.where(np.isnan(steps), np.inf, steps)))
    return middle if np.isfinite(middle) else float("nan")


def _seeds(data: xr.Dataset) -> str:
    """How many seeds there are, and of how many if some were left out; "" without a seed axis."""
    if "seed" not in data.dims:
        return ""
    return seeds_in_words(data.sizes["seed"], of=data.attrs.get("n_wanted"))


def _by_seed(values: xr.DataArray) -> list[xr.DataArray]:
    return list(values.transpose("seed", ...)) if "seed" in values.dims else [values]


def _by_variant(values: xr.DataArray) -> np.ndarray:
    return values.transpose("variant", ...).values.ravel()


def _start_title(start: str) -> str:
    return f"w<sub>m2</sub> : w<sub>g2</sub> = {start}" if ":" in start else start
