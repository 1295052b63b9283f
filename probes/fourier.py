"""The real Fourier basis over the residues mod p, and one-sided spectra of weight vectors."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.checks import check_int
from grokinterp.short_text import short_repr
from probes.alive import by_largest, is_dead
from probes.probe import probe


@probe
def fourier_basis(p: int) -> Float[Tensor, "p p"]:
    """Orthonormal rows: the constant, then cos and sin of 2 pi k x / p for k = 1 .. p // 2.

    Rows 2k-1 and 2k belong to frequency k. For even p the last row is the alternating vector,
    because the sine of frequency p / 2 vanishes. float64.

    Examples:
        >>> import torch
        >>> from probes import fourier_basis
        >>> basis = fourier_basis(13)
        >>> torch.allclose(basis @ basis.T, torch.eye(13).double())
        True
        >>> cosine = torch.cos(2 * torch.pi * 3 * torch.arange(13) / 13).double()
        >>> (basis @ cosine).abs().argmax().item()  # row 2k - 1
        5
    """
    check_int("p", p, minimum=1)
    x = torch.arange(p, dtype=torch.float64)
    rows = [torch.full((p,), 1 / math.sqrt(p), dtype=torch.float64)]
    for k in range(1, (p - 1) // 2 + 1):
        angle = 2 * math.pi * k * x / p
        rows += [math.sqrt(2 / p) * torch.cos(angle), math.sqrt(2 / p) * torch.sin(angle)]
    if p % 2 == 0:
        rows.append((1 - 2 * (x % 2)) / math.sqrt(p))
    return torch.stack(rows)


@probe
def power_spectrum(weights: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows frequency"]:
    """|DFT|^2 of each row at frequencies 0 .. p // 2 (cycles per p residues), float64.

    Convention: one-sided (``rfft``) with the zero frequency and without doubling, so a pure cosine
    has all its power in one entry.

    Examples:
        >>> import torch
        >>> from probes import power_spectrum
        >>> cosine = torch.cos(2 * torch.pi * 3 * torch.arange(13) / 13)
        >>> [round(power, 2) for power in power_spectrum(cosine).tolist()]  # (13 / 2)^2 at 3
        [0.0, 0.0, 0.0, 42.25, 0.0, 0.0, 0.0]
    """
    return torch.fft.rfft(weights.double(), dim=-1).abs().square()


@probe
def power_shares(weights: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows frequency"]:
    """Each frequency's share of a row's one-sided power; float64, sums to 1 over frequencies.

    Rows are not compared with each other: the shares are NaN only for a row whose L2 norm is below
    1e-20 or NaN.

    Examples:
        >>> import torch
        >>> from probes import power_shares
        >>> angle = 2 * torch.pi * torch.arange(13) / 13
        >>> shares = power_shares(2 * (3 * angle).cos() + (5 * angle).cos())
        >>> [round(share, 3) for share in shares.tolist()]  # of frequencies 0 .. 6
        [0.0, 0.0, 0.0, 0.8, 0.0, 0.2, 0.0]
    """
    _, unit = by_largest(weights)
    power = power_spectrum(unit)
    shares = power / power.sum(dim=-1, keepdim=True)
    return shares.masked_fill(is_dead(weights, alive_from=0.0)[..., None], math.nan)


@short_repr
@dataclass(frozen=True, eq=False)
class DominantMode:
    """The strongest mode of each row, A cos(2 pi k x / p + phase) over residues x.

    Examples:
        >>> import torch
        >>> from probes import dominant_mode
        >>> x = torch.arange(13)
        >>> mode = dominant_mode(torch.cos(2 * torch.pi * 3 * x / 13 + 0.5))
        >>> int(mode.frequency), round(float(mode.phase), 3), round(float(mode.share), 3)
        (3, 0.5, 1.0)
    """

    frequency: Int[Tensor, "*rows"]  # k, cycles per p residues, 0 .. p // 2; -1 without a spectrum
    phase: Float[Tensor, "*rows"]  # radians in (-pi, pi]; NaN without a spectrum
    share: Float[Tensor, "*rows"]  # of the row's one-sided power; NaN without a spectrum


@probe
def dominant_mode(weights: Float[Tensor, "*rows p"]) -> DominantMode:
    """Frequency, phase and power share of the strongest mode of each row, DC included.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import dominant_mode, neuron_weights
        >>> weights = neuron_weights(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> of_u, of_w = dominant_mode(weights.U), dominant_mode(weights.W)
        >>> bool((of_u.frequency == of_w.frequency).all()), round(float(of_u.share.min()), 3)
        (True, 1.0)
    """
    shares = power_shares(weights)
    dead = is_dead(weights, alive_from=0.0)
    share, frequency = shares.nan_to_num(0.0).max(dim=-1)
    at_peak = torch.fft.rfft(weights.double(), dim=-1).gather(-1, frequency[..., None])[..., 0]
    return DominantMode(
        frequency=frequency.masked_fill(dead, -1),
        phase=at_peak.angle().masked_fill(dead, math.nan),
        share=share.masked_fill(dead, math.nan),
    )
