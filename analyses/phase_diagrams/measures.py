"""Measures of a run for ``gi.sweep(measure=...)``, besides what a sweep always stores.

They are functions of a module, not lambdas, so that they can be sent to worker processes.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import measures
    >>> base = gi.RunConfig().replace({"data.p": 7, "model.d_mlp": 16, "training.steps": 10})
    >>> axes = {"data.corruption": [0.0, 0.3]}
    >>> sweep = gi.sweep(base, axes, seeds=2, measure=measures.PER_NEURON)
    >>> sweep.mean_ipr.dims, sweep.ipr.shape
    (('data.corruption', 'seed'), (2, 2, 16))
"""

from jaxtyping import Float
from torch import Tensor

import probes
from grokinterp import Run


def mean_ipr(run: Run) -> float:
    """Mean IPR over the network's living neurons; NaN if there are none."""
    return probes.mean_ipr(run.model)


def dead_share(run: Run) -> float:
    """Share of dead neurons: those with a weight vector below 1e-3 of the layer's largest norm."""
    return float(probes.model_neuron_ipr(run.model).ipr.isnan().double().mean())


def ipr(run: Run) -> Float[Tensor, " neuron"]:
    """IPR of every neuron; NaN for a dead one."""
    return probes.model_neuron_ipr(run.model).ipr


MEASURES = {"mean_ipr": mean_ipr, "dead_share": dead_share}
PER_NEURON = {**MEASURES, "ipr": ipr}
