"""Accuracy and loss while units are removed one by one (Doshi et al. 2023, Figs. 6, 17, 18).

Units are removed in order of periodicity, least periodic first (memorising units) or most periodic
first (generalising units). As controls, which the paper does not have, they are also removed in
order of size, of their effect on the true label's logit, and at random.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import pruning
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = pruning.compute(run, random_seeds=1)
    >>> without = pruning.curve(data, "ipr", "low").sel(removed=50)  # the least periodic are gone
    >>> test, changed = without.accuracy.sel(subset=["test", "changed"]).values.tolist()
    >>> test > 0.9, changed < 0.75
    (True, True)
    >>> figure = pruning.plot_controls(data)
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import typer
import xarray as xr
from jaxtyping import Float, Int
from plotly.subplots import make_subplots
from torch import Tensor

from analyses.one_run.pruning_orders import (
    NAMES,
    ORDERS,
    RANDOM,
    Queues,
    default_orders,
    default_unit,
)
from analyses.pages.finding import Finding
from analyses.pages.palette import GUIDE, INK, SERIES
from analyses.pages.panels import draw_band
from analyses.pages.style import LOSS_LABEL, add_subset_lines, finish
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.checks import check_bool, check_choice, check_int
from grokinterp.data import SUBSETS
from grokinterp.models.units import WORDS, kind_of
from grokinterp.session import unaffected
from grokinterp.short_text import short
from probes import network_on_pairs
from probes.unit_periodicity import DEFINITIONS, units_of
from probes.unit_pruning import REMOVALS, Pruner


@unaffected()
def compute(
    run: Run,
    *,
    unit: str | None = None,
    orders: Sequence[str] | None = None,
    mode: str = "zero",
    random_seeds: int = 5,
    removals: int = REMOVALS,
    iterative: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Accuracy and loss on every subset after removing units, in several orders.

    Args:
        run: a run of any network.
        unit: name of the units, as ``run.model.list_units()`` lists them. None: the first layer's
            neurons, or its hidden units in an LSTM.
        orders: some of ``ORDERS``: how periodic units are, by their weights ("ipr", "input_ipr",
            "output_ipr") or activations ("share", "normalized_share"); how large ("norm",
            "activation"); what they do to the loss ("effect", to first order) or to the label's
            logit ("attribution"); each lowest first and highest first, dead units being the
            lowest; and "random". None: the first periodicity, size and effect that these units
            have, and "random". For a network with one hidden layer and no norm they are "ipr",
            "norm", "attribution", "random".
        mode: what a removed activation becomes, as for ``gi.ablate``: "zero", its "mean" over all
            pairs, or that of another pair ("resample").
        random_seeds: number of random orders.
        removals: how many removals of each order are scored where each takes a forward pass. They
            are placed where accuracy changes. Where the logits are a sum over the units (neurons of
            the last layer without a norm behind them), all are scored.
        iterative: rank the units that are left again after every step of ``removals`` steps.
        seed: of the other pairs in "resample".

    Returns:
        Dataset:

        - (curve, removed, subset): ``accuracy``, and ``loss``, of the kind used in training;
          between removals that were scored they are interpolated linearly;
        - (curve, removed): ``is_measured``, whether they were scored;
        - (curve, subset): ``area`` under the accuracy as a function of the removed fraction;
        - (curve, place): ``neuron``, the index of the unit that is removed at each rank.

        Coordinates of a curve: ``order``; ``direction``, "low" or "high" for the end removed
        first, or "random"; ``seed``, -1 unless random. ``removed`` are all numbers of removals that
        were scored in some curve, from 0 to all units, and ``fraction`` their share of the units.
        Attributes: ``loss``, ``unit``, ``mode`` and ``iterative`` (1 or 0).

    Raises:
        ValueError: the network lacks these units, or the units a score that is asked for.
    """
    check_run(run)
    network, dataset = network_on_pairs(run.model), run.dataset
    unit = default_unit(network) if unit is None else unit
    units_of(network, unit)
    orders = default_orders(network, unit) if orders is None else orders
    if isinstance(orders, str) or not orders:
        raise ValueError(
            f"orders must be a list of some of {', '.join(ORDERS)}, got {short(orders)}"
        )
    for order in orders:
        check_choice("orders", order, ORDERS)
    check_int("random_seeds", random_seeds, minimum=1)
    check_bool("iterative", iterative)
    kind = run.config.training.loss
    pruner = Pruner(network, dataset, unit, kind, mode, seed, removals)
    queues = Queues(pruner.taken_out, dataset, removals if iterative else 1)
    plans = [plan for order in orders for plan in queues.plans(order, random_seeds)]
    curves = [pruner.curve(queue) for *_, queue in plans]
    width = len(plans[0][-1])
    removed = np.unique(np.concatenate([curve.removed for curve in curves]))
    accuracy = np.stack([_at(removed, curve.removed, curve.accuracy) for curve in curves])
    loss = np.stack([_at(removed, curve.removed, curve.loss) for curve in curves])
    fraction = removed / width
    return xr.Dataset(
        {
            "accuracy": (("curve", "removed", "subset"), accuracy),
            "loss": (("curve", "removed", "subset"), loss),
            "is_measured": (
                ("curve", "removed"),
                np.stack([np.isin(removed, curve.removed) for curve in curves]),
            ),
            "area": (("curve", "subset"), np.trapezoid(accuracy, fraction, axis=1)),
            "neuron": (("curve", "place"), np.stack([queue.numpy() for *_, queue in plans])),
        },
        coords={
            "subset": list(SUBSETS),
            "removed": removed,
            "fraction": ("removed", fraction),
            "order": ("curve", [order for order, *_ in plans]),
            "direction": ("curve", [direction for _, direction, *_ in plans]),
            "seed": ("curve", [seed for *_, seed, _ in plans]),
        },
        attrs={"loss": kind, "unit": unit, "mode": mode, "iterative": int(iterative)},
    )


