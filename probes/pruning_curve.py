"""What a network still knows after each of its units is taken out in turn.

The logits are a sum over the units and of a rest, so the whole curve is built backwards, from the
network without the units, with one rank-one update per unit; the mean squared error needs only the
units' Gram matrices.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.checks import check_choice, check_int
from grokinterp.data import SUBSETS, Dataset
from grokinterp.interventions import ABLATIONS, ablate
from grokinterp.interventions.chosen import other_examples
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from probes.direct_output import DirectOutput, as_built, direct_output
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe
from probes.unit_periodicity import units_of

# Pairs whose logits are worked on at once: few enough to stay in a core's cache.
_BLOCK = 1200
# Squares of logits are computed in float64 from here on, where sums of them near float32's largest
# number, 2**128. Below it, float32 takes half the time.
_LARGE = 2.0**40


@probe
def pruning_curve(
    model: Any,
    dataset: Dataset,
    order: Int[Tensor, " unit"],
    *,
    loss: str = "mse",
    unit: str = "neurons.0",
    mode: str = "zero",
    seed: int = 0,
) -> tuple[Float[Tensor, "removed subset"], Float[Tensor, "removed subset"]]:
    """Accuracy and loss on each subset after removing the first 0, 1, ... all units of ``order``.

    Args:
        model: a network whose logits are a sum over these units and of a rest that does not depend
            on them: neurons of the last layer, without a norm behind them.
        dataset: all pairs, with the labels given in training.
        order: a permutation of the units, the first to go first.
        loss: "mse", or another of ``grokinterp.losses`` (slower: it needs every logit each time).
        unit: name of the units, as ``model.list_units()`` lists them.
        mode: what a removed activation becomes, as for ``gi.ablate``: "zero", its "mean" over all
            pairs, or that of another pair ("resample").
        seed: of the other pairs in "resample".

    Returns:
        Two float64 tensors [units + 1, subset], subsets as in ``SUBSETS``.

    Raises:
        ValueError: other units, whose removal :func:`probes.unit_pruning_curve` measures; an order
            that is no permutation; another modulus than the dataset's.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_ipr, pruning_curve
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> order = model_neuron_ipr(run.model).order()
        >>> accuracy, loss = pruning_curve(run.model, run.dataset, order)
        >>> _, test, changed, _, _ = accuracy[50].tolist()  # without the 50 least periodic neurons
        >>> test > 0.9, changed < 0.75
        (True, True)
    """
    check_choice("loss", loss, LOSSES)
    check_choice("mode", mode, ABLATIONS)
    check_int("seed", seed, minimum=0)
    network, output = _additive(model, unit)
    width, p = output.W.shape
    if p != dataset.p:
        raise ValueError(f"the model has p={p} but the dataset p={dataset.p}; they must agree")
    check_order(order, width)
    post, rest = _added(network, output, mode, seed)
    post = post[:, order].T.contiguous()  # [place, pair]
    W = output.W.to(rest)[order]
    masks = torch.stack([dataset.masks[name] for name in SUBSETS]).to(post)
    examples = masks.double().sum(dim=1)
    blocks = torch.arange(len(dataset.labels)).split(_BLOCK)
    with Team(torch.get_num_threads()) as team:
        sums = post.new_zeros(team.size, 2, width + 1, len(SUBSETS), dtype=torch.float64)

        def work(worker: int) -> None:
            for pairs in blocks[worker :: team.size]:
                sums[worker] += _block_sums(
                    post[:, pairs], W, rest[:, pairs], dataset.labels[pairs], masks[:, pairs], loss
                )

        team.each(work)
    correct, other = sums.sum(dim=0) / examples  # an empty subset gives NaN
    if loss != "mse":
        return correct, other
    return correct, (_sum_of_squares(post, W, rest, masks) / examples - 2 * other + 1) / p


def _added(
    network: NetworkOnPairs, output: DirectOutput, mode: str, seed: int
) -> tuple[Float[Tensor, "pair unit"], Float[Tensor, "p pair"]]:
    """What removals take away from the units' activations, and the logits without any unit."""
    post = network.activations(output.hook)
    dtype = output.dtype
    if mode == "zero" and output.is_all:
        return post.to(dtype), torch.zeros(network.p, len(post), dtype=dtype)
    hooks = ablate(range(post.shape[1]), mode, hook=output.hook, seed=seed)
    with torch.no_grad():
        rest = network.run(network.pairs, hooks).T.contiguous().to("cpu", dtype)
    if mode != "zero":
        others = other_examples(len(post), len(post), seed)
        post = post - (post.mean(dim=0) if mode == "mean" else post[others])
    return post.to(dtype), rest


def check_order(order: Int[Tensor, " unit"], width: int) -> None:
    """Raise unless an order is a permutation of all units."""
    if sorted(order.tolist()) != list(range(width)):
        raise ValueError(
            f"order must be a permutation of 0..{width - 1}, each unit once; got {len(order)} "
            f"entries, {len(set(order.tolist()))} of them different, starting {order.tolist()[:5]}"
        )


