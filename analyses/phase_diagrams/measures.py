"""What a sweep can measure of a run, beside what it keeps anyway.

Functions of a module, not lambdas, so that worker processes can be sent them.
"""

from jaxtyping import Float
from torch import Tensor

import probes
from grokinterp import Run


def mean_ipr(run: Run) -> float:
    """Mean IPR over the network's living neurons; NaN if there are none."""
    return probes.mean_ipr(run.model)


def dead_share(run: Run) -> float:
    """Share of the neurons that are dead: a vector of weights below 1e-3 of the layer's largest."""
    return float(probes.model_neuron_ipr(run.model).ipr.isnan().double().mean())


def ipr(run: Run) -> Float[Tensor, " neuron"]:
    """IPR of every neuron; NaN for dead ones."""
    return probes.model_neuron_ipr(run.model).ipr


MEASURES = {"mean_ipr": mean_ipr, "dead_share": dead_share}
PER_NEURON = {**MEASURES, "ipr": ipr}
