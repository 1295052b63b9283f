"""Whether the norms inside an MLP amplify periodic neurons: correlation of gain and IPR."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checks import check_number
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, are_dead_sizes, only_living
from probes.ipr import ipr
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe

_FEWEST = 4  # Fisher's interval needs more than 3 points


@short_repr
@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient with its confidence interval; all NaN if it is undefined.

    Examples:
        >>> import torch
        >>> from probes import gamma_ipr
        >>> gamma = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> pearson = gamma_ipr(gamma, torch.tensor([0.1, 0.3, 0.2, 0.6, 0.9])).pearson
        >>> round(pearson.value, 2), round(pearson.low, 2), round(pearson.high, 2)
        (0.92, 0.19, 0.99)
    """

    value: float
    low: float
    high: float


@short_repr
@dataclass(frozen=True, eq=False)
class GammaIPR:
    """The gains of a norm, the IPR of the neurons that it normalises, and their correlation.

    Examples:
        >>> import torch
        >>> from probes import gamma_ipr
        >>> gamma = torch.tensor([1.0, 2.0, 3.0, -4.0, 5.0])
        >>> result = gamma_ipr(gamma, torch.tensor([0.1, torch.nan, 0.3, 0.8, 0.9]))
        >>> result.gamma.tolist(), result.n_dead, round(result.spearman.value, 3)
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1, 1.0)
    """

    gamma: Float[Tensor, " neuron"]  # magnitude |gamma|; the sign is a matter of convention
    ipr: Float[Tensor, " neuron"]  # NaN for a dead neuron
    pearson: Correlation
    spearman: Correlation

    @property
    def n_dead(self) -> int:
        """Number of neurons without an IPR, which neither correlation includes."""
        return int(self.ipr.isnan().sum())


@probe
def gamma_ipr(
    gamma: Float[Tensor, " neuron"], ipr: Float[Tensor, " neuron"], *, confidence: float = 0.95
) -> GammaIPR:
    """Correlation of |gamma| and IPR over the neurons that have an IPR.

    Args:
        gamma: each neuron's gain in the norm.
        ipr: each neuron's IPR; NaN for a dead neuron.
        confidence: of the intervals, in (0, 1).

    Returns:
        Pearson's and Spearman's coefficients. Intervals use Fisher's transformation with variance
        1 / (n - 3), or 1.06 / (n - 3) for Spearman's. NaN if gamma or the IPR is constant, as in
        an untrained norm, or with fewer than 4 living neurons.

    Source: Doshi et al. 2023, arXiv:2310.13061, Figs. 5 and 15. Spearman's variance: Fieller,
    Hartley and Pearson 1957, doi:10.1093/biomet/44.3-4.470.

    Examples:
        >>> import torch
        >>> from probes import gamma_ipr
        >>> gamma = torch.tensor([1.0, 2.0, 3.0, -4.0, 5.0])
        >>> ipr = torch.tensor([0.1, 0.2, 0.3, 0.8, 0.9])
        >>> round(gamma_ipr(gamma, ipr).spearman.value, 3)  # of |gamma|
        1.0
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
    """:func:`probes.gamma_ipr` of the norms inside an MLP, by the names of their gammas.

    A neuron's IPR is the mean over its weight vectors over residues, in the task's order: the input
    weights of each operand in the first layer, the output weights in the last layer, and all three
    in an MLP with one layer, as in :func:`probes.neuron_ipr`. Layers in between have no weights
    over residues, so their norms are left out. A neuron is dead if one of these vectors is, or if
    its activation hardly varies over the pairs, because there is nothing to amplify then.

    Args:
        model: a network with ``input_weights`` and ``gains``, such as a ``HookedMLP`` or a
            ``HookedEmbeddingMLP`` with norms. For the latter, input weights are the residues'
            embeddings times the first layer's matrix.
        operation: the task; by default the one that the network was built for.
        confidence: of the intervals.
        alive_from: the least weight norm and activation deviation of a living neuron, relative to
            the layer's largest (:mod:`probes.alive`).

    Raises:
        TypeError: the network is not an MLP.
        ValueError: the MLP has no norms, or the task has no periodic basis.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_gamma_ipr
        >>> changes = {"data.p": 11, "model.norm": "layer", "training.steps": 50}
        >>> run = gi.train(gi.RunConfig().replace(changes))
        >>> result = model_gamma_ipr(run.model)["layers.0.norm.gamma"]
        >>> result.gamma.shape, result.pearson.low < result.pearson.value < result.pearson.high
        (torch.Size([500]), True)
    """
    network = network_on_pairs(model)
    about, hooks = network.anatomy, network.neuron_hooks
    if not about.input_weights:
        raise TypeError(
            f"{type(network.model).__name__} has no norm between neurons and their output weights; "
            "gamma is that of a HookedMLP or a HookedEmbeddingMLP. "
            "probes.model_neuron_spectra(model, operation) gives the periodicity of any neurons."
            f"{unnamed(network.model, 'first', 'neurons')}"
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
    """The interval of a coefficient r, where artanh(r) is normal with this variance."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * variance**0.5
    centre = torch.tensor(
        value, dtype=torch.float64
    ).atanh()  # torch gives inf at 1, where math.atanh raises
    return Correlation(float(value), float((centre - half).tanh()), float((centre + half).tanh()))
