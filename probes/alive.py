"""Which neurons count as alive: one rule for every mean, median and count over a layer.

A neuron, or a row of weights, is *dead* if its size is below ``ALIVE`` times the largest of its
layer, or is zero or NaN. A row's size is its L2 norm; an activation's, its standard deviation over
all pairs. A dead neuron has no IPR, no frequency and no share (NaN), and it is counted.

Why 1e-3. Upwards: a neuron that fires at a single pair, as strongly as others do over the plane,
has a standard deviation of about 1 / p of theirs. It may be what memorises that pair, so for every
p up to 1000 it must count. Downwards: a thousand neurons below 1e-3 have together less than 1e-3 of
one neuron's variance, and what is left of their spectra is the remains of training, not a feature
of the network; rounding in float32 (1e-7) lies far below. Weight decay leaves a gap of a decade
around this value in the networks that we looked at, except for layers of rarely firing ReLUs.
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
    """Rows that are dead in their layer, which is axis -2; a single row is compared to itself.

    Args:
        weights: one vector per row. Only read.
        alive_from: the least L2 norm of a living row, relative to the largest; in [0, 1). At 0
            only rows without a spectrum are dead: those whose norm is below 1e-20, or NaN.
    """
    largest, unit = by_largest(weights)
    norms = unit.norm(dim=-1) * largest[..., 0]
    return are_dead_sizes(norms.masked_fill(norms < DEAD_NORM, 0.0), alive_from)


def are_dead_sizes(
    sizes: Float[Tensor, "*rows"], alive_from: float = ALIVE
) -> Bool[Tensor, "*rows"]:
    """The rule of this module for sizes (not negative) of the rows of a layer, the last axis."""
    check_number("alive_from", alive_from, minimum=0.0, below=1.0)
    finite = sizes.isfinite()
    largest = sizes.where(finite, 0.0).amax(dim=-1, keepdim=True)
    return ~(finite & (sizes > 0) & (sizes >= alive_from * largest)).view(sizes.shape)


def only_living(
    weights: Float[Tensor, "*rows p"], alive_from: float = ALIVE
) -> Float[Tensor, "*rows p"]:
    """The rows with dead ones set to zero, so that spectra of them are NaN."""
    return weights.masked_fill(is_dead(weights, alive_from=alive_from)[..., None], 0.0)


def by_largest(weights: Float[Tensor, "*rows p"]) -> tuple[Tensor, Tensor]:
    """Each row's largest magnitude, and the row over it (float64): no square over- or underflows.

    Returns:
        [*rows, 1] and [*rows, p].
    """
    weights = weights.double()
    largest = weights.abs().amax(dim=-1, keepdim=True)
    return largest, weights / torch.where(largest > 0, largest, 1.0)
