"""Accuracy and loss of a network as its neurons are removed one after the other.

The logits are a sum over neurons, so the curve is computed backwards, from the empty network: each
neuron adds a rank-one update. The mean squared error needs only the neurons' Gram matrices.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.data import SUBSETS, Dataset
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from probes.neuron_weights import check_no_norm, neuron_activations, neuron_weights
from probes.probe import probe

# Pairs whose logits are computed at once: few enough to stay in a core's cache.
_BLOCK = 1200
# Logits above this size are squared in float64: sums of their squares come near float32's largest
# number, 2**128. Below, float32 takes half the time.
_LARGE = 2.0**40


@probe
def pruning_curve(
    model: Any, dataset: Dataset, order: Int[Tensor, " neuron"], *, loss: str = "mse"
) -> tuple[Float[Tensor, "removed subset"], Float[Tensor, "removed subset"]]:
    """Accuracy and loss on each subset after removing the first 0, 1, ... all neurons of ``order``.

    Args:
        model: a network with one hidden layer.
        dataset: all pairs, with the labels given in training.
        order: a permutation of the neurons; ``order[0]`` is removed first.
        loss: "mse", or "cross_entropy" (nats), which is about ten times slower because it needs
            every logit after every removal.

    Returns:
        Accuracy and loss, each float64 [d_mlp + 1, subset], with subsets as in ``SUBSETS``. Row n
        is the network without the first n neurons. NaN for an empty subset.
    """
    check_choice("loss", loss, LOSSES)
    check_prunable(model)
    W = neuron_weights(model).W
    width, p = W.shape
    if p != dataset.p:
        raise ValueError(f"the model has p={p} but the dataset p={dataset.p}; they must agree")
    if sorted(order.tolist()) != list(range(width)):
        raise ValueError(
            f"order must be a permutation of 0..{width - 1}, each neuron once; got {len(order)} "
            f"entries, {len(set(order.tolist()))} of them different, starting {order.tolist()[:5]}"
        )
    post = neuron_activations(model, dataset.tokens)[:, order].T.contiguous()  # [place, pair]
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
    correct, other = sums.sum(dim=0) / examples  # 0 / 0 = NaN for an empty subset
    if loss != "mse":
        return correct, other
    return correct, (_sum_of_squares(post, W, masks) / examples - 2 * other + 1) / p


def check_prunable(model: object) -> None:
    """Raise unless a network's logits are a sum over the neurons of one hidden layer."""
    hooked = "and probes.subset_scores(model, dataset) under these hooks, one removal at a time"
    neuron_weights(model, instead=f"gi.ablate(neurons, layer=...) {hooked}")
    at = "hook='layers.0.norm.hook_normalized'"
    check_no_norm(model, "pruning", instead=f"gi.ablate(neurons, {at}) {hooked}")


def is_prunable(model: object) -> bool:
    """Whether :func:`pruning_curve` accepts a network."""
    try:
        check_prunable(model)
    except (TypeError, ValueError):
        return False
    return True


def _block_sums(
    post: Float[Tensor, "place pair"],
    W: Float[Tensor, "place p"],
    labels: Int[Tensor, " pair"],
    masks: Float[Tensor, "s pair"],
    loss: str,
) -> Float[Tensor, "2 removed s"]:
    """Sums over each subset's pairs: correct answers, and label logits (for "mse") or losses."""
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
            losses[place] = LOSSES[loss].per_example(logits.T.double(), labels)
    correct = own == best
    # If all logits are 0, as with no living neuron left, argmax would take the first class.
    tied = correct & (best == 0) & (labels != 0)
    for place in tied.any(dim=1).nonzero()[:, 0].tolist():
        at = tied[place]
        first = (W[place:].T @ post[place:, at]).argmax(dim=0)
        correct[place, at] = first == labels[at]
    sums = torch.stack([correct.double(), losses.double()]) @ masks.double().T
    sums[:, ~best.isfinite().all(dim=1)] = torch.nan  # a diverged network gives no answer
    return sums


def _sum_of_squares(
    post: Float[Tensor, "place pair"], W: Float[Tensor, "place p"], masks: Float[Tensor, "s pair"]
) -> Float[Tensor, "removed s"]:
    """Sum of logit^2 over each subset's pairs and all classes, after 0, 1, ... removals.

    With neurons S left, it is the sum over i, j in S of (W_i . W_j) (h_i . h_j), where h_i are the
    activations of neuron i on the subset: a cumulative sum from the end of both axes.
    """
    if float(post.abs().max()) * float(W.abs().max()) > _LARGE:
        post, W = post.double(), W.double()
    overlap = W @ W.T
    of = dict(zip(SUBSETS, masks.bool(), strict=True))

    def total(pairs: Bool[Tensor, " pair"]) -> Float[Tensor, " removed"]:
        active = post[:, pairs]
        terms = (overlap * (active @ active.T)).flip(0, 1)
        left = terms.cumsum(0).cumsum(1).diagonal().flip(0)
        return torch.cat([left, left.new_zeros(1)])

    # Sums over disjoint parts: "unchanged" includes the selected pairs that kept their label.
    spared = total(of["selected"] & ~of["changed"])
    totals = {"test": total(of["test"]), "changed": total(of["changed"])}
    totals["unchanged"] = total(of["unchanged"] & ~of["selected"]) + spared
    totals["selected"] = totals["changed"] + spared
    totals["train"] = totals["changed"] + totals["unchanged"]
    return torch.stack([totals[name] for name in SUBSETS], dim=1)
