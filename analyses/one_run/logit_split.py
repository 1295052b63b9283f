"""Which neurons write the logits of corrupted examples (Doshi et al. 2023, Fig. 23, appendix K).

With one hidden layer the logits are a sum over neurons, so they split exactly into what memorising
neurons (low IPR), generalising ones (high IPR) and the rest write.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from plotly.subplots import make_subplots

from analyses.one_run import corrupted_logits
from analyses.one_run.corrupted_logits import ROLES, plot_curves
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.pages.finding import Finding
from analyses.pages.style import GREEN, GREY, ORANGE, finish
from grokinterp import Run
from grokinterp.session import unaffected
from probes.logit_parts import PARTS, logit_parts


@unaffected()
def compute(
    runs: Run | Sequence[Run], *, examples: int = 4, labels: Sequence[str] | None = None
) -> xr.Dataset:
    """The logits of ``corrupted_logits.compute``, and the parts that add up to them.

    Args:
        runs: one, or several on the same data, of MLPs on one-hot pairs with one hidden layer.
        examples: how many to keep the whole logits of.
        labels: what to call the runs.

    Returns:
        That dataset with, further, over ("run", "part", "example", "role"): ``part_logit``, what
        is written to the three logits by neurons with IPR below
        ``ipr_histogram.IPR_MEMORISES_BELOW`` ("memorising"), above ``IPR_GENERALISES_ABOVE``
        ("generalising"), and by the "rest", among which are dead neurons (one without output
        weights writes nothing); over ("run", "part", "role"):
        ``part_mean`` and ``part_std`` over the examples; over ("run", "part"): ``n_neurons``; over
        ("run", "part", "shown", "residue"): ``part_curve``. Logits are the network's own, in its
        precision; the parts are float64 and add up to them to rounding.

    Raises:
        TypeError, ValueError: not one hidden layer, and as ``corrupted_logits.compute`` does.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    data = corrupted_logits.compute(runs, examples=examples, labels=labels)
    split = [
        logit_parts(
            run.model,
            run.dataset.tokens[run.dataset.is_changed],
            low=IPR_MEMORISES_BELOW,
            high=IPR_GENERALISES_ABOVE,
        )
        for run in runs
    ]
    parts = torch.stack([part for part, _ in split])
    labelled = [data[name].broadcast_like(data.best_other) for name in ROLES[:2]]
    classes = torch.tensor(np.stack([*labelled, data.best_other], axis=-1))
    written = parts.gather(3, classes[:, None].expand(-1, len(PARTS), -1, -1))
    return data.assign(
        part_logit=(("run", "part", "example", "role"), written),
        part_mean=(("run", "part", "role"), written.mean(dim=2)),
        part_std=(("run", "part", "role"), written.std(dim=2, correction=0)),
        part_curve=(("run", "part", "shown", "residue"), parts.numpy()[:, :, data.shown.values]),
        n_neurons=(("run", "part"), torch.stack([n for _, n in split])),
    ).assign_coords(part=list(PARTS))


def plot_parts(
    data: xr.Dataset, *, title: str = "Who writes which logit? Corrupted examples"
) -> go.Figure:
    """What each part adds to the three logits: bars are means, lines a standard deviation."""
    count = data.sizes["run"]
    figure = make_subplots(
        cols=count, shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[str(name) for name in data.run.values],
    )  # fmt: skip
    for column in range(count):
        for part, color in zip(PARTS, (ORANGE, GREEN, GREY), strict=True):
            here = data.isel(run=column).sel(part=part)
            figure.add_bar(
                x=here.role, y=here.part_mean, name=_LABEL[part], legendgroup=part,
                error_y={"array": here.part_std.values, "thickness": 1.2}, marker_color=color,
                customdata=[int(here.n_neurons)] * len(ROLES), showlegend=column == 0,
                row=1, col=column + 1,
                hovertemplate="%{customdata} neurons add %{y:.3f} to the logit: %{x}",
            )  # fmt: skip
    figure.update_annotations(font_size=13)
    figure.update_xaxes(title="class", ticktext=["given", "true", "best<br>other"],
                        tickvals=list(ROLES))  # fmt: skip
    figure.update_yaxes(title="contribution to the logit", col=1)
    figure = finish(figure, title=title, height=460)
    return figure.update_layout(margin_t=115, legend={"y": 1.1})


def plot_split(
    data: xr.Dataset, *, run: int = 0, title: str = "Logits by the neurons that write them"
) -> go.Figure:
    """Whole logits of one run's shown examples and, below, the parts that add up to them."""
    here = data.isel(run=run)
    of_parts = [
        (f"{part} {int(here.n_neurons.sel(part=part))}", here.part_curve.sel(part=part))
        for part in PARTS
    ]
    rows = [(f"all {int(here.n_neurons.sum())}", here.curve), *of_parts]
    return plot_curves(here, rows, title=title)


_LABEL = {
    "memorising": "memorising neurons", "generalising": "generalising neurons", "rest": "the rest"
}  # fmt: skip


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    return Finding(data=data, figures=[plot_parts(data), plot_split(data)])
