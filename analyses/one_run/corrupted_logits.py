"""What a network answers on corrupted training examples (Doshi et al. 2023, Fig. 23, appendix K).

On such an example the logits have two peaks, at the wrong label that the network was trained on
and at the true one. Which peak is higher depends on the phase. ``analyses.one_run.logit_split``
shows which neurons produce them.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import corrupted_logits
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = corrupted_logits.compute([run])
    >>> bool(data.share.sel(role="given") > 0.95)  # of the answers: nearly all are memorised
    True
    >>> figure = corrupted_logits.plot_logits(data)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from analyses.pages.finding import Finding
from analyses.pages.labels import run_labels
from analyses.pages.palette import GENERALISING, GUIDE, INK, MEMORISING
from analyses.pages.style import finish, stacked_panels
from analyses.runs_given import runs_of
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.data import Dataset
from grokinterp.session import unaffected
from probes import network_on_pairs

# What a class can be for an example: its given (wrong) label, its true one, or any other class.
ROLES = ("given", "true", "other")
_LABEL = {
    "given": "given (wrong) label",
    "true": "true label",
    "other": "largest other class",
}
_COLOUR = {"given": MEMORISING.color, "true": GENERALISING.color, "other": GUIDE}


@unaffected()
def compute(
    runs: Run | Sequence[Run], *, examples: int = 4, labels: Sequence[str] | None = None
) -> xr.Dataset:
    """Logits of every training example whose label was changed, at three classes.

    Args:
        runs: one, or several trained on the same data, of any architectures.
        examples: number of examples whose logits are kept for all classes, spread evenly over
            the changed ones.
        labels: names of the runs; by default the settings in which they differ.

    Returns:
        Dataset:

        - (run, example, role): ``logit`` at the "given" (wrong) label, at the "true" label and
          at the "other" class with the largest logit;
        - (run, example): ``best_other``, that other class; ``top``, the role of the answer, ""
          where a logit is NaN;
        - (run, role): ``share`` of the examples with that answer; NaN if an example has none;
        - (run, shown, residue): ``curve``, the logits at all classes of the kept examples.

        Coordinates: the names "run", the kept examples' indices "shown", and over "example" the
        operands ``a`` and ``b`` and the labels ``given`` and ``true``.

    Raises:
        ValueError: no run, no changed label, or runs on different data.
    """
    runs = runs_of(runs)
    check_int("examples", examples, minimum=1)
    data = _common_data(runs)
    changed = data.is_changed
    tokens, given, true = data.tokens[changed], data.labels[changed], data.clean_labels[changed]
    shown = np.unique(np.linspace(0, len(tokens) - 1, examples).round().astype(int))
    logits = torch.stack([network_on_pairs(run.model).logits()[changed] for run in runs])
    classes = torch.stack([_classes(of_run, given, true) for of_run in logits])
    # An answer that is neither of the two labels has the role "other".
    is_answer = logits.argmax(dim=2, keepdim=True) == classes[..., :2]
    role = torch.where(is_answer, torch.arange(2), 2).min(dim=2).values
    role[logits.isnan().any(dim=2)] = len(ROLES)  # a diverged network gives no answer
    share = torch.stack([(role == i).double().mean(dim=1) for i in range(len(ROLES))], dim=1)
    share[(role == len(ROLES)).any(dim=1)] = torch.nan
    return xr.Dataset(
        {
            "logit": (("run", "example", "role"), logits.gather(2, classes)),
            "top": (("run", "example"), np.asarray([*ROLES, ""])[role]),
            "share": (("run", "role"), share),
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
    """Histograms of the logits at the three classes, one row of the figure per run."""
    count = data.sizes["run"]
    titles = [_heading(data.isel(run=i)) for i in range(count)]
    figure, inner = stacked_panels(
        count, height=170, gap=50, shared_xaxes=True, subplot_titles=titles
    )
    for row in range(count):
        for role in ROLES:
            figure.add_histogram(
                x=data.logit.isel(run=row).sel(role=role),
                nbinsx=80,
                bingroup=1,
                histnorm="percent",
                name=_LABEL[role],
                marker_color=_COLOUR[role],
                opacity=0.65,
                legendgroup=role,
                showlegend=row == 0,
                hovertemplate="logit %{x}: %{y:.1f} % of the examples",
                row=row + 1,
                col=1,
            )
    figure.update_xaxes(title="logit", row=count)
    figure.update_yaxes(title="% of examples")
    return finish(figure, title=title, height=inner + 180, barmode="overlay")


def plot_examples(
    data: xr.Dataset, *, title: str = "Logits on some corrupted examples (a, b)"
) -> go.Figure:
    """Fig. 23: the logits of the kept examples at all classes, one row of panels per run."""
    names = [str(name) for name in data.run.values]
    return plot_curves(data, list(zip(names, data.curve, strict=True)), title=title)


def plot_curves(
    data: xr.Dataset, rows: Sequence[tuple[str, xr.DataArray]], *, title: str
) -> go.Figure:
    """Logits against classes, one panel per row and example, with the example's two labels marked.

    Args:
        data: the dataset of :func:`compute`.
        rows: the name of each row, and its values (shown, residue).
        title: of the figure.
    """
    shown = data.isel(example=data.shown.values)
    pairs = [f"({a}, {b})" for a, b in zip(shown.a.values, shown.b.values, strict=True)]
    shared: dict[str, Any] = {"shared_xaxes": True, "shared_yaxes": True, "column_titles": pairs}
    figure, inner = stacked_panels(
        len(rows), height=150, gap=18, cols=len(pairs), horizontal_spacing=0.02, **shared
    )
    for row, (name, curves) in enumerate(rows, 1):
        for column in range(len(pairs)):
            place: dict[str, Any] = {"row": row, "col": column + 1}
            curve = curves.isel(shown=column)
            line, hover = {"color": INK, "width": 1}, "residue %{x}: %{y:.3f}"
            place |= {"hovertemplate": f"{hover}<extra></extra>"}
            figure.add_scatter(y=curve, mode="lines", line=line, showlegend=False, **place)
            for role, symbol in (("given", "x"), ("true", "circle")):
                at = int(shown[role][column])
                figure.add_scatter(
                    x=[at],
                    y=[float(curve[at])],
                    mode="markers",
                    name=_LABEL[role],
                    marker={"color": _COLOUR[role], "size": 10, "symbol": symbol},
                    legendgroup=role,
                    showlegend=row == column + 1 == 1,
                    **place | {"hovertemplate": hover},
                )
        figure.update_yaxes(title=f"{name}<br>logit" if name else "logit", row=row, col=1)
    # One scale for all rows; few ticks, so that their labels do not touch the next panel's.
    figure.update_yaxes(matches="y").update_layout(yaxis_matches=None)
    figure.update_xaxes(tickvals=[0, data.sizes["residue"] // 2])
    figure.update_xaxes(title="residue", row=len(rows))
    return finish(figure, title=title, height=inner + 180)


def _heading(run: xr.Dataset) -> str:
    shares = ", ".join(f"{role} {float(run.share.sel(role=role)):.1%}" for role in ROLES)
    name = f"<b>{run.run.values}</b>: " if str(run.run.values) else ""
    return f"{name}answers: {shares}"


def _common_data(runs: Sequence[Run]) -> Dataset:
    first = runs[0].dataset
    for run in runs[1:]:
        same = torch.equal(run.dataset.labels, first.labels)
        if not (same and torch.equal(run.dataset.is_changed, first.is_changed)):
            raise ValueError(
                "runs were trained on different data; compare runs with the same config.data "
                "(data.seed included), or compute them one by one"
            )
    check_int("data.p", first.p, minimum=3)  # with fewer classes there is no other class
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
    """The given label, the true label, and the class with the largest logit besides these."""
    both = torch.stack([given, true], dim=1)
    other = logits.scatter(1, both, -torch.inf).argmax(dim=1)
    return torch.cat([both, other[:, None]], dim=1)


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    figures = [plot_logits(data), plot_examples(data)]
    return Finding(data=data, figures=figures, rows=table(data), sentences=SENTENCES)


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """For each run, in what share of the corrupted examples which label wins."""
    return [
        ({"run": str(run.values)} if str(run.values) else {})
        | {f"answers {role}": round(float(data.share.sel(run=run, role=role)), 3) for role in ROLES}
        for run in data.run
    ]


SENTENCES = (
    "The logits at the wrong label of the training set, at the true label, and the largest other "
    "one. Where the wrong label lies right of the true one, the network memorises.",
    "A curve is the logits of one pair over all classes, its two labels marked.",
)
