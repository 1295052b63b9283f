"""Training with BatchNorm, LayerNorm and no norm (Doshi et al. 2023, Figs. 20, 21 and 22).

The nine runs of the three figures::

    runs = gi.train_many(norm_curves.configs())

Examples:
    >>> import grokinterp as gi
    >>> from analyses import norm_curves
    >>> configs = norm_curves.configs()  # of the three figures, here much smaller
    >>> small = {"data.p": 11, "model.d_mlp": 50, "training.steps": 20}
    >>> data = norm_curves.compute(gi.train_many([config.replace(small) for config in configs]))
    >>> dict(data.accuracy.sizes)
    {'run': 9, 'step': 2, 'subset': 5}
    >>> figure = norm_curves.plot_norms(data)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.one_run import training_curves
from analyses.one_run.phases import classify
from analyses.pages.finding import Finding
from analyses.pages.style import LEVEL, add_subset_lines, finish, stacked_panels
from analyses.runs_given import runs_of
from grokinterp import DataConfig, MLPConfig, Run, RunConfig, TrainConfig

NORMS = ("batch", "layer", None)  # Figs. 20, 21, 22
TRAIN_FRACTIONS = (0.4, 0.5, 0.8)
_NAME = {"batch": "BatchNorm", "layer": "LayerNorm", None: "no norm"}


def configs(*, seed: int = 0) -> list[RunConfig]:
    """The configs of the nine runs: three norms, each at train fractions 0.4, 0.5 and 0.8.

    Corruption 0.3, no weight decay, batches of 64. Steps and learning rate are the paper's
    defaults, scaled from batches of 256 to batches of 64: 8000 steps at 0.005.

    Args:
        seed: of the weights and batches, and of the split and the corruption.
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


def compute(runs: Run | Sequence[Run]) -> xr.Dataset:
    """Accuracies against training steps, by norm and train fraction.

    Args:
        runs: of any networks whose config has a field ``norm``, such as MLPs.

    Returns:
        Dataset:

        - (run, step, subset): ``accuracy``, NaN at steps that a run did not evaluate;
        - (run): ``phase`` at the last step; ``share_uncorrupted``, the share of training labels
          that are true; and the coordinates ``norm`` ("BatchNorm", "LayerNorm" or "no norm"),
          ``train_fraction`` and ``batch_size`` (0 for full batches).

    Raises:
        ValueError: no run.
        TypeError: the config of a network has no field ``norm``.
    """
    runs = runs_of(runs)
    for run in runs:
        if not hasattr(run.config.model, "norm"):
            raise TypeError(
                f"runs must have a field model.norm in their configs, got {run.config.model!r}; "
                "analyses.training_curves takes any network"
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
    """Accuracy curves in a grid of panels, a row per norm and a column per train fraction.

    A panel's title has the phase at the last step. Runs that differ only in other settings, such
    as seeds, share a panel. The dotted line marks the share of true training labels.
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
    titles = [f"α {alpha:g}: {_phases(here)}" for (_, alpha), here in panels.items()]  # noqa: RUF001
    grid: dict[str, Any] = {"cols": len(alphas), "shared_xaxes": True, "shared_yaxes": True}
    figure, inner = stacked_panels(
        len(norms), height=190, gap=45, horizontal_spacing=0.03, subplot_titles=titles, **grid
    )
    for i, here in enumerate(panels.values()):
        row, column = divmod(i, len(alphas))
        place: dict[str, Any] = {"row": row + 1, "col": column + 1}
        for run in range(here.sizes["run"]):
            curves = here.accuracy.isel(run=run).dropna("step", how="all")
            options = place | {"in_legend": not figure.data, "width": 1.5}
            add_subset_lines(figure, curves.step, curves, hover="step %{x}: %{y:.4f}", **options)
            figure.add_hline(float(here.share_uncorrupted[run]), line_width=1.5, **LEVEL, **place)
    figure.update_xaxes(title=_steps(data), row=len(norms))
    figure.update_yaxes(range=[-0.03, 1.03])
    for row, norm in enumerate(norms, 1):
        figure.update_yaxes(title=f"<b>{norm}</b><br>accuracy", row=row, col=1)
    return finish(figure, title=title, height=inner + 200)


def _phases(panel: xr.Dataset) -> str:
    return " / ".join(np.unique(panel.phase.values)) or "no run"


def _steps(data: xr.Dataset) -> str:
    sizes = np.unique(data.batch_size.values)
    return f"step (batches of {sizes[0]})" if len(sizes) == 1 and sizes[0] else "step"


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    names = ("norm", "train_fraction", "batch_size", "phase")
    rows = [{name: data[name].values[run].item() for name in names} for run in range(len(runs))]
    sentence = (
        "Accuracies while training, a column for each norm and a row for each train fraction."
    )
    return Finding(data=data, figures=[plot_norms(data)], rows=rows, sentences=[sentence])
