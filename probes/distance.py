"""Distance irrelevance: whether the correct logit depends on how far apart a and b are."""

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
    """Spread of the correct logit among pairs at the same distance, relative to all pairs.

    The standard deviation over the pairs at distance x - y, averaged over distances and divided by
    the standard deviation over all pairs. x and y are the operands' places in the task's basis; for
    addition they are a and b themselves. Both deviations divide by the number of pairs (ddof 0).

    Args:
        logits: of all p * p pairs in lexicographic order.
        basis: that of the task.

    Returns:
        Dimensionless, in [0, 1]. Near 0 if the distance determines the logit, as in the pizza
        algorithm; near 1 if the distance says nothing about it, as in the clock algorithm and in
        an untrained network. NaN if the correct logit is the same for all pairs.

    Raises:
        ValueError: the logits are not [p * p, p].

    Source: Zhong et al. 2023, arXiv:2306.17844.

    Examples:
        >>> import torch
        >>> from probes import distance_irrelevance, task_basis
        >>> a, b = torch.cartesian_prod(torch.arange(13), torch.arange(13)).T
        >>> w, c = 2 * torch.pi / 13, torch.arange(13)
        >>> clock = (w * ((a + b)[:, None] - c)).cos()
        >>> pizza = (w * (a - b) / 2).cos().abs()[:, None] * clock
        >>> round(distance_irrelevance(pizza, task_basis("addition", 13)), 3)
        0.0
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
    """:func:`probes.distance_irrelevance` of a network, in the basis of its task.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_distance_irrelevance
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> untrained = gi.build_model(config.replace({"data.p": 13}))
        >>> model_distance_irrelevance(untrained) > 0.9
        True
    """
    network = network_on_pairs(model)
    return distance_irrelevance(network.logits(), network.basis(operation))
