"""Training with BatchNorm, LayerNorm and no norm (Doshi et al. 2023, Figs. 20, 21 and 22).

The nine runs of the three figures::

    runs = gi.train_many(norm_curves.configs())
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.one_run import training_curves
from analyses.one_run.phases import classify
from analyses.pages.finding import Finding
from analyses.pages.style import DRAWN_SUBSETS, GREY, SUBSET_LABEL, SUBSET_STYLE, finish
from grokinterp import DataConfig, MLPConfig, Run, RunConfig, TrainConfig

NORMS = ("batch", "layer", None)  # Figs. 20, 21, 22
TRAIN_FRACTIONS = (0.4, 0.5, 0.8)
_NAME = {"batch": "BatchNorm", "layer": "LayerNorm", None: "no norm"}


def configs(*, seed: int = 0) -> list[RunConfig]:
    """The nine runs: three norms, each at train fractions .4, .5 and .8, in batches of 64.

    Corruption .3 and no weight decay, the other settings being the paper's defaults at 256 examples
    a batch; so 8000 steps at a learning rate of .005.

    Args:
        seed: of weights and batches, and of split and corruption.
    """
    return [
        RunConfig(
            data=DataConfig(train_fraction=alpha, corruption=0.3, seed=seed),
            model=MLPConfig(norm=norm),
            training=TrainConfig().at_batch_size(64),
            seed=seed,
        )
        for norm in NORMS
        for alpha in TRAIN_FRACTIONS
    ]


def compute(runs: Sequence[Run]) -> xr.Dataset:
    """Accuracies while training of any runs of MLPs, by norm and train fraction.

    Returns:
        Dataset over ("run", "step", "subset"): ``accuracy``; NaN at steps that a run did not
        evaluate; over "run": ``phase`` at the end, ``share_uncorrupted`` of the training labels
        and the coordinates ``norm`` ("BatchNorm", "LayerNorm" or "no norm"), ``train_fraction``
        and ``batch_size`` (0 for all training pairs).

    Raises:
        ValueError: no run.
        TypeError: a network that is no MLP on one-hot pairs.
    """
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    for run in runs:
        if not isinstance(run.config.model, MLPConfig):
            raise TypeError(
                f"runs must be of MLPs (MLPConfig), got {run.config.model!r}; use "
                "analyses.training_curves for any network"
            )
    found = [training_curves.compute(run) for run in runs]
    return xr.Dataset(
        {
            "accuracy": xr.concat([curves.accuracy for curves in found], dim="run", join="outer"),
            "phase": ("run", [str(classify(run)) for run in runs]),
            "share_uncorrupted": ("run", [curves.attrs["share_uncorrupted"] for curves in found]),
        },
        coords={
            "norm": ("run", [_NAME[run.config.model.norm] for run in runs]),
            "train_fraction": ("run", [run.config.data.train_fraction for run in runs]),
            "batch_size": ("run", [run.config.training.batch_size or 0 for run in runs]),
        },
    )


def plot_norms(data: xr.Dataset, *, title: str = "What norms do to the phases") -> go.Figure:
    """A line of panels per norm, one panel per train fraction, with the phase it ends in.

    Runs that differ in other things (seeds) share their panel. The dotted line is the share of
    true training labels.
    """
    norms = [name for name in _NAME.values() if name in data.norm.values]
    alphas = np.unique(data.train_fraction.values)
    panels = {
        (norm, alpha): data.isel(
            run=(data.norm.values == norm) & (data.train_fraction.values == alpha)
        )
        for norm in norms
        for alpha in alphas
    }
    height, gap = 190, 45
    inner = len(norms) * (height + gap) - gap
    figure = make_subplots(
        rows=len(norms), cols=len(alphas), shared_xaxes=True, shared_yaxes=True,
        horizontal_spacing=0.03, vertical_spacing=gap / inner if len(norms) > 1 else 0,
        subplot_titles=[f"α {alpha:g}: {_phases(here)}" for (_, alpha), here in panels.items()],  # noqa: RUF001
    )  # fmt: skip
    named = set()
    for i, here in enumerate(panels.values()):
        row, column = divmod(i, len(alphas))
        place: dict[str, Any] = {"row": row + 1, "col": column + 1}
        for run in range(here.sizes["run"]):
            for subset in DRAWN_SUBSETS:
                curve = here.accuracy.isel(run=run).sel(subset=subset).dropna("step")
                figure.add_scatter(
                    x=curve.step, y=curve, name=SUBSET_LABEL[subset], legendgroup=subset,
                    showlegend=subset not in named, line=SUBSET_STYLE[subset] | {"width": 1.5},
                    hovertemplate="step %{x}: %{y:.4f}", **place,
                )  # fmt: skip
                named.add(subset)
            share = float(here.share_uncorrupted[run])
            figure.add_hline(share, line_dash="dot", line_color=GREY, line_width=1.5, **place)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(title=_steps(data), row=len(norms))
    figure.update_yaxes(range=[-0.03, 1.03])
    for row, norm in enumerate(norms, 1):
        figure.update_yaxes(title=f"<b>{norm}</b><br>accuracy", row=row, col=1)
    figure = finish(figure, title=title, height=inner + 170)
    return figure.update_layout(margin={"t": 110, "l": 90}, legend={"y": 1 + 32 / inner})


def _phases(panel: xr.Dataset) -> str:
    return " / ".join(np.unique(panel.phase.values)) or "no run"


def _steps(data: xr.Dataset) -> str:
    sizes = np.unique(data.batch_size.values)
    return f"step (batches of {sizes[0]})" if len(sizes) == 1 and sizes[0] else "step"


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    return Finding(data=data, figures=[plot_norms(data)])
