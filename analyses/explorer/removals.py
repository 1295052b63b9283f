"""What a network answers while units are removed by rank, for units that the page cannot remove."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from grokinterp.short_text import short_repr
from probes.network_on_pairs import NetworkOnPairs
from probes.unit_pruning import Removals

# The numbers of removed units part the way from none to all into so many stretches.
STRETCHES, FEW_STRETCHES = 20, 10


@short_repr
@dataclass(frozen=True, eq=False)
class StoredRemovals:
    """The classes answered after removing units from either end of their rank by a score."""

    by: list[str]  # keys of the scores
    points: list[int]  # numbers of removed units, from 0 to all
    answers: Shaped[np.ndarray, "by 2 point pair"]  # lowest rank first, then highest rank first


def stored_removals(
    network: NetworkOnPairs,
    unit: str,
    scores: Mapping[str, np.ndarray],
    stretches: int = STRETCHES,
) -> StoredRemovals:
    """Remove units by the rank of each score, and keep the answers; a forward pass each.

    Args:
        network: the network.
        unit: name of its units.
        scores: by key, float32 [unit]; NaN has the lowest rank, equal values that of their places.
        stretches: how many numbers of removed units, besides 0, at most.
    """
    out = Removals(network, unit, "zero")
    count = out.units.count
    points = np.unique(
        np.linspace(0, count, min(count, stretches) + 1).round().astype(int)
    ).tolist()
    known: dict[bytes, np.ndarray] = {}

    def answer(gone: Int[Tensor, " some"]) -> np.ndarray:
        mask = torch.zeros(count, dtype=torch.bool)
        mask[gone] = True
        key = mask.numpy().tobytes()
        if key not in known:
            known[key] = as_classes(out.logits(mask) if len(gone) else out.whole(), network.p)
        return known[key]

    answers = []
    for values in scores.values():
        lowest = np.where(np.isnan(values), -np.inf, values).argsort(kind="stable")
        for order in (lowest, lowest[::-1].copy()):
            answers.append(np.stack([answer(torch.from_numpy(order[:n])) for n in points]))
    shape = (len(scores), 2, len(points), network.p**2)
    return StoredRemovals(list(scores), points, np.reshape(answers, shape))


def as_classes(logits: Tensor, p: int) -> np.ndarray:
    """The class with the largest logit of each pair, as small integers."""
    return logits.argmax(dim=1).numpy().astype(np.uint8 if p <= 256 else np.uint16)
