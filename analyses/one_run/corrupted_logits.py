"""What a network answers on corrupted training examples (Doshi et al. 2023, Fig. 23, appendix K).

Its logits have two peaks, at the label it was given and at the true one; the phase decides which is
higher. Which neurons make the peaks is the question of ``analyses.one_run.logit_split``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from jaxtyping import Float, Int
from plotly.subplots import make_subplots
from torch import Tensor

from analyses.pages.finding import Finding
from analyses.pages.labels import run_labels
from analyses.pages.style import BLACK, BLUE, GREY, RED, finish
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.data import Dataset
from grokinterp.session import unaffected
from probes import network_on_pairs

ROLES = ("given", "true", "other")  # that a class can have for an example


@unaffected()
def compute(
    runs: Run | Sequence[Run], *, examples: int = 4, labels: Sequence[str] | None = None
) -> xr.Dataset:
    """Logits of every changed training example at its given, its true and the best other class.

    Args:
        runs: one, or several that were trained on the same data, of any architectures.
        examples: how many to keep the whole logits of, spread evenly over the changed ones.
        labels: what to call the runs; by default what differs between their configs.

    Returns:
        Dataset over ("run", "example", "role"): ``logit`` at the "given" (wrong) label, at the
        "true" one and at the "other" class with the largest; over ("run", "example"): ``top``, the
        role of the answer; over ("run", "role"): ``share`` of the examples answered so; over
        ("run", "example"): ``best_other``, the class; over ("run", "shown", "residue"): ``curve``,
        the whole logits of some examples. Coordinates: "run" has the labels, "shown" the examples'
        numbers, and over "example" the pair ``a``, ``b`` and its labels ``given`` and ``true``.

    Raises:
        ValueError: no run, no changed label, or runs on different data.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    check_int("examples", examples, minimum=1)
    data = _common_data(runs)
    changed = data.is_changed
    tokens, given, true = data.tokens[changed], data.labels[changed], data.clean_labels[changed]
    shown = np.unique(np.linspace(0, len(tokens) - 1, examples).round().astype(int))
    logits = torch.stack([network_on_pairs(run.model).logits()[changed] for run in runs])
    classes = torch.stack([_classes(of_run, given, true) for of_run in logits])
    # An answer that is neither label is an other class.
    is_answer = logits.argmax(dim=2, keepdim=True) == classes[..., :2]
    role = torch.where(is_answer, torch.arange(2), 2).min(dim=2).values
    return xr.Dataset(
        {
            "logit": (("run", "example", "role"), logits.gather(2, classes)),
            "top": (("run", "example"), np.asarray(ROLES)[role]),
            "share": (
                ("run", "role"),
                torch.stack([(role == i).double().mean(dim=1) for i in range(len(ROLES))], dim=1),
            ),
            "best_other": (("run", "example"), classes[..., 2]),
            "curve": (("run", "shown", "residue"), logits[:, shown]),
        },
        coords={
            "run": list(labels or run_labels([run.config for run in runs])),
            "role": list(ROLES),
            "shown": shown,
            "a": ("example", tokens[:, 0].numpy()),
            "b": ("example", tokens[:, 1].numpy()),
            "given": ("example", given.numpy()),
            "true": ("example", true.numpy()),
        },
    )


def plot_logits(
    data: xr.Dataset, *, title: str = "Which label wins on corrupted examples?"
) -> go.Figure:
    """How the logits at given, true and best other class are distributed; one line per run."""
    count, panel, gap = data.sizes["run"], 170, 50
    inner = count * (panel + gap) - gap
    figure = make_subplots(
        rows=count, shared_xaxes=True, vertical_spacing=gap / inner if count > 1 else 0,
        subplot_titles=[_heading(data.isel(run=i)) for i in range(count)],
    )  # fmt: skip
    for row in range(count):
        for role in ROLES:
            figure.add_histogram(
                x=data.logit.isel(run=row).sel(role=role), name=_LABEL[role], bingroup=1,
                nbinsx=80, histnorm="percent", marker_color=_color(role), opacity=0.65,
                legendgroup=role, showlegend=row == 0, row=row + 1, col=1,
                hovertemplate="logit %{x}: %{y:.1f} % of the examples",
            )  # fmt: skip
    figure.update_annotations(font_size=13)
    figure.update_xaxes(title="logit", row=count)
    figure.update_yaxes(title="% of examples")
    figure = finish(figure, title=title, height=inner + 170)
    return figure.update_layout(
        barmode="overlay", margin_t=110, legend={"y": 1 + 32 / inner, "x": 1}
    )


