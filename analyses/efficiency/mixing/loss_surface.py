"""The loss of a mixture of two circuits as a function of its two weights.

The mixture is ``w_mem M + w_gen G``, where M and G are the outputs of two frozen circuits, tables
[example, class] of logits or probabilities. Its loss is a surface over the plane of the weights.
All that depends only on the tables is computed once, so that steps along the surface are cheap.
"""

from typing import Protocol, runtime_checkable

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.checks import check_choice

# The outputs that may be mixed, and the losses of each, named as in a run's training. The mean
# squared error of mixed probabilities is called "mse_softmax"; no further softmax is applied.
MIXED = {
    "probabilities": ("mse_softmax", "cross_entropy"),
    "logits": ("mse", "mse_softmax", "cross_entropy"),
}


@runtime_checkable  # for the type checks in tests
class LossSurface(Protocol):
    """Mean loss over a set of examples as a function of the weights (w_mem, w_gen)."""

    def loss(self, weights: Float[Tensor, "start 2"]) -> Float[Tensor, " start"]:
        """The loss for each row of weights."""
        ...

    def gradient(
        self, weights: Float[Tensor, "start 2"], rows: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "start 2"]:
        """Its gradient with respect to the weights, over all examples or only over ``rows``."""
        ...


def loss_surface(
    memorising: Float[Tensor, "example class"],
    generalising: Float[Tensor, "example class"],
    labels: Int[Tensor, " example"],
    *,
    mixed: str,
    loss: str,
) -> LossSurface:
    """The surface of one loss over one set of examples, in float64.

    Args:
        memorising: outputs of the memorising circuit.
        generalising: outputs of the generalising circuit.
        labels: the correct classes.
        mixed: the kind of output, "probabilities" (as in the paper's code) or "logits".
        loss: "mse_softmax", the mean over examples and classes of (probability - one-hot)^2;
            "mse", the same of mixed logits; or "cross_entropy", in nats.

    Mixed probabilities add up to w_mem + w_gen, which is 0 at the start, where the logarithm has no
    finite slope. So for "cross_entropy" of probabilities we add a uniform background of weight 1
    and divide by 1 + w_mem + w_gen. The loss then starts at log(classes), like a network's, and
    falls to 0 only as the weights grow.

    Raises:
        ValueError: an unknown ``mixed`` or ``loss``, or a loss that it does not have.

    Source: the second paper, section 5.1, and its code (mixed probabilities, mean over classes).
    """
    check_choice("mixed", mixed, MIXED)
    check_choice(f"loss with mixed={mixed!r}", loss, MIXED[mixed])
    tables = torch.stack([memorising, generalising]).double()
    if mixed == "probabilities":
        return _Quadratic(tables, labels) if loss == "mse_softmax" else _Background(tables, labels)
    return _Quadratic(tables, labels) if loss == "mse" else _Softmax(tables, labels, loss)


class _Quadratic:
    """Mean squared error of the mixed tables against one-hot labels: a paraboloid.

    With z = (w_mem, w_gen, -1), the residual of an example and class is the row [M, G, one-hot]
    times z. The loss is ``|R z|^2``, where R is the triangular factor of all rows (QR). Unlike sums
    of squares and products, this does not cancel when losses are small.
    """

    def __init__(self, tables: Float[Tensor, "2 example class"], labels: Tensor) -> None:
        _, n, classes = tables.shape
        one_hot = torch.nn.functional.one_hot(labels, classes).to(tables)
        rows = torch.stack([*tables, one_hot], dim=-1) / classes**0.5
        self._products = rows.mT @ rows  # [example, 3, 3], for batches
        by_row = rearrange(rows, "example label part -> (example label) part")
        self._factor = torch.linalg.qr(by_row / n**0.5, mode="r").R

    def loss(self, weights: Tensor) -> Tensor:
        return (_with_minus_one(weights) @ self._factor.mT).square().sum(dim=-1)

    def gradient(self, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        z = _with_minus_one(weights)
        if rows is None:
            return 2 * (z @ self._factor.mT @ self._factor)[:, :2]
        return 2 * (z @ self._products[rows].mean(dim=0))[:, :2]


class _Background:
    """Cross-entropy of probabilities mixed with a uniform background of weight 1."""

    def __init__(self, tables: Float[Tensor, "2 example class"], labels: Tensor) -> None:
        at_label = repeat(labels, "example -> circuit example 1", circuit=2)
        self._at_label = tables.gather(-1, at_label)[..., 0].T  # [example, 2]
        self._background = 1 / tables.shape[-1]

    def loss(self, weights: Tensor) -> Tensor:
        mass = self._background + weights @ self._at_label.T  # [start, example]
        return weights.sum(dim=-1).log1p() - mass.log().mean(dim=-1)

    def gradient(self, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        at_label = self._at_label if rows is None else self._at_label[rows]
        mass = self._background + weights @ at_label.T
        total = 1 + weights.sum(dim=-1, keepdim=True)
        return 1 / total - mass.reciprocal() @ at_label / len(at_label)


class _Softmax:
    """Cross-entropy, or mean squared error of the softmax, of mixed logits."""

    def __init__(self, tables: Float[Tensor, "2 example class"], labels: Tensor, loss: str) -> None:
        self._tables, self._labels, self._squared = tables, labels, loss == "mse_softmax"

    def loss(self, weights: Tensor) -> Tensor:
        from grokinterp.losses import cross_entropy, mse_softmax

        per_example = mse_softmax if self._squared else cross_entropy
        # One start at a time: mixtures for all starts together would need too much memory.
        return torch.stack(
            [per_example(_mix(w, self._tables), self._labels).mean() for w in weights]
        )

    def gradient(self, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        tables = self._tables if rows is None else self._tables[:, rows]
        labels = self._labels if rows is None else self._labels[rows]
        return torch.stack([self._slope(w, tables, labels[:, None]) for w in weights])

    def _slope(self, w: Tensor, tables: Tensor, label: Tensor) -> Tensor:
        """Chain rule: d(loss) / d(mixed logits), times each circuit's logits."""
        probability = _mix(w, tables).softmax(dim=-1)
        residual = probability.scatter_add(1, label, -torch.ones_like(label).to(probability))
        by_logit = residual
        if self._squared:
            inner = (probability * residual).sum(dim=-1, keepdim=True)
            by_logit = probability * (residual - inner) * (2 / probability.shape[-1])
        return (tables * by_logit).sum(dim=(1, 2)) / len(label)


def _mix(w: Float[Tensor, " 2"], tables: Float[Tensor, "2 n c"]) -> Float[Tensor, "n c"]:
    return w[0] * tables[0] + w[1] * tables[1]


def _with_minus_one(weights: Float[Tensor, "start 2"]) -> Float[Tensor, "start 3"]:
    return torch.nn.functional.pad(weights, (0, 1), value=-1.0)
