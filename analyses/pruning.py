"""Take neurons out one at a time and watch what is lost (Doshi et al. 2023, Figs. 6, 17, 18).

Neurons go in order of IPR, from below (memorising first) or from above (generalising first), and,
as controls that the paper lacks, in order of weight norm, of direct logit attribution, and at
random.

The logits are a sum over neurons, so the whole curve is built backwards, from the empty network,
with one rank-one update per neuron; the mean squared error needs only the neurons' Gram matrices.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp import HookedMLP, Run
from grokinterp._checks import check_choice, check_int
from grokinterp.data import SUBSETS, Dataset
from grokinterp.randomness import generator
from grokinterp.team import Team
from grokinterp.training.losses import LOSSES
from probes import model_neuron_attribution, model_neuron_ipr, model_neuron_norms, neuron_weights

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# Pairs whose logits are worked on at once: few enough to stay in a core's cache.
_BLOCK = 1200

ORDERS = ("ipr", "norm", "attribution", "random")


def compute(run: Run, *, orders: Sequence[str] = ORDERS, random_seeds: int = 5) -> "xr.Dataset":
    """Accuracy and loss on every subset after each removal, in several orders.

    Args:
        run: a run of a two-layer network.
        orders: which of "ipr", "norm", "attribution" (each from low and from high) and "random".
        random_seeds: how many random orders.

    Returns:
        Dataset over ("curve", "removed", "subset"): ``accuracy`` and ``loss`` (the one trained
        with); over ("curve", "subset"): ``area`` under the accuracy curve, the removed fraction
        running from 0 to 1; over ("curve", "place"): ``neuron``, who is removed in which place.
        Coordinates: ``order``, ``direction`` ("low", "high" or "random"), ``seed`` (-1 unless
        random) of each curve, and ``fraction`` removed.
    """
    import xarray as xr

    if isinstance(orders, str) or not orders:
        raise ValueError(f"orders must be a list of some of {', '.join(ORDERS)}, got {orders!r}")
    for order in orders:
        check_choice("orders", order, ORDERS)
    check_int("random_seeds", random_seeds, minimum=1)
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


def curve(data: "xr.Dataset", order: str, direction: str = "low", seed: int = -1) -> "xr.Dataset":
    """One curve of :func:`compute`'s dataset, by name.

    Args:
        data: what :func:`compute` gave.
        order: "ipr", "norm", "attribution" or "random".
        direction: "low" or "high"; "random" for random orders.
        seed: which random order.
    """
    wanted = (data.order == order) & (data.direction == direction) & (data.seed == seed)
    if not bool(wanted.any()):
        there = zip(data.order.values, data.direction.values, data.seed.values, strict=True)
        known = ", ".join(f"({o}, {d}, {s})" for o, d, s in there)
        raise ValueError(f"no curve ({order}, {direction}, {seed}); there are {known}")
    return data.isel(curve=int(wanted.argmax("curve")))


def pruning_curve(
    model: HookedMLP, dataset: Dataset, order: Int[Tensor, " neuron"], *, loss: str = "mse"
) -> tuple[Float[Tensor, "removed subset"], Float[Tensor, "removed subset"]]:
    """Accuracy and loss on each subset after removing the first 0, 1, ... all neurons of ``order``.

    Args:
        model: a network with one hidden layer.
        dataset: all pairs, with the labels given in training.
        order: a permutation of the neurons, the first to go first.
        loss: "mse", or "cross_entropy" (about ten times slower: it needs every logit each time).

    Returns:
        Two float64 tensors [d_mlp + 1, subset], subsets as in ``SUBSETS``.
    """
    check_choice("loss", loss, LOSSES)
    W = neuron_weights(model).W
    width, p = W.shape
    order = torch.as_tensor(order)
    if sorted(order.tolist()) != list(range(width)):
        raise ValueError(
            f"order must be a permutation of 0..{width - 1}, each neuron once; got {len(order)} "
            f"entries, {len(set(order.tolist()))} of them different, starting {order.tolist()[:5]}"
        )
    with torch.no_grad():
        _, cache = model.run_with_cache(dataset.tokens, names_filter="layers.0.hook_post")
    post = cache["layers.0.hook_post"][:, order].T.contiguous()  # [place, pair]
    W = W[order]
    masks = torch.stack([dataset.masks[name] for name in SUBSETS]).to(post)
    examples = masks.double().sum(dim=1)
    blocks = torch.arange(len(dataset.labels)).split(_BLOCK)
    with Team(torch.get_num_threads()) as team:
        sums = post.new_zeros(team.size, 2, width + 1, len(SUBSETS), dtype=torch.float64)

        def work(worker: int) -> None:
            for pairs in blocks[worker :: team.size]:
                sums[worker] += _block_sums(
                    post[:, pairs], W, dataset.labels[pairs], masks[:, pairs], loss
                )

        team.each(work)
    correct, other = sums.sum(dim=0) / examples  # an empty subset gives NaN
    if loss != "mse":
        return correct, other
    return correct, (_sum_of_squares(post, W, masks) / examples - 2 * other + 1) / p


def _block_sums(
    post: Float[Tensor, "place pair"],
    W: Float[Tensor, "place p"],
    labels: Int[Tensor, " pair"],
    masks: Float[Tensor, "s pair"],
    loss: str,
) -> Float[Tensor, "2 removed s"]:
    """Correct answers, and label logits (for "mse") or losses, summed over each subset's pairs."""
    width, pairs = post.shape
    logits = post.new_zeros(W.shape[1], pairs)
    own, best = post.new_zeros(2, width + 1, pairs)  # logit of the label, and the largest one
    losses = own if loss == "mse" else torch.empty_like(own)
    for place in range(width, -1, -1):
        if place < width:
            logits.addr_(W[place], post[place])
            torch.gather(logits, 0, labels[None], out=own[place : place + 1])
            torch.amax(logits, dim=0, out=best[place])
        if loss != "mse":
            losses[place] = LOSSES[loss].per_example(logits.T, labels)
    correct = own == best
    # Where nothing is left, or nothing alive, all logits are 0: of equals, argmax takes the first.
    tied = correct & (best == 0) & (labels != 0)
    for place in tied.any(dim=1).nonzero()[:, 0].tolist():
        at = tied[place]
        first = (W[place:].T @ post[place:, at]).argmax(dim=0)
        correct[place, at] = first == labels[at]
    return torch.stack([correct.to(masks) @ masks.T, losses @ masks.T]).double()