def curve(data: xr.Dataset, order: str, direction: str = "low", seed: int = -1) -> xr.Dataset:
    """One curve of the dataset of :func:`compute`.

    Args:
        data: the dataset.
        order: one of ``ORDERS``.
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


def at_share(data: xr.Dataset, share: float) -> xr.Dataset:
    """The dataset of :func:`compute` at the scored removal that is nearest to a share of units."""
    return data.isel(removed=int(np.abs(data.fraction.values - share).argmin()))


def plot_pruning(
    data: xr.Dataset,
    *,
    order: str | None = None,
    quantity: str = "accuracy",
    title: str | None = None,
) -> go.Figure:
    """Figs. 6, 17 (accuracy) and 18 (loss): one order, lowest first and highest first.

    Args:
        data: the dataset of :func:`compute`.
        order: one of its orders; by default the first.
        quantity: "accuracy" or "loss".
        title: of the figure.
    """
    check_choice("quantity", quantity, ("accuracy", "loss"))
    order = str(data.order.values[0]) if order is None else order
    check_choice("order", order, set(data.order.values.tolist()))
    shown = data.isel(curve=data.order.values == order)
    titles = {
        "low": f"lowest {NAMES[order]} first",
        "high": f"highest {NAMES[order]} first",
        "random": "random order",
    }
    directions = [d for d in titles if d in shown.direction.values]
    figure = _side_by_side(data, [titles[d] for d in directions])
    for column, direction in enumerate(directions, 1):
        first = shown.isel(curve=shown.direction.values == direction)[quantity].isel(curve=0)
        place = {"row": 1, "col": column}
        add_subset_lines(figure, data.fraction, first, hover=_HOVER, in_legend=column == 1, **place)
    if quantity == "accuracy":
        figure.update_yaxes(range=[-0.03, 1.03])
    unit = LOSS_LABEL[data.attrs["loss"]] if quantity == "loss" else "accuracy"
    figure.update_yaxes(title=unit, col=1)
    how = "at random" if order == RANDOM else f"by {NAMES[order]}"
    title = title or f"Removing {words_on(data)} {how}"
    return finish(figure, title=title, height=460)


def plot_controls(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """Accuracy on test and on corrupted labels in every order; the band spans random orders."""
    asked = "IPR" if "ipr" in data.order.values else "periodicity"
    title = title or f"Is it the {asked}? The same curves in other orders"
    figure = _side_by_side(data, ["accuracy on test", "accuracy on corrupted training labels"])
    x = data.fraction.values
    for column, subset in enumerate(("test", "changed"), 1):
        accuracy = data.accuracy.sel(subset=subset)
        place: dict[str, int] = {"row": 1, "col": column}
        chance = accuracy.isel(curve=data.order.values == "random")
        if chance.sizes["curve"]:
            low, high = chance.min("curve").values, chance.max("curve").values
            count = chance.sizes["curve"]
            name = f"random ({count} order{'s' * (count > 1)})"
            shown = {"name": name, "opacity": 0.5, "showlegend": column == 1}
            draw_band(figure, (1, column), x, low, high, GUIDE, **shown)
        for curve in range(data.sizes["curve"]):
            order, direction = str(data.order.values[curve]), str(data.direction.values[curve])
            if order == "random":
                continue
            figure.add_scatter(
                x=x,
                y=accuracy.isel(curve=curve),
                name=f"{direction} {NAMES[order]} first",
                mode="lines",
                line={"color": _COLOUR[order], "dash": "solid" if direction == "low" else "dash"},
                legendgroup=f"{order} {direction}",
                showlegend=column == 1,
                hovertemplate=_HOVER,
                **place,
            )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy", col=1)
    return finish(figure, title=title, height=520)


_COLOUR = dict.fromkeys(DEFINITIONS, SERIES[0].color) | {
    "norm": SERIES[3].color,
    "activation": SERIES[3].color,
    "effect": SERIES[1].color,
    "attribution": SERIES[2].color,
    "share": SERIES[5].color,
    "normalized_share": INK,
}
_HOVER = "%{x:.1%} removed: %{y:.4f}"


def words_on(data: xr.Dataset) -> str:
    """What the units of a dataset are called, such as "neurons" or "heads of layer 1"."""
    many, layer = WORDS[kind_of(data.attrs["unit"])][0], data.attrs["unit"].partition(".")[2]
    return many if layer in ("", "0") else f"{many} of layer {layer}"


def _side_by_side(data: xr.Dataset, titles: list[str]) -> go.Figure:
    """Panels for curves against the fraction of units removed."""
    figure = make_subplots(
        cols=len(titles), shared_yaxes=True, horizontal_spacing=0.12, subplot_titles=titles
    )
    axis = {"tickformat": ".0%", "range": [0, 1]}
    return figure.update_xaxes(title=f"fraction of {words_on(data)} removed", **axis)


def _at(
    removed: Int[np.ndarray, " all"],
    measured: Int[Tensor, " point"],
    values: Float[Tensor, "point subset"],
) -> Float[np.ndarray, "all subset"]:
    """Values at all removals, interpolated between those that were measured."""
    if np.array_equal(removed, measured):
        return values.numpy()
    return np.stack([np.interp(removed, measured, column) for column in values.T], axis=1)


def analysis(
    run: Run,
    order: Annotated[
        str | None, typer.Option(help=f"{', '.join(ORDERS)}; by default how periodic they are")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="such as neurons.1, heads.0; by default the first layer's")
    ] = None,
    mode: Annotated[str, typer.Option(help="zero, mean or resample")] = "zero",
    random_seeds: Annotated[int, typer.Option(help="random orders to try")] = 5,
    iterative: Annotated[
        bool, typer.Option("--iterative", help="rank the units that are left again after each step")
    ] = False,
) -> Finding:
    """The page of ``grokinterp analyse``, for one order next to random ones."""
    network = network_on_pairs(run.model)
    unit = default_unit(network) if unit is None else unit
    if order is None:
        units_of(network, unit)
        order = default_orders(network, unit)[0]
    orders = list(dict.fromkeys([order, RANDOM]))
    data = compute(
        run, unit=unit, orders=orders, mode=mode, random_seeds=random_seeds, iterative=iterative
    )
    areas = data["area"].groupby("direction").mean().sel(subset=["test", "changed"])
    rows = [
        {"removed first": f"{direction} {NAMES[order]}" if direction != RANDOM else RANDOM}
        | {
            f"area, {name}": float(areas.sel(direction=direction, subset=name))
            for name in areas.subset.values
        }
        for direction in dict.fromkeys(data.direction.values.tolist())
    ]
    figures = [
        plot_pruning(data),
        plot_controls(data, title=f"Removing {words_on(data)}, and as many at random"),
        plot_pruning(data, quantity="loss"),
    ]
    sentences = [
        f"Accuracy with more and more {words_on(data)} gone. If the two abilities sit in different "
        "ones, one curve falls while the other stays; areas under the curves are above.",
        f"The same next to {random_seeds} random orders, which the band spans and over which their "
        "areas above are means.",
        "The loss of the same networks.",
    ]
    return Finding(data=data, figures=figures, rows=rows, sentences=sentences)