def plot_examples(
    data: xr.Dataset, *, title: str = "Logits on some corrupted examples (a, b)"
) -> go.Figure:
    """Fig. 23: whole logits of the shown examples, one line of panels per run."""
    names = [str(name) for name in data.run.values]
    return plot_curves(data, list(zip(names, data.curve, strict=True)), title=title)


def plot_curves(
    data: xr.Dataset, rows: Sequence[tuple[str, xr.DataArray]], *, title: str
) -> go.Figure:
    """A panel per row and shown example: values over residues, the example's two labels marked.

    Args:
        data: what :func:`compute` gave.
        rows: each one's name and its values over ("shown", "residue").
        title: of the figure.
    """
    shown = data.isel(example=data.shown.values)
    pairs = [f"({a}, {b})" for a, b in zip(shown.a.values, shown.b.values, strict=True)]
    panel, gap = 150, 18
    inner = len(rows) * (panel + gap) - gap
    figure = make_subplots(
        rows=len(rows), cols=len(pairs), shared_xaxes=True, shared_yaxes=True,
        horizontal_spacing=0.02, vertical_spacing=gap / inner if len(rows) > 1 else 0,
        column_titles=pairs,
    )  # fmt: skip
    for row, (name, curves) in enumerate(rows, 1):
        for column in range(len(pairs)):
            place: dict[str, Any] = {"row": row, "col": column + 1}
            curve = curves.isel(shown=column)
            figure.add_scatter(
                y=curve, mode="lines", line={"color": BLACK, "width": 1}, showlegend=False,
                hovertemplate="residue %{x}: %{y:.3f}<extra></extra>", **place,
            )  # fmt: skip
            for role, symbol in (("given", "x"), ("true", "circle")):
                at = int(shown[role][column])
                figure.add_scatter(
                    x=[at], y=[float(curve[at])], name=_LABEL[role], legendgroup=role,
                    mode="markers", showlegend=row == column + 1 == 1,
                    marker={"color": _color(role), "size": 10, "symbol": symbol},
                    hovertemplate="residue %{x}: %{y:.3f}", **place,
                )  # fmt: skip
        figure.update_yaxes(title=f"{name}<br>logit" if name else "logit", row=row, col=1)
    # One scale, so that rows compare; ticks where they do not touch those of the next panel.
    figure.update_yaxes(matches="y")
    figure.update_xaxes(tickvals=[0, data.sizes["residue"] // 2])
    figure.update_xaxes(title="residue", row=len(rows))
    figure = finish(figure, title=title, height=inner + 170)
    return figure.update_layout(margin={"t": 105, "l": 95}, legend={"y": 1 + 28 / inner})


_LABEL = {
    "given": "given (wrong) label", "true": "true label", "other": "largest other class"
}  # fmt: skip


def _color(role: str) -> str:

    return {"given": RED, "true": BLUE, "other": GREY}[role]


def _heading(run: xr.Dataset) -> str:
    shares = ", ".join(f"{role} {float(run.share.sel(role=role)):.1%}" for role in ROLES)
    name = f"<b>{run.run.values}</b>: " if str(run.run.values) else ""
    return f"{name}answers: {shares}"


def _common_data(runs: Sequence[Run]) -> Dataset:
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    first = runs[0].dataset
    for run in runs[1:]:
        same = torch.equal(run.dataset.labels, first.labels)
        if not (same and torch.equal(run.dataset.is_changed, first.is_changed)):
            raise ValueError(
                "runs were trained on different data; compare runs whose config.data agree, and "
                "data.seed with it, or compute them one by one"
            )
    check_int("data.p", first.p, minimum=3)  # else there is no other class
    if not first.is_changed.any():
        raise ValueError(
            f"no training label was changed (corruption={runs[0].config.data.corruption}); "
            "there is no corrupted example to look at"
        )
    return first


def _classes(
    logits: Float[Tensor, "example p"],
    given: Int[Tensor, " example"],
    true: Int[Tensor, " example"],
) -> Int[Tensor, "example 3"]:
    """The given label, the true one, and the class of the largest logit besides these."""
    both = torch.stack([given, true], dim=1)
    other = logits.scatter(1, both, -torch.inf).argmax(dim=1)
    return torch.cat([both, other[:, None]], dim=1)


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    return Finding(data=data, figures=[plot_logits(data), plot_examples(data)])
