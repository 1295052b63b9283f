"""Accuracy and loss of every run in a stack, on every subset, without copies to the CPU."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.data import SUBSETS, Dataset
from grokinterp.losses import LOSSES

# "zero_loss_share" is the share of training examples whose loss, in training's precision, is 0.
METRICS = (
    *(f"{subset}_{score}" for score in ("loss", "accuracy") for subset in SUBSETS),
    "zero_loss_share",
)

# In any precision, a loss that float64 says is larger than this is not 0.
_SURELY_ABOVE_0 = 1e-6


class Evaluation:
    """Scores of all runs of a stack on all pairs, in evaluation mode, at their current weights.

    Losses are computed in float64 from the logits in the stack's precision. In float32 a
    cross-entropy below about 1e-7 would be rounding error, or exactly 0.

    Args:
        datasets: one per run, all with the same modulus.
        loss: a name in ``LOSSES``.
        device: the device of the runs.
    """

    def __init__(self, datasets: Sequence[Dataset], loss: str, *, device: torch.device) -> None:
        self.per_example = LOSSES[loss].per_example
        self._per_example_ = LOSSES[loss].per_example_ or self.per_example
        self.labels = torch.stack([data.labels for data in datasets]).to(device)
        masks = [torch.stack([data.masks[name] for name in SUBSETS]) for data in datasets]
        self._masks = torch.stack(masks).to(device)
        self._sizes = self._masks.sum(dim=2)
        self._loss = torch.empty(self.labels.shape, dtype=torch.float64, device=device)
        self._correct = torch.empty(self.labels.shape, dtype=torch.bool, device=device)
        self._is_zero = torch.empty_like(self._correct)

    def note(
        self,
        run: int | slice,
        pairs: slice | Int[Tensor, " pair"],
        logits: Float[Tensor, "*run pair p"],
    ) -> None:
        """Store loss and correctness of one or several runs on some of the pairs.

        The logits are changed for a moment, and then as before.
        """
        labels = self.labels[run, pairs]
        exact = self._per_example_(logits.to(torch.float64, copy=True), labels)
        is_zero = exact == 0
        near = exact < _SURELY_ABOVE_0
        if logits.dtype != exact.dtype and bool(near.any()):
            is_zero[near] = self.per_example(logits[near], labels[near]) == 0
        self._loss[run, pairs] = exact
        self._is_zero[run, pairs] = is_zero
        self._correct[run, pairs] = _hits(logits, labels)

    def metrics(self) -> Float[Tensor, "run metric"]:
        """The last stored scores, averaged over each subset, in the order of ``METRICS``.

        Scores are against the given labels, which are wrong on "changed" pairs. Hits are counted
        exactly and divided in float64, so a perfect accuracy is exactly 1.0. An empty subset gives
        NaN.
        """
        losses, hits = self._means(self._loss), self._means(self._correct)
        zeros = self._means(self._is_zero)[:, SUBSETS.index("train")]
        return torch.cat([losses, hits, zeros[:, None]], dim=1)

    def _means(
        self, values: Float[Tensor, "run pair"] | Bool[Tensor, "run pair"]
    ) -> Float[Tensor, "run subset"]:
        sums = [(values * mask).sum(dim=1) for mask in self._masks.unbind(dim=1)]
        return torch.stack(sums, dim=1).double() / self._sizes


def _hits(
    logits: Float[Tensor, "*run pair p"], labels: Int[Tensor, "*run pair"]
) -> Bool[Tensor, "*run pair"]:
    """Whether the label has the largest logit, of equal ones the first: faster than an argmax."""
    at_label = labels[..., None]
    own = logits.gather(-1, at_label)
    others = logits.scatter_(-1, at_label, -torch.inf).amax(dim=-1)
    hits, tied = own[..., 0] > others, own[..., 0] == others
    logits.scatter_(-1, at_label, own)
    if bool(tied.any()):
        hits[tied] = logits[tied].argmax(dim=-1) == labels[tied]
    return hits
