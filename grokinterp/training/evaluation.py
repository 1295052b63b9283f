"""Accuracy, loss and weight norms of every run in a stack, on every subset, without host copies."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.data import SUBSETS, Dataset
from grokinterp.training.losses import LOSSES

METRICS = tuple(f"{subset}_{score}" for score in ("loss", "accuracy") for subset in SUBSETS)


class Evaluation:
    """Scores of a stack on all pairs, in evaluation mode, at its current weights.

    Args:
        datasets: one per run; all of one modulus.
        loss: a name in ``LOSSES``.
        dtype: of the scores.
        device: where the runs live.
    """

    def __init__(
        self, datasets: Sequence[Dataset], loss: str, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.per_example = LOSSES[loss].per_example
        self.labels = torch.stack([data.labels for data in datasets]).to(device)
        masks = [torch.stack([data.masks[name] for name in SUBSETS]) for data in datasets]
        self._masks = torch.stack(masks).to(device, dtype)
        self._counts = self._masks.sum(dim=-1).double()
        self._loss = torch.empty(self.labels.shape, dtype=dtype, device=device)
        self._correct = torch.empty_like(self._loss)

    def note(self, run: int | slice, pairs: slice, logits: Float[Tensor, "*run pair p"]) -> None:
        """Note loss and correctness of one run, or of several, on a slice of the pairs."""
        labels = self.labels[run, pairs]
        losses = self.per_example(logits.flatten(0, -2), labels.flatten())
        self._loss[run, pairs] = losses.view_as(labels)
        self._correct[run, pairs] = (logits.argmax(dim=-1) == labels).to(self._correct)

    def metrics(self) -> Float[Tensor, "run metric"]:
        """The scores noted last, averaged over each subset, in the order of ``METRICS``.

        Both are against the given labels: on "changed" pairs, the wrong ones. Hits are counted
        exactly and divided in float64, so that all right is 1.0. An empty subset gives NaN.
        """
        loss = torch.einsum("rsn,rn->rs", self._masks, self._loss)
        hits = torch.einsum("rsn,rn->rs", self._masks, self._correct)
        return torch.cat([loss / self._counts, hits / self._counts], dim=1)