def plot_pruning(
    data: "xr.Dataset", *, order: str = "ipr", quantity: str = "accuracy", title: str | None = None
) -> "go.Figure":
    """Figs. 6, 17 ("accuracy") and 18 ("loss"): one order, from low and from high."""
    from plotly.subplots import make_subplots

    from analyses.style import SUBSET_LABEL, SUBSET_STYLE, finish

    check_choice("quantity", quantity, ("accuracy", "loss"))
    check_choice("order", order, set(data.order.values.tolist()))
    shown = data.isel(curve=data.order.values == order)
    titles = {
        "low": f"lowest {_NAME[order]} first", "high": f"highest {_NAME[order]} first",
        "random": "random order",
    }  # fmt: skip
    directions = [d for d in titles if d in shown.direction.values]
    figure = make_subplots(
        cols=len(directions), shared_yaxes=True, horizontal_spacing=0.07,
        subplot_titles=[titles[d] for d in directions],
    )  # fmt: skip
    for column, direction in enumerate(directions, 1):
        curves = shown.isel(curve=shown.direction.values == direction)[quantity]
        for subset in data.subset.values:
            figure.add_scatter(
                x=data.fraction, y=curves.isel(curve=0).sel(subset=subset),
                name=SUBSET_LABEL[subset], legendgroup=subset, showlegend=column == 1,
                line=SUBSET_STYLE[subset], row=1, col=column,
                hovertemplate="%{x:.1%} removed: %{y:.4f}",
            )  # fmt: skip
    figure.update_xaxes(title="fraction of neurons removed", tickformat=".0%", range=[0, 1])
    if quantity == "accuracy":
        figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title=_UNIT.get(data.attrs["loss"]) if quantity == "loss" else "accuracy",
                        col=1)  # fmt: skip
    title = title or f"Removing neurons by {_NAME[order]}"
    figure = finish(figure, title=title, height=460)
    return figure.update_layout(legend={"y": 1.09}, margin_t=100)


