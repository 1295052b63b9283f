"""Accuracy and loss while neurons are removed one by one (Doshi et al. 2023, Figs. 6, 17, 18).

Neurons are removed in order of IPR, lowest first (memorising neurons) or highest first
(generalising neurons). As controls, which the paper does not have, they are also removed in order
of weight norm, of direct logit attribution, and at random.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import torch
import typer
import xarray as xr
from plotly.subplots import make_subplots
from torch import Tensor

from analyses.pages.finding import Finding
from analyses.pages.style import BLUE, GREEN, GREY, LOSS_LABEL, PURPLE, add_subset_lines, finish
from grokinterp import Run
from grokinterp.checks import check_choice, check_int
from grokinterp.data import SUBSETS
from grokinterp.randomness import generator
from grokinterp.session import unaffected
from grokinterp.short_text import short
from probes import (
    model_neuron_attribution,
    model_neuron_ipr,
    model_neuron_norms,
    pruning_curve,
)
from probes.pruning_curve import check_prunable

ORDERS = ("ipr", "norm", "attribution", "random")


@unaffected()
def compute(run: Run, *, orders: Sequence[str] = ORDERS, random_seeds: int = 5) -> xr.Dataset:
    """Accuracy and loss on every subset after each removal, in several orders.

    Args:
        run: a run of a network with one hidden layer and no norm.
        orders: some of "ipr", "norm", "attribution" (each lowest first and highest first) and
            "random".
        random_seeds: number of random orders.

    Returns:
        Dataset:

        - (curve, removed, subset): ``accuracy``, and ``loss``, of the kind used in training;
        - (curve, subset): ``area`` under the accuracy as a function of the removed fraction;
        - (curve, place): ``neuron``, the index of the neuron that is removed at each rank.

        Coordinates of a curve: ``order``; ``direction``, "low" or "high" for the end removed
        first, or "random"; ``seed``, -1 unless random. ``fraction`` is that of removed neurons.

    Raises:
        TypeError or ValueError: the logits are not a sum over the neurons of one layer; the message
            says how to remove neurons from such a network.
    """
    if isinstance(orders, str) or not orders:
        raise ValueError(
            f"orders must be a list of some of {', '.join(ORDERS)}, got {short(orders)}"
        )
    for order in orders:
        check_choice("orders", order, ORDERS)
    check_int("random_seeds", random_seeds, minimum=1)
    check_prunable(run.model)
    plans = [plan for order in orders for plan in _plans(run, order, random_seeds)]
    kind = run.config.training.loss
    results = [pruning_curve(run.model, run.dataset, queue, loss=kind) for *_, queue in plans]
    width = len(plans[0][-1])
    accuracy, loss = (np.stack([r[i].numpy() for r in results]) for i in range(2))
    fraction = np.linspace(0, 1, width + 1)
    return xr.Dataset(
        {
            "accuracy": (("curve", "removed", "subset"), accuracy),
            "loss": (("curve", "removed", "subset"), loss),
            "area": (("curve", "subset"), np.trapezoid(accuracy, fraction, axis=1)),
            "neuron": (("curve", "place"), np.stack([queue.numpy() for *_, queue in plans])),
        },
        coords={
            "subset": list(SUBSETS),
            "removed": np.arange(width + 1),
            "fraction": ("removed", fraction),
            "order": ("curve", [order for order, *_ in plans]),
            "direction": ("curve", [direction for _, direction, *_ in plans]),
            "seed": ("curve", [seed for *_, seed, _ in plans]),
        },
        attrs={"loss": kind},
    )


def curve(data: xr.Dataset, order: str, direction: str = "low", seed: int = -1) -> xr.Dataset:
    """One curve of the dataset of :func:`compute`.

    Args:
        data: the dataset.
        order: "ipr", "norm", "attribution" or "random".
        direction: "low" or "high", the end removed first; "random" for a random order.
        seed: of a random order.

    Raises:
        ValueError: there is no such curve.
    """
    wanted = (data.order == order) & (data.direction == direction) & (data.seed == seed)
    if not bool(wanted.any()):
        there = zip(data.order.values, data.direction.values, data.seed.values, strict=True)
        known = ", ".join(f"({o}, {d}, {s})" for o, d, s in there)
        raise ValueError(f"no curve ({order}, {direction}, {seed}); there are {known}")
    return data.isel(curve=int(wanted.argmax("curve")))


def plot_pruning(
    data: xr.Dataset, *, order: str = "ipr", quantity: str = "accuracy", title: str | None = None
) -> go.Figure:
    """Figs. 6, 17 (accuracy) and 18 (loss): one order, lowest first and highest first.

    Args:
        data: the dataset of :func:`compute`.
        order: one of its orders.
        quantity: "accuracy" or "loss".
        title: of the figure.
    """
    check_choice("quantity", quantity, ("accuracy", "loss"))
    check_choice("order", order, set(data.order.values.tolist()))
    shown = data.isel(curve=data.order.values == order)
    titles = {
        "low": f"lowest {_NAME[order]} first",
        "high": f"highest {_NAME[order]} first",
        "random": "random order",
    }
    directions = [d for d in titles if d in shown.direction.values]
    figure = _side_by_side([titles[d] for d in directions])
    for column, direction in enumerate(directions, 1):
        first = shown.isel(curve=shown.direction.values == direction)[quantity].isel(curve=0)
        place = {"row": 1, "col": column}
        add_subset_lines(figure, data.fraction, first, hover=_HOVER, in_legend=column == 1, **place)
    if quantity == "accuracy":
        figure.update_yaxes(range=[-0.03, 1.03])
    unit = LOSS_LABEL[data.attrs["loss"]] if quantity == "loss" else "accuracy"
    figure.update_yaxes(title=unit, col=1)
    title = title or f"Removing neurons by {_NAME[order]}"
    return finish(figure, title=title, height=460, legend={"y": 1.09}, margin_t=100)


def plot_controls(
    data: xr.Dataset, *, title: str = "Is it the IPR? The same curves in other orders"
) -> go.Figure:
    """Accuracy on test and on corrupted labels in every order; the band spans random orders."""
    figure = _side_by_side(["accuracy on test", "accuracy on corrupted training labels"])
    x = data.fraction.values
    for column, subset in enumerate(("test", "changed"), 1):
        accuracy = data.accuracy.sel(subset=subset)
        place: dict[str, int] = {"row": 1, "col": column}
        chance = accuracy.isel(curve=data.order.values == "random")
        if chance.sizes["curve"]:
            low, high = chance.min("curve").values, chance.max("curve").values
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                name=f"random ({chance.sizes['curve']} orders)",
                line={"width": 0},
                fill="toself",
                fillcolor=GREY,
                opacity=0.5,
                hoverinfo="skip",
                showlegend=column == 1,
                **place,
            )
        for curve in range(data.sizes["curve"]):
            order, direction = str(data.order.values[curve]), str(data.direction.values[curve])
            if order == "random":
                continue
            figure.add_scatter(
                x=x,
                y=accuracy.isel(curve=curve),
                name=f"{direction} {_NAME[order]} first",
                line={"color": _COLOUR[order], "dash": "solid" if direction == "low" else "dash"},
                legendgroup=f"{order} {direction}",
                showlegend=column == 1,
                hovertemplate=_HOVER,
                **place,
            )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy", col=1)
    below = {"y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"}
    return finish(figure, title=title, height=520, legend=below)


_NAME = {"ipr": "IPR", "norm": "weight norm", "attribution": "logit attribution", "random": ""}
_COLOUR = {"ipr": BLUE, "norm": GREEN, "attribution": PURPLE}
_HOVER = "%{x:.1%} removed: %{y:.4f}"


def _side_by_side(titles: list[str]) -> go.Figure:
    """Panels for curves against the fraction of neurons removed."""
    figure = make_subplots(
        cols=len(titles), shared_yaxes=True, horizontal_spacing=0.07, subplot_titles=titles
    )
    axis = {"tickformat": ".0%", "range": [0, 1]}
    return figure.update_xaxes(title="fraction of neurons removed", **axis)


def _plans(run: Run, order: str, random_seeds: int) -> list[tuple[str, str, int, Tensor]]:
    """Curves of one order, each as order, direction, seed and neurons in order of removal."""
    if order == "random":
        width = run.config.model.d_mlp
        return [
            (order, "random", seed, torch.randperm(width, generator=generator(seed, "pruning")))
            for seed in range(random_seeds)
        ]
    train = run.dataset.is_train
    match order:
        case "ipr":
            rising = model_neuron_ipr(run.model).order()
        case "norm":
            rising = model_neuron_norms(run.model).argsort(stable=True)
        case _:
            tokens, clean = run.dataset.tokens[train], run.dataset.clean_labels[train]
            rising = model_neuron_attribution(run.model, tokens, clean).argsort(stable=True)
    return [(order, "low", -1, rising), (order, "high", -1, rising.flip(0))]


def analysis(
    run: Run,
    order: Annotated[str, typer.Option(help="ipr, norm, attribution or random")] = "ipr",
    random_seeds: Annotated[int, typer.Option(help="random orders to try")] = 5,
) -> Finding:
    """The page of ``grokinterp analyse``, for one order."""
    data = compute(run, orders=[order], random_seeds=random_seeds)
    figures = [plot_pruning(data, order=order, quantity=q) for q in ("accuracy", "loss")]
    return Finding(data=data, figures=figures)