def is_additive(network: NetworkOnPairs, unit: str) -> bool:
    """Whether the logits are a sum over these units and a rest that does not depend on them."""
    output = direct_output(network, units_of(network, unit))
    return output is not None and output.is_exact and as_built(network)


def _additive(model: Any, unit: str) -> tuple[NetworkOnPairs, DirectOutput]:
    """What the units of a network add to its logits; raise if the logits are no such sum."""
    network = network_on_pairs(model)
    output = direct_output(network, units_of(network, unit))
    if output is None or not output.is_exact:
        raise ValueError(
            f"pruning_curve takes the logits for a sum over {unit}, which they are over the "
            f"neurons of the last layer without a norm behind them, but this "
            f"{type(network.model).__name__} computes on with them first. Use "
            "probes.unit_pruning_curve, or gi.ablate(units, unit=...) and "
            "probes.subset_scores(model, dataset) under these hooks, one removal at a time"
        )
    if not as_built(network):
        raise ValueError(
            f"this {type(network.model).__name__} has hooks or a module in another's place, behind "
            "which the logits may be no sum over its units; take them off, or use "
            "probes.unit_pruning_curve, which runs the network for each removal"
        )
    return network, output


def _block_sums(
    post: Float[Tensor, "place pair"],
    W: Float[Tensor, "place p"],
    rest: Float[Tensor, "p pair"],
    labels: Int[Tensor, " pair"],
    masks: Float[Tensor, "s pair"],
    loss: str,
) -> Float[Tensor, "2 removed s"]:
    """Sums over each subset's pairs: correct answers, and label logits (for "mse") or losses."""
    width, pairs = post.shape
    logits = rest.clone()
    own, best = post.new_zeros(2, width + 1, pairs)  # logit of the label, and the largest one
    losses = own if loss == "mse" else torch.empty_like(own)
    for place in range(width, -1, -1):
        if place < width:
            logits.addr_(W[place], post[place])
        torch.gather(logits, 0, labels[None], out=own[place : place + 1])
        torch.amax(logits, dim=0, out=best[place])
        if loss != "mse":
            losses[place] = LOSSES[loss].per_example(logits.T.double(), labels)
    correct = own == best
    # If all logits are 0, as with no living neuron left, argmax would take the first class.
    tied = correct & (best == 0) & (labels != 0)
    for place in tied.any(dim=1).nonzero()[:, 0].tolist():
        at = tied[place]
        first = (rest[:, at] + W[place:].T @ post[place:, at]).argmax(dim=0)
        correct[place, at] = first == labels[at]
    sums = torch.stack([correct.double(), losses.double()]) @ masks.double().T
    sums[:, ~best.isfinite().all(dim=1)] = torch.nan  # a diverged network gives no answer
    return sums


def _sum_of_squares(
    post: Float[Tensor, "place pair"],
    W: Float[Tensor, "place p"],
    rest: Float[Tensor, "p pair"],
    masks: Float[Tensor, "s pair"],
) -> Float[Tensor, "removed s"]:
    """Sum of logit^2 over each subset's pairs and all classes, after 0, 1, ... removals.

    With units S left, it is the sum over i, j in S of (W_i . W_j) (h_i . h_j), where h_i are the
    activations of unit i on the subset: a cumulative sum from the end of both axes. The rest r adds
    |r|^2 and twice the sum over i in S of (W_i r) . h_i.
    """
    if float(post.abs().max()) * float(W.abs().max()) > _LARGE:
        post, W = post.double(), W.double()
    overlap = W @ W.T
    along = (W.double() @ rest.double()) * post if rest.any() else None
    of = dict(zip(SUBSETS, masks.bool(), strict=True))

    def total(pairs: Bool[Tensor, " pair"]) -> Float[Tensor, " removed"]:
        active = post[:, pairs]
        terms = (overlap * (active @ active.T)).flip(0, 1)
        left = terms.cumsum(0).cumsum(1).diagonal().flip(0)
        left = torch.cat([left, left.new_zeros(1)])
        return left if along is None else left + _with_rest(along[:, pairs], rest[:, pairs])

    # Sums over disjoint parts: "unchanged" includes the selected pairs that kept their label.
    spared = total(of["selected"] & ~of["changed"])
    totals = {"test": total(of["test"]), "changed": total(of["changed"])}
    totals["unchanged"] = total(of["unchanged"] & ~of["selected"]) + spared
    totals["selected"] = totals["changed"] + spared
    totals["train"] = totals["changed"] + totals["unchanged"]
    return torch.stack([totals[name] for name in SUBSETS], dim=1)


def _with_rest(
    along: Float[Tensor, "place pair"], rest: Float[Tensor, "p pair"]
) -> Float[Tensor, " removed"]:
    """|r|^2 of the rest, and twice what it shares with the units that are left."""
    shared = along.sum(dim=1).flip(0).cumsum(0).flip(0)
    return rest.double().square().sum() + 2 * torch.cat([shared, shared.new_zeros(1)])
