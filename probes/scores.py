"""Accuracy and loss of logits, on all examples, a mask or the subsets of a data set."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.data import Dataset
from grokinterp.losses import LOSSES
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe


@probe
def accuracy(
    logits: Float[Tensor, "example p"],
    labels: Int[Tensor, " example"],
    mask: Bool[Tensor, " example"] | None = None,
) -> float:
    """Share of examples, of those in the mask if given, whose largest logit is the label's.

    NaN if the mask is empty or a logit is NaN: a diverged network gives no answer.

    Examples:
        >>> import torch
        >>> from probes import accuracy
        >>> logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
        >>> accuracy(logits, torch.tensor([1, 2]))
        0.5
        >>> accuracy(logits, torch.tensor([1, 2]), mask=torch.tensor([True, False]))
        1.0
    """
    check_labels(labels, logits.shape[1])
    correct = (logits.argmax(dim=-1) == labels).double()
    correct = correct.masked_fill(logits.isnan().any(dim=-1), float("nan"))
    return float(correct.mean() if mask is None else correct[mask].mean())


@probe
def loss(
    logits: Float[Tensor, "example p"],
    labels: Int[Tensor, " example"],
    mask: Bool[Tensor, " example"] | None = None,
    *,
    kind: str = "mse",
) -> float:
    """Mean loss over the examples, of those in the mask if given; NaN if the mask is empty.

    ``kind`` is "mse" against one-hot labels, averaged over classes too, or "cross_entropy" in nats.

    Examples:
        >>> import torch
        >>> from probes import loss
        >>> logits, labels = torch.zeros(1, 13), torch.tensor([3])
        >>> round(loss(logits, labels), 3)  # 1 / 13
        0.077
        >>> round(loss(logits, labels, kind="cross_entropy"), 3)  # log 13
        2.565
    """
    check_choice("kind", kind, LOSSES)
    check_labels(labels, logits.shape[1])
    values = LOSSES[kind].per_example(logits.detach().double(), labels.long())
    return float(values.mean() if mask is None else values[mask].mean())


@probe
def subset_accuracy(logits: Float[Tensor, "example p"], dataset: Dataset) -> dict[str, float]:
    """Accuracy on each of ``grokinterp.data.SUBSETS``, from the logits of all pairs.

    Labels are those used in training (``dataset.labels``); on the test set they are the true ones.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import subset_accuracy
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)  # it knows the rule, but no wrong label
        >>> data = gi.make_dataset(gi.DataConfig(p=13, corruption=0.3))
        >>> accuracy = subset_accuracy(model(data.tokens), data)
        >>> accuracy["test"], accuracy["unchanged"], accuracy["changed"]
        (1.0, 1.0, 0.0)
    """
    _check_classes(logits, dataset)
    return {name: accuracy(logits, dataset.labels, mask) for name, mask in dataset.masks.items()}


@probe
def subset_scores(
    model: Any, dataset: Dataset, *, kind: str = "mse"
) -> Mapping[str, Mapping[str, float]]:
    """``{subset: {"accuracy": ..., "loss": ...}}`` for each of ``grokinterp.data.SUBSETS``.

    Labels are those used in training (``dataset.labels``); on the test set they are the true ones.
    The network's answer is the residue with the largest logit. A run's history differs where a
    network has more than p classes: there, the other classes compete too.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import subset_scores
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)  # it knows the rule, but no wrong label
        >>> scores = subset_scores(model, gi.make_dataset(gi.DataConfig(p=13, corruption=0.3)))
        >>> scores["test"]["accuracy"], scores["changed"]["accuracy"]
        (1.0, 0.0)
        >>> scores["test"]["loss"] < scores["changed"]["loss"]
        True
    """
    logits = network_on_pairs(model).logits()
    accuracies, losses = scores_by_subset(logits, dataset, kind=kind).tolist()
    return {
        name: {"accuracy": share, "loss": value}
        for name, share, value in zip(dataset.masks, accuracies, losses, strict=True)
    }


@probe
def scores_by_subset(
    logits: Float[Tensor, "example p"], dataset: Dataset, *, kind: str = "mse"
) -> Float[Tensor, "2 subset"]:
    """Accuracy and mean loss on each subset, of logits for all pairs; as :func:`subset_scores`.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import scores_by_subset
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)  # it knows the rule, but no wrong label
        >>> data = gi.make_dataset(gi.DataConfig(p=13, corruption=0.3))
        >>> accuracy, loss = scores_by_subset(model(data.tokens), data)
        >>> accuracy[1:4].tolist()  # test, changed and unchanged labels
        [1.0, 0.0, 1.0]
    """
    check_choice("kind", kind, LOSSES)
    _check_classes(logits, dataset)
    check_labels(dataset.labels, dataset.p)
    correct = (logits.argmax(dim=-1) == dataset.labels).double()
    correct = correct.masked_fill(logits.isnan().any(dim=-1), float("nan"))
    losses = LOSSES[kind].per_example(logits.double(), dataset.labels)
    masks = dataset.masks.values()
    return torch.stack(
        [torch.stack([values[mask].mean() for mask in masks]) for values in (correct, losses)]
    )


def check_labels(labels: Int[Tensor, " example"], classes: int) -> None:
    """Raise unless every label is one of ``classes`` classes."""
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must lie in 0..{classes - 1}, the classes of the logits, got values from "
            f"{int(labels.min())} to {int(labels.max())}"
        )


def _check_classes(logits: Tensor, dataset: Dataset) -> None:
    if logits.shape != (len(dataset.labels), dataset.p):
        raise ValueError(
            f"the dataset has {len(dataset.labels)} pairs and {dataset.p} classes, but logits are "
            f"{list(logits.shape)}; use the dataset that the model was made for"
        )
