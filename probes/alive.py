"""Which neurons count as alive: one rule for every mean, median and count over a layer.

A neuron, or a row of weights, is *dead* if its size is below ``ALIVE`` times the largest of its
layer, or is zero or NaN. The size of a row is its L2 norm; that of an activation is its standard
deviation over all pairs. The IPR, frequency and share of a dead neuron are NaN, and results say how
many neurons are dead.

Why 1e-3? It must not be larger: a neuron that fires at a single pair, as strongly as others fire
everywhere, has a standard deviation of about 1 / p of theirs. It may be the one that memorises that
pair, so it must count for every p up to 1000. And it must not be much smaller: a thousand neurons
below 1e-3 have together less than 1e-3 of one neuron's variance, and their spectra are remains of
training, not features of the network. Rounding in float32 (1e-7) lies far below. In the networks
that we looked at, weight decay leaves a gap of a factor of 10 around the threshold, except in
layers of rarely firing ReLUs.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.checks import check_number
from probes.probe import probe

ALIVE = 1e-3
# Below this L2 norm a row has no spectrum at all: float32 squares underflow at about 4e-23.
DEAD_NORM = 1e-20


@probe
def is_dead(
    weights: Float[Tensor, "*rows p"], *, alive_from: float = ALIVE
) -> Bool[Tensor, "*rows"]:
    """Which rows are dead: those whose L2 norm is far below the largest one of their layer.

    Args:
        weights: one vector per row; axis -2 is the layer. A single row is a layer of its own.
        alive_from: the least norm of a living row, relative to the largest; in [0, 1). Rows with
            a norm below 1e-20 or NaN have no spectrum and are always dead; at 0, only these are.

    Examples:
        >>> import torch
        >>> from probes import is_dead
        >>> rows = torch.tensor([[3.0, 4.0], [1e-6, 0.0], [0.0, 0.0]])
        >>> is_dead(rows).tolist(), is_dead(rows, alive_from=0.0).tolist()
        ([False, True, True], [False, False, True])
    """
    largest, unit = by_largest(weights)
    norms = unit.norm(dim=-1) * largest[..., 0]
    return are_dead_sizes(norms.masked_fill(norms < DEAD_NORM, 0.0), alive_from)


def are_dead_sizes(
    sizes: Float[Tensor, "*rows"], alive_from: float = ALIVE
) -> Bool[Tensor, "*rows"]:
    """Which of the non-negative sizes along the last axis, the layer, belong to dead neurons."""
    check_number("alive_from", alive_from, minimum=0.0, below=1.0)
    finite = sizes.isfinite()
    largest = sizes.where(finite, 0.0).amax(dim=-1, keepdim=True)
    return ~(finite & (sizes > 0) & (sizes >= alive_from * largest)).view(sizes.shape)


def only_living(
    weights: Float[Tensor, "*rows p"], alive_from: float = ALIVE
) -> Float[Tensor, "*rows p"]:
    """A copy in which dead rows are zero, so that their spectra are NaN."""
    return weights.masked_fill(is_dead(weights, alive_from=alive_from)[..., None], 0.0)


def by_largest(weights: Float[Tensor, "*rows p"]) -> tuple[Tensor, Tensor]:
    """Each row's largest magnitude, and the row divided by it, whose squares do not underflow.

    Returns:
        float64 [*rows, 1] and [*rows, p]; a row of zeros stays as it is.
    """
    weights = weights.double()
    largest = weights.abs().amax(dim=-1, keepdim=True)
    return largest, weights / torch.where(largest > 0, largest, 1.0)
