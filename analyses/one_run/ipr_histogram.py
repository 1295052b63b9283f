"""How many neurons are periodic: the distribution of per-neuron IPR (Doshi et al. 2023, Fig. 4)."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages.finding import Finding
from analyses.pages.style import BLUE, RED, finish
from grokinterp import Run
from probes import model_neuron_ipr

# The bounds that the paper's histograms are read with: memorising below, generalising above.
IPR_MEMORISES_BELOW, IPR_GENERALISES_ABOVE = 0.2, 0.5


def compute(runs: Run | Sequence[Run]) -> xr.Dataset:
    """IPR of every neuron of one or several runs of one width.

    Returns:
        Dataset over ("run", "neuron"): ``ipr`` (NaN where dead); over ("run", "part", "neuron"):
        ``part_ipr``, ``frequency`` (cycles per p; -1 where dead) and ``phase`` (radians) of
        U, V and W; over "run": ``mean_ipr``, ``n_low``, ``n_high``, ``n_dead`` and the coordinate
        ``weight_decay``.

    Raises:
        ValueError: the runs have different widths, or networks without one hidden layer.
    """
    import numpy as np

    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    found = [model_neuron_ipr(run.model) for run in runs]
    widths = {len(neurons.ipr) for neurons in found}
    if len(widths) != 1:
        raise ValueError(f"runs must share d_mlp, got {sorted(widths)}; compare them one by one")
    per_part = ("run", "part", "neuron")
    ipr = np.stack([f.ipr for f in found])
    return xr.Dataset(
        {
            "ipr": (("run", "neuron"), ipr),
            "part_ipr": (per_part, np.stack([f.parts for f in found])),
            "frequency": (per_part, np.stack([f.modes.frequency for f in found])),
            "phase": (per_part, np.stack([f.modes.phase for f in found])),
            "mean_ipr": ("run", [f.mean for f in found]),
            "n_low": ("run", (ipr < IPR_MEMORISES_BELOW).sum(axis=1)),
            "n_high": ("run", (ipr > IPR_GENERALISES_ABOVE).sum(axis=1)),
            "n_dead": ("run", [f.n_dead for f in found]),
        },
        coords={
            "part": ["U", "V", "W"],
            "weight_decay": ("run", [run.config.training.weight_decay for run in runs]),
        },
    )


def plot_histogram(data: xr.Dataset, *, title: str = "IPR of the neurons") -> go.Figure:
    """One histogram per run; the dashed line is the mean over neurons that are alive."""
    count = data.sizes["run"]
    labels = [
        f"weight decay {decay:g}" + (f" ({dead} dead)" if dead else "")
        for decay, dead in zip(data.weight_decay.values, data.n_dead.values, strict=True)
    ]
    figure = make_subplots(
        cols=count, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=labels if count > 1 else None,
    )  # fmt: skip
    for column in range(count):
        run = data.isel(run=column)
        place: dict[str, Any] = {"row": 1, "col": column + 1}
        figure.add_histogram(
            x=run.ipr, xbins={"start": 0, "end": 1.0001, "size": 0.025}, marker_color=BLUE,
            marker_line={"color": "white", "width": 0.5}, showlegend=False,
            hovertemplate="IPR %{x}: %{y} neurons<extra></extra>", **place,
        )  # fmt: skip
        figure.add_vline(
            float(run.mean_ipr), line_dash="dash", line_color=RED, **place,
            annotation={"text": f"mean {float(run.mean_ipr):.2f}", "font": {"size": 12}},
        )  # fmt: skip
    figure.update_xaxes(title="IPR (1 = one frequency)", range=[0, 1])
    figure.update_yaxes(title="neurons", col=1)
    return finish(figure, title=title)


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    return Finding(data=data, figures=[plot_histogram(data)])
