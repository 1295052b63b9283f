"""A norm's gamma against IPR: whether norms inside an MLP favour periodic neurons."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checks import check_number
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, are_dead_sizes, only_living
from probes.ipr import ipr
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe

_FEWEST = 4  # pairs that Fisher's interval needs


@short_repr
@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient with its confidence interval; all NaN where it is undefined."""

    value: float
    low: float
    high: float


@short_repr
@dataclass(frozen=True, eq=False)
class GammaIPR:
    """The gains of a norm and the IPR of the neurons in front of it."""

    gamma: Float[Tensor, " neuron"]  # magnitude: the sign is a matter of convention
    ipr: Float[Tensor, " neuron"]  # NaN for a dead neuron
    pearson: Correlation
    spearman: Correlation

    @property
    def n_dead(self) -> int:
        """Neurons without an IPR; they are in neither correlation."""
        return int(self.ipr.isnan().sum())


@probe
def gamma_ipr(
    gamma: Float[Tensor, " neuron"], ipr: Float[Tensor, " neuron"], *, confidence: float = 0.95
) -> GammaIPR:
    """How |gamma| and IPR go together over neurons, those without an IPR left out.

    Args:
        gamma: the norm's gain of each neuron.
        ipr: of each neuron; NaN for a dead one.
        confidence: of the intervals, in (0, 1).

    Returns:
        Pearson's and Spearman's coefficients with intervals from Fisher's transformation, whose
        variance is 1 / (n - 3), and 1.06 / (n - 3) for ranks. NaN where gamma or the IPR is
        constant, as in an untrained norm, or with fewer than 4 neurons alive.

    Source: Doshi et al. 2023, arXiv:2310.13061, Figs. 5 and 15; of the rank's variance Fieller,
    Hartley and Pearson 1957, doi:10.1093/biomet/44.3-4.470.
    """
    from scipy.stats import rankdata

    check_number("confidence", confidence, minimum=0.0, below=1.0, strict=True)
    gain = gamma.detach().double().abs().cpu()
    ipr = ipr.detach().double().cpu()
    x, y = gain[~ipr.isnan()].numpy(), ipr[~ipr.isnan()].numpy()
    pearson = spearman = Correlation(math.nan, math.nan, math.nan)
    if len(x) >= _FEWEST and x.min() < x.max() and y.min() < y.max():
        pearson = _fisher(np.corrcoef(x, y)[0, 1], 1 / (len(x) - 3), confidence)
        spearman = _fisher(
            np.corrcoef(rankdata(x), rankdata(y))[0, 1], 1.06 / (len(x) - 3), confidence
        )
    return GammaIPR(gain, ipr, pearson, spearman)


@probe
def model_gamma_ipr(
    model: Any,
    operation: Operation | None = None,
    *,
    confidence: float = 0.95,
    alive_from: float = ALIVE,
) -> dict[str, GammaIPR]:
    """:func:`probes.gamma_ipr` of every norm inside an MLP, by the name of its gamma.

    A neuron's IPR is the mean over its vectors of weights to residues, in the task's basis: in
    the first layer its input weights from each operand, in the last its output weights, and in an
    MLP with one layer, as for :func:`probes.neuron_ipr`, all of them. Neurons of a layer between
    have no such weights, and their norm is left out. A neuron is dead if one of these vectors is,
    or if its activation hardly varies over the pairs, so that there is nothing to amplify.

    Args:
        model: a network with ``input_weights`` and ``gains``, such as a ``HookedMLP`` or a
            ``HookedEmbeddingMLP`` with norms. In the latter, input weights are those from the
            residues by way of their embeddings.
        operation: names the task; by default the one that the network was built for.
        confidence: of the intervals.
        alive_from: the least size of what a living neuron has, relative to the layer's largest
            (:mod:`probes.alive`): the norm of each vector, and the activation's deviation.

    Raises:
        TypeError: another network.
        ValueError: an MLP without norms, or a task without a periodic basis.
    """
    network = network_on_pairs(model)
    about, hooks = network.anatomy, network.neuron_hooks
    if not about.input_weights:
        raise TypeError(
            f"{type(network.model).__name__} has no norm between neurons and their output weights; "
            "gamma is that of a HookedMLP or a HookedEmbeddingMLP. "
            "probes.model_neuron_spectra(model, operation) gives the periodicity of any neurons"
        )
    if not about.gains:
        raise ValueError("norm=None: this MLP has no gamma; it takes norm='batch' or 'layer'")
    order = network.basis(operation).order
    layers: list[list[Tensor]] = [[] for _ in hooks]
    layers[0] += about.input_weights
    if network.unembedding is not None:
        layers[-1].append(network.unembedding.T)
    found = {}
    for i, tables in enumerate(layers):
        if tables and i in about.gains:
            rows = [table.detach().double().cpu()[order].T for table in tables]
            iprs = torch.stack([ipr(only_living(vectors, alive_from)) for vectors in rows])
            post = network.activations(hooks[i])
            silent = are_dead_sizes((post - post[0]).std(dim=0, correction=0), alive_from)
            of_neurons = iprs.mean(dim=0).masked_fill(silent, math.nan)
            name = about.gains[i]
            gamma = network.model.get_parameter(name)
            found[name] = gamma_ipr(gamma, of_neurons, confidence=confidence)
    return found


def _fisher(value: float, variance: float, confidence: float) -> Correlation:
    """The interval of a coefficient whose inverse hyperbolic tangent has this variance."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * variance**0.5
    centre = torch.tensor(value, dtype=torch.float64).atanh()  # infinite at 1, which math refuses
    return Correlation(float(value), float((centre - half).tanh()), float((centre + half).tanh()))
