"""Which neurons produce the logits of corrupted examples (Doshi et al. 2023, Fig. 23, appendix K).

In a network with one hidden layer the logits are a sum over neurons. They split exactly into the
contributions of memorising neurons (low IPR), of generalising neurons (high IPR) and of the rest.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import logit_split
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = logit_split.compute([run])
    >>> periodic = data.part_mean.sel(part="generalising").squeeze()  # on corrupted examples
    >>> bool(periodic.sel(role="true") > 2 * periodic.sel(role="other"))
    True
    >>> figure = logit_split.plot_parts(data)
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from einops import reduce, repeat
from plotly.subplots import make_subplots

from analyses.one_run import corrupted_logits
from analyses.one_run.corrupted_logits import ROLES, plot_curves
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.pages.finding import Finding
from analyses.pages.palette import GENERALISING, GUIDE, MEMORISING
from analyses.pages.style import finish
from analyses.runs_given import runs_of
from grokinterp import Run
from grokinterp.session import unaffected
from probes.logit_parts import PARTS, logit_parts


@unaffected()
def compute(
    runs: Run | Sequence[Run], *, examples: int = 4, labels: Sequence[str] | None = None
) -> xr.Dataset:
    """The logits of ``corrupted_logits.compute``, and what each group of neurons adds to them.

    A neuron's group, its "part", follows from its IPR: "memorising" below
    ``ipr_histogram.IPR_MEMORISES_BELOW``, "generalising" above ``IPR_GENERALISES_ABOVE``, "rest"
    between the two, or if it is dead.

    Args:
        runs: one, or several trained on the same data, of networks with one hidden layer.
        examples: number of examples whose logits are kept for all classes.
        labels: names of the runs.

    Returns:
        The dataset of ``corrupted_logits.compute`` and, in float64:

        - (run, part, example, role): ``part_logit``, the contribution to the logit at the given
          label, the true label and the best other class;
        - (run, part, role): its mean and standard deviation over examples, ``part_mean`` and
          ``part_std``;
        - (run, part, shown, residue): ``part_curve``, the contribution to the logits at all
          classes of the kept examples;
        - (run, part): ``n_neurons``.

        The parts add up to the logits within rounding.

    Raises:
        TypeError, ValueError: a network without exactly one hidden layer; otherwise as
            ``corrupted_logits.compute``.
    """
    runs = runs_of(runs)
    data = corrupted_logits.compute(runs, examples=examples, labels=labels)
    bounds = {"low": IPR_MEMORISES_BELOW, "high": IPR_GENERALISES_ABOVE}
    split = [
        logit_parts(run.model, run.dataset.tokens[run.dataset.is_changed], **bounds) for run in runs
    ]
    parts = torch.stack([part for part, _ in split])
    labelled = [data[name].broadcast_like(data.best_other) for name in ROLES[:2]]
    classes = torch.tensor(np.stack([*labelled, data.best_other], axis=-1))
    at_roles = repeat(classes, "run example role -> run part example role", part=len(PARTS))
    written = parts.gather(3, at_roles)
    return data.assign(
        part_logit=(("run", "part", "example", "role"), written),
        part_mean=(
            ("run", "part", "role"),
            reduce(written, "run part example role -> run part role", "mean"),
        ),
        part_std=(("run", "part", "role"), written.std(dim=2, correction=0)),
        part_curve=(("run", "part", "shown", "residue"), parts.numpy()[:, :, data.shown.values]),
        n_neurons=(("run", "part"), torch.stack([n for _, n in split])),
    ).assign_coords(part=list(PARTS))


def plot_parts(
    data: xr.Dataset, *, title: str = "Who writes which logit? Corrupted examples"
) -> go.Figure:
    """What each part adds to the three logits: means over examples and standard deviations."""
    count, names = data.sizes["run"], [str(name) for name in data.run.values]
    figure = make_subplots(
        cols=count, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=names
    )
    for column in range(count):
        for part, (name, colour) in _DRAWN.items():
            here = data.isel(run=column).sel(part=part)
            figure.add_bar(
                x=here.role,
                y=here.part_mean,
                error_y={"array": here.part_std.values, "thickness": 1.2},
                name=name,
                marker_color=colour,
                legendgroup=part,
                showlegend=column == 0,
                customdata=[int(here.n_neurons)] * len(ROLES),
                hovertemplate="%{customdata} neurons add %{y:.3f} to the logit: %{x}",
                row=1,
                col=column + 1,
            )
    ticks = ["given", "true", "best<br>other"]
    figure.update_xaxes(title="class", ticktext=ticks, tickvals=list(ROLES))
    figure.update_yaxes(title="contribution to the logit", col=1)
    return finish(figure, title=title, height=460)


def plot_split(
    data: xr.Dataset, *, run: int = 0, title: str = "Logits by the neurons that write them"
) -> go.Figure:
    """The logits of one run's kept examples and, below, the parts that add up to them."""
    here = data.isel(run=run)
    of_parts = [
        (f"{part} {int(here.n_neurons.sel(part=part))}", here.part_curve.sel(part=part))
        for part in PARTS
    ]
    rows = [(f"all {int(here.n_neurons.sum())}", here.curve), *of_parts]
    return plot_curves(here, rows, title=title)


_DRAWN = {
    "memorising": ("memorising neurons", MEMORISING.color),
    "generalising": ("generalising neurons", GENERALISING.color),
    "rest": ("the rest", GUIDE),
}


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    rows = [
        ({"run": str(one.run.values)} if str(one.run.values) else {})
        | {"neurons": part, "n": int(one.n_neurons)}
        | {f"logit, {role}": float(one.part_mean.sel(role=role)) for role in data.role.values}
        for run in range(data.sizes["run"])
        for part in data.part.values.tolist()
        for one in [data.isel(run=run).sel(part=part)]
    ]
    sentences = [
        "What each group of neurons adds to the logits of corrupted examples, mean and standard "
        "deviation: memorising neurons write the wrong label, generalising ones the true one.",
        "The same groups on single examples, over all classes.",
    ]
    figures = [plot_parts(data), plot_split(data)]
    return Finding(data=data, figures=figures, rows=rows, sentences=sentences)
