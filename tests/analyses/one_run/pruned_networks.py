"""A network without some of its neurons, and its scores as torch defines them."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

import grokinterp as gi

WIDTH = 24
PATH = WIDTH + 11 + 121  # terms in the sums of a logit, of the loss over classes and over pairs


def masks(data: gi.Dataset) -> list[Tensor]:
    wrong = data.is_train & (data.labels != data.clean_labels)
    return [data.is_train, ~data.is_train, wrong, data.is_train & ~wrong, data.is_selected]


def scores(logits: Tensor, data: gi.Dataset, loss: str) -> tuple[list[float], list[float]]:
    """Accuracy and loss on the subsets, as torch defines them."""
    logits, right = logits.double(), (logits.argmax(dim=1) == data.labels).double()
    if loss == "mse":
        target = F.one_hot(data.labels, logits.shape[1]).double()
        losses = (logits - target).square().mean(dim=1)
    else:
        losses = F.cross_entropy(logits, data.labels, reduction="none")
    chosen = masks(data)
    return [right[m].mean().item() for m in chosen], [losses[m].mean().item() for m in chosen]


def with_zeroed_weights(model: gi.HookedMLP, neurons: Tensor) -> gi.HookedMLP:
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        pruned.W_E[:, :, neurons] = 0
        pruned.W_U[neurons] = 0
    return pruned
