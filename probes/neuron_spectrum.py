"""Two-dimensional Fourier spectra of neurons over the (a, b) plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.checks import check_names
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, are_dead_sizes
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe

# Neurons transformed at once; limits the memory for complex planes.
_BLOCK = 64


@short_repr
@dataclass(frozen=True, eq=False)
class NeuronSpectrum:
    """Share of each frequency in each neuron's variance over all pairs.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_spectra
        >>> spectra = model_neuron_spectra(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> spectrum = spectra["layers.0.hook_post"]
        >>> spectrum.shares.shape, spectrum.frequency.unique().tolist()  # -1: constant neurons
        (torch.Size([60, 6]), [-1, 1, 2, 3, 4, 5, 6])
    """

    frequencies: Int[Tensor, " frequency"]  # cycles per period, 1 .. period // 2
    shares: Float[Tensor, "neuron frequency"]  # of the neuron's variance; NaN for a dead neuron
    variance: Float[Tensor, " neuron"]  # over the pairs, in squared units of the activation

    @property
    def is_dead(self) -> Tensor:
        """Which neurons vary too little to count (:mod:`probes.alive`): booleans [neuron]."""
        return self.shares.isnan().any(dim=1)

    @property
    def n_dead(self) -> int:
        """Number of dead neurons, which the means leave out."""
        return int(self.is_dead.sum())

    @property
    def frequency(self) -> Int[Tensor, " neuron"]:
        """Each neuron's strongest frequency; -1 for a dead neuron."""
        strongest = self.frequencies[self.shares.nan_to_num(0.0).argmax(dim=1)]
        return strongest.masked_fill(self.is_dead, -1)

    @property
    def share(self) -> Float[Tensor, " neuron"]:
        """Share of the neuron's variance at :attr:`frequency`; NaN for a dead neuron."""
        return self.shares.max(dim=1).values

    @property
    def layer_shares(self) -> Float[Tensor, " frequency"]:
        """Share of each frequency in the summed variance of all living neurons; NaN without any.

        Unlike in a mean of shares, neurons that hardly vary hardly count.
        """
        alive = ~self.is_dead
        variance = self.variance[alive]
        return variance @ self.shares[alive] / variance.sum()

    @property
    def mean_share(self) -> float:
        """:attr:`share` averaged over the living neurons; NaN without any."""
        return float(self.share[~self.is_dead].mean())


@probe
def neuron_spectrum(
    activations: Float[Tensor, "p p neuron"], basis: Basis, *, alive_from: float = ALIVE
) -> NeuronSpectrum:
    """Share of each frequency in the variance of each neuron's activation over all pairs.

    The share of frequency k is the part of the variance explained by eight functions of (a, b),
    with w = 2 pi k / period: cos wa, sin wa, cos wb, sin wb and their four products (three
    functions if k = period / 2). A neuron with one frequency has a share of 1. Products of
    different frequencies belong to no share, so shares can add up to less than 1.

    A nonlinearity creates harmonics. The square of cos(wa + s) + cos(wb + t) has 4/5 of its
    variance at k, in the products, and 1/5 at 2k: its strongest frequency is k. The square of
    cos(wa + s) alone, which depends on one operand, has all its variance at 2k.

    Args:
        activations: ``activations[a, b]`` for all pairs.
        basis: the order of residues; pairs with a residue that has no place are left out.
        alive_from: the least standard deviation over the pairs of a living neuron, relative to the
            layer's largest.

    Returns:
        float64 shares in [0, 1]; NaN for a dead neuron.

    Raises:
        ValueError: the activations are not those of p * p pairs.

    Source: Nanda et al. 2023, arXiv:2301.05217, section 4.3 (neurons as sines and cosines).

    Examples:
        >>> import torch
        >>> from probes import neuron_spectrum, task_basis
        >>> angle = 2 * torch.pi * torch.arange(13) / 13
        >>> neuron = ((3 * angle).cos()[:, None] + (3 * angle).cos()) ** 2  # at all pairs (a, b)
        >>> spectrum = neuron_spectrum(neuron[:, :, None], task_basis("addition", 13))
        >>> int(spectrum.frequency), round(float(spectrum.share), 3)  # 1/5 is at 2 * 3
        (3, 0.8)
    """
    if activations.shape[:2] != (basis.p, basis.p):
        raise ValueError(
            f"activations must be [p, p, neuron] with p={basis.p}, got {list(activations.shape)}"
        )
    by_pair = rearrange(activations.detach(), "a b neuron -> (a b) neuron")
    planes = rearrange(by_pair[basis.pairs], "x y neuron -> neuron x y")
    blocks = [_shares(block.double().cpu()) for block in planes.split(_BLOCK)]
    shares, deviation = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    dead = are_dead_sizes(deviation, alive_from)
    return NeuronSpectrum(
        frequencies=basis.frequencies,
        shares=shares.masked_fill(dead[:, None], math.nan),
        variance=deviation.square(),
    )


def _shares(
    planes: Float[Tensor, "neuron x y"],
) -> tuple[Float[Tensor, "neuron frequency"], Float[Tensor, " neuron"]]:
    """Shares of each frequency (NaN for a constant neuron), and the standard deviation."""
    period = planes.shape[-1]
    # Less one pair's value, a constant neuron is exactly zero and gives no rounding noise.
    planes = planes - planes[:, :1, :1]
    largest = planes.abs().amax(dim=(1, 2), keepdim=True)
    planes /= largest.clamp(min=torch.finfo(planes.dtype).tiny)
    power = torch.fft.fft2(planes).abs().square()
    k = torch.arange(1, period // 2 + 1)
    # Indices of k and -k in the DFT. At period / 2 both are the same index, which counts once.
    ends = torch.stack([k, period - k])
    own = torch.where(2 * k == period, 0.5, 1.0)
    on_axes = (power[:, ends, 0] + power[:, 0, ends]).sum(dim=1) * own
    products = power[:, ends[:, None], ends[None, :]].sum(dim=(1, 2)) * own**2
    variance = reduce(power, "neuron x y -> neuron", "sum") - power[:, 0, 0]
    deviation = variance.sqrt() / period**2 * largest[:, 0, 0]  # Parseval
    return (on_axes + products) / variance[:, None], deviation


@probe
def model_neuron_spectra(
    model: Any,
    operation: Operation | None = None,
    *,
    hooks: Sequence[str] | None = None,
    alive_from: float = ALIVE,
) -> dict[str, NeuronSpectrum]:
    """:func:`probes.neuron_spectrum` at each hook point, at the last position of the sequence.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        operation: the task; by default the one that the network was built for.
        hooks: names of hook points; every layer's neurons by default.
        alive_from: as in :func:`probes.neuron_spectrum`.

    Raises:
        ValueError: no hooks were given, and the network's neurons are not known.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_spectra
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> model = gi.build_model(config.replace({"data.p": 13}))
        >>> hooks = ["blocks.0.mlp.hook_post", "blocks.0.attn.hook_z"]
        >>> spectra = model_neuron_spectra(model, hooks=hooks)
        >>> {name: tuple(spectrum.shares.shape) for name, spectrum in spectra.items()}
        {'blocks.0.mlp.hook_post': (64, 6), 'blocks.0.attn.hook_z': (16, 6)}
    """
    network = network_on_pairs(model)
    basis = network.basis(operation)
    hooks = network.neuron_hooks if hooks is None else hooks
    check_names("hooks", hooks)
    if not hooks:
        raise ValueError(
            f"{type(network.model).__name__} has no hook point named *.hook_post; "
            f"give hooks=[...], from: {', '.join(network.model.hook_dict)}."
            f"{unnamed(network.model, 'neurons')}"
        )
    return {
        hook: neuron_spectrum(network.neurons(hook), basis, alive_from=alive_from) for hook in hooks
    }
