"""Spectral surgery: what a network does by its neurons' own frequencies alone.

In each weight vector of a neuron only the neuron's own frequency stays. If generalisation is the
periodic part of the weights and memorisation is the rest, the surgery keeps test accuracy and loses
the changed labels. The controls take as much energy out at random: out of each vector what it loses
in the surgery, or the same share out of every vector. The first knows which neurons are periodic,
for these lose least; the second knows nothing.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import spectral_surgery
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = spectral_surgery.compute(run, seeds=2)
    >>> own = data.accuracy.sel(network="own frequencies")
    >>> bool(own.sel(subset="test") > 0.9), bool(own.sel(subset="changed") < 0.2)
    (True, True)
    >>> figure = spectral_surgery.plot_surgery(data)
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import typer
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.palette import DRAWN_SUBSETS, FAINT, GUIDE, INK, PLAIN, SUBSET_LABEL
from analyses.pages.style import finish
from analyses.pages.wrapping import wrapped
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.data import SUBSETS
from grokinterp.session import unaffected
from probes import NeuronWeights, neuron_weights, subset_scores
from probes.spectral_surgery import (
    own_frequency_weights,
    randomly_reduced_weights,
    with_neuron_weights,
)

CONTROLS = ("per vector", "spread evenly")


@unaffected()
def compute(run: Run, *, seeds: int = 10) -> xr.Dataset:
    """Accuracy and loss of the network, of its own frequencies, and of random removals.

    Args:
        run: of a network with one hidden layer, on a task with a periodic basis.
        seeds: number of random removals of each kind.

    Returns:
        Dataset:

        - (network, subset): ``accuracy`` and ``loss`` (the one trained with) of the "trained"
          network and of the one with its "own frequencies" alone.
        - (control, seed, subset): ``random_accuracy`` and ``random_loss`` of random removals, "per
          vector" and "spread evenly".
        - (part): ``energy_kept``, the share of the squared norm of U, V and W that stays, the same
          in the surgery and in both controls.

    Raises:
        TypeError: the network has no weights U, V and W.
        ValueError: it has more than one hidden layer, or its task has no periodic basis.
    """
    check_run(run)
    check_int("seeds", seeds, minimum=1)
    operation, kind = run.config.data.operation, run.config.training.loss
    own = own_frequency_weights(run.model, operation)
    networks = [run.model, with_neuron_weights(run.model, own)]
    controls = [
        with_neuron_weights(
            run.model,
            randomly_reduced_weights(run.model, own, operation, evenly=evenly, seed=seed),
        )
        for evenly in (False, True)
        for seed in range(seeds)
    ]
    scores = [subset_scores(network, run.dataset, kind=kind) for network in networks + controls]
    accuracy, loss = (
        np.array([[score[subset][name] for subset in SUBSETS] for score in scores])
        for name in ("accuracy", "loss")
    )
    per_control = ("control", "seed", "subset")
    return xr.Dataset(
        {
            "accuracy": (("network", "subset"), accuracy[:2]),
            "loss": (("network", "subset"), loss[:2]),
            "random_accuracy": (per_control, accuracy[2:].reshape(2, seeds, -1)),
            "random_loss": (per_control, loss[2:].reshape(2, seeds, -1)),
            "energy_kept": ("part", _energy(own) / _energy(neuron_weights(run.model))),
        },
        coords={
            "network": ["trained", "own frequencies"],
            "subset": list(SUBSETS),
            "control": list(CONTROLS),
            "seed": np.arange(seeds),
            "part": ["U", "V", "W"],
        },
        attrs={"loss": kind},
    )


def _energy(weights: NeuronWeights) -> np.ndarray:
    return np.array([float(part.double().square().sum()) for part in weights])


def plot_surgery(
    data: xr.Dataset, *, title: str = "What neurons' own frequencies can do alone"
) -> go.Figure:
    """Accuracy on each subset: trained, own frequencies alone, and the range of the controls."""
    shown = [s for s in DRAWN_SUBSETS if not np.isnan(data.accuracy.sel(subset=s)).any()]
    labels = [wrapped(SUBSET_LABEL[subset], 8) for subset in shown]
    figure = go.Figure()
    for network, color in (("trained", INK), ("own frequencies", PLAIN)):
        name = network if network == "trained" else "own frequencies alone"
        figure.add_bar(
            x=labels,
            y=data.accuracy.sel(network=network, subset=shown),
            name=name,
            marker_color=color,
            hovertemplate="%{x}: %{y:.3f}",
        )
    for control, color in zip(CONTROLS, (GUIDE, FAINT), strict=True):
        values = data.random_accuracy.sel(subset=shown, control=control)
        mean = values.mean("seed")
        figure.add_bar(
            x=labels,
            y=mean,
            marker_color=color,
            name=f"random removal, {control}",
            error_y={
                "array": (values.max("seed") - mean).values,
                "symmetric": False,
                "arrayminus": (mean - values.min("seed")).values,
                "thickness": 2,
            },
            hovertemplate="%{x}: mean %{y:.3f}",
        )
    kept = ", ".join(f"{part} {share:.0%}" for part, share in _kept(data).items())
    figure.update_xaxes(title="examples")
    figure.update_yaxes(title="accuracy", range=[0, 1.03])
    stays = f"energy that stays: {kept}; bars: range of {data.sizes['seed']} removals"
    return finish(figure, title=title, height=460, note=stays)


def _kept(data: xr.Dataset) -> dict[str, float]:
    return dict(zip(data.part.values.tolist(), data.energy_kept.values.tolist(), strict=True))


def in_words(data: xr.Dataset) -> list[Mapping[str, object]]:
    """A row per network and for the controls: accuracy on the test set and on changed labels."""
    subsets = {"test": "test", "changed": "changed labels"}
    rows: list[Mapping[str, object]] = []
    for network in data.network.values.tolist():
        numbers = {
            n: float(data.accuracy.sel(network=network, subset=s)) for s, n in subsets.items()
        }
        rows.append({"network": network} | numbers)
    for control in CONTROLS:
        values = data.random_accuracy.sel(control=control)
        for name, end in (("lowest", values.min("seed")), ("highest", values.max("seed"))):
            numbers = {n: float(end.sel(subset=s)) for s, n in subsets.items()}
            rows.append({"network": f"random removal {control}, {name}"} | numbers)
    return rows


def analysis(
    run: Run, seeds: Annotated[int, typer.Option(help="random removals to compare with")] = 10
) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run, seeds=seeds)
    sentence = (
        "Accuracy of the network with only a part of every neuron's spectrum left, beside controls "
        "that take as much energy out at random."
    )
    figures = [plot_surgery(data)]
    return Finding(data=data, figures=figures, rows=in_words(data), sentences=[sentence])
