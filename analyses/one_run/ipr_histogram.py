"""How many neurons are periodic: the distribution of per-neuron IPR (Doshi et al. 2023, Fig. 4).

Examples:
    >>> import grokinterp as gi
    >>> from analyses import ipr_histogram
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = ipr_histogram.compute([run])
    >>> data.n_high.item() > 50, data.n_dead.item()  # neurons with an IPR above 0.5
    (True, 0)
    >>> figure = ipr_histogram.plot_histogram(data)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages.finding import Finding
from analyses.pages.palette import INK, PAPER, PLAIN
from analyses.pages.style import IPR_BINS, explain, finish
from analyses.runs_given import runs_of
from grokinterp import Run
from probes import model_neuron_ipr

# A neuron with a lower IPR is counted as memorising, one with a higher IPR as generalising.
IPR_MEMORISES_BELOW, IPR_GENERALISES_ABOVE = 0.2, 0.5


def compute(runs: Run | Sequence[Run]) -> xr.Dataset:
    """IPR of every neuron of one or several runs.

    Args:
        runs: of networks with one hidden layer, all of the same width.

    Returns:
        Dataset:

        - (run, neuron): ``ipr``, NaN for a dead neuron;
        - (run, part, neuron): ``part_ipr``, ``frequency`` (cycles per p; -1 if dead) and ``phase``
          (radians) of the neuron's weights from the first operand ("U"), from the second ("V") and
          to the output ("W");
        - (run): ``mean_ipr`` over living neurons; ``n_low`` and ``n_high``, the numbers of
          neurons below ``IPR_MEMORISES_BELOW`` and above ``IPR_GENERALISES_ABOVE``; ``n_dead``;
          and the coordinate ``weight_decay``.

    Raises:
        ValueError: no run, runs of different widths, or a network without one hidden layer.
    """
    runs = runs_of(runs)
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
    """One histogram per run; the dashed line marks the mean over living neurons."""
    count = data.sizes["run"]
    numbers = (data[name].values for name in ("weight_decay", "n_dead", "mean_ipr"))
    titles = [
        (f"weight decay {decay:g}<br>" if count > 1 else "")
        + (f"mean {mean:.2f}" if np.isfinite(mean) else "no mean")
        + (f", {dead} dead" if dead else "")
        for decay, dead, mean in zip(*numbers, strict=True)
    ]
    figure = make_subplots(
        cols=count, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles
    )
    for column in range(count):
        run = data.isel(run=column)
        place: dict[str, Any] = {"row": 1, "col": column + 1}
        figure.add_histogram(
            x=run.ipr,
            xbins=IPR_BINS,
            marker={"color": PLAIN, "line": {"color": PAPER, "width": 0.5}},
            showlegend=False,
            hovertemplate="IPR %{x}: %{y} neurons<extra></extra>",
            **place,
        )
        figure.add_vline(float(run.mean_ipr), line_dash="dash", line_color=INK, **place)
    explain(figure, "mean of living neurons", symbol="line-ns-open", size=12)
    figure.update_xaxes(title="IPR (1 = one frequency)", range=[0, 1])
    figure.update_yaxes(title="neurons", col=1)
    return finish(figure, title=title)


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    names = ("weight_decay", "mean_ipr", "n_low", "n_high", "n_dead")
    rows = [{name: data[name].values[run].item() for name in names} for run in range(len(runs))]
    sentence = (
        f"Neurons with an IPR below {IPR_MEMORISES_BELOW} are like noise; those above "
        f"{IPR_GENERALISES_ABOVE} are close to a single frequency."
    )
    return Finding(data=data, figures=[plot_histogram(data)], rows=rows, sentences=[sentence])
