"""Distance irrelevance: whether the right answer's logit depends on how far apart a and b are."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.tasks import Operation
from probes.logit_spectrum import check_logits
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe


@probe
def distance_irrelevance(logits: Float[Tensor, "pair p"], basis: Basis) -> float:
    """Standard deviation of the correct logit among pairs at one distance, relative to all pairs.

    The mean over distances x - y of the standard deviation over the pairs at that distance,
    divided by the standard deviation over all pairs; x and y are the operands' places in the
    task's basis, for addition a and b themselves. Both divide by the number of pairs (ddof 0).

    Args:
        logits: of all p * p pairs in lexicographic order. Only read.
        basis: of the task.

    Returns:
        Dimensionless: 0 if the distance decides about the logit, as in the pizza algorithm; 1 if
        every distance has the spread of the whole, as in the clock algorithm and in a network that
        has learned nothing. NaN if the correct logit is the same at all pairs.

    Raises:
        ValueError: not [p * p, p].

    Source: Zhong et al. 2023, arXiv:2306.17844.
    """
    grid = check_logits(logits, basis)[basis.pairs]  # [x, y, class]
    place = torch.arange(basis.period)
    answer = basis.order[(place[:, None] + place) % basis.period]
    correct = grid.gather(2, answer[..., None])[..., 0]
    correct = correct - correct[0, 0]  # equal logits are now exactly zero
    x, distance = place, place[:, None]
    by_distance = correct[x, (x - distance) % basis.period]  # [distance, x]
    return float(by_distance.std(dim=1, correction=0).mean() / correct.std(correction=0))


@probe
def model_distance_irrelevance(model: Any, operation: Operation | None = None) -> float:
    """:func:`probes.distance_irrelevance` of a network, in the basis of its task."""
    network = network_on_pairs(model)
    return distance_irrelevance(network.logits(), network.basis(operation))