def plot_controls(
    data: "xr.Dataset", *, title: str = "Is it the IPR? The same curves in other orders"
) -> "go.Figure":
    """Test and corrupted-label accuracy in every order; the band spans the random orders."""
    from plotly.subplots import make_subplots

    from analyses.style import BLUE, GREEN, GREY, PURPLE, finish

    subsets = {"test": "test", "changed": "corrupted training labels"}
    colors = {"ipr": BLUE, "norm": GREEN, "attribution": PURPLE}
    figure = make_subplots(
        cols=2, shared_yaxes=True, horizontal_spacing=0.07,
        subplot_titles=[f"accuracy on {name}" for name in subsets.values()],
    )  # fmt: skip
    x = data.fraction.values
    for column, subset in enumerate(subsets, 1):
        accuracy = data.accuracy.sel(subset=subset)
        place: dict[str, int] = {"row": 1, "col": column}
        chance = accuracy.isel(curve=data.order.values == "random")
        if chance.sizes["curve"]:
            low, high = chance.min("curve").values, chance.max("curve").values
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself",
                fillcolor=GREY, opacity=0.5, line={"width": 0}, hoverinfo="skip",
                name=f"random ({chance.sizes['curve']} orders)", showlegend=column == 1, **place,
            )  # fmt: skip
        for curve in range(data.sizes["curve"]):
            order, direction = str(data.order.values[curve]), str(data.direction.values[curve])
            if order == "random":
                continue
            figure.add_scatter(
                x=x, y=accuracy.isel(curve=curve), name=f"{direction} {_NAME[order]} first",
                line={"color": colors[order], "dash": "solid" if direction == "low" else "dash"},
                showlegend=column == 1, legendgroup=f"{order} {direction}",
                hovertemplate="%{x:.1%} removed: %{y:.4f}", **place,
            )  # fmt: skip
    figure.update_xaxes(title="fraction of neurons removed", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="accuracy", col=1)
    figure = finish(figure, title=title, height=520)
    return figure.update_layout(legend={"y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"})


_NAME = {"ipr": "IPR", "norm": "weight norm", "attribution": "logit attribution", "random": ""}
_UNIT = {"mse": "mean squared error", "cross_entropy": "cross-entropy (nats)"}


def _plans(run: Run, order: str, random_seeds: int) -> list[tuple[str, str, int, Tensor]]:
    """(order, direction, seed, neurons in the order of removal)."""
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


def _sum_of_squares(
    post: Float[Tensor, "place pair"], W: Float[Tensor, "place p"], masks: Float[Tensor, "s pair"]
) -> Float[Tensor, "removed s"]:
    """Sum over each subset's pairs and all classes of logit^2, once the first places are removed.

    With neurons S left this is the sum over i, j in S of (W_i . W_j) (h_i . h_j), h_i being
    neuron i's activations on the subset: a cumulative sum from the end of both axes.
    """
    overlap = W @ W.T
    of = dict(zip(SUBSETS, masks.bool(), strict=True))
    totals = {}
    for name in ("test", "changed", "unchanged"):
        active = post[:, of[name]]
        terms = (overlap * (active @ active.T)).double().flip(0, 1)
        left = terms.cumsum(0).cumsum(1).diagonal().flip(0)
        totals[name] = torch.cat([left, left.new_zeros(1)])
    totals["train"] = totals["changed"] + totals["unchanged"]
    return torch.stack([totals[name] for name in SUBSETS], dim=1)


if __name__ == "__main__":
    from pathlib import Path
    from typing import Annotated

    import typer

    from analyses.errors import clear_errors
    from analyses.script import write_figures

    def main(
        run_dir: Path,
        order: Annotated[str, typer.Option(help="ipr, norm, attribution or random")] = "ipr",
        random_seeds: Annotated[int, typer.Option(help="random orders to try")] = 5,
        out: Annotated[Path | None, typer.Option(help="where the HTML file goes")] = None,
    ) -> None:
        """Prune a saved run in one order and write the curves as an HTML file."""
        with clear_errors():
            data = compute(Run.load(run_dir), orders=[order], random_seeds=random_seeds)
            figures = [plot_pruning(data, order=order, quantity=q) for q in ("accuracy", "loss")]
            write_figures("pruning", run_dir, out, data, figures)

    typer.run(main)
