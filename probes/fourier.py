"""The real Fourier basis over the residues mod p, and one-sided spectra of weight vectors."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.short_text import short_repr
from probes.alive import by_largest, is_dead
from probes.probe import probe


@probe
def fourier_basis(p: int) -> Float[Tensor, "p p"]:
    """Orthonormal rows: the constant, then cos and sin of 2 pi k x / p for k = 1 .. p // 2.

    Rows 2k-1 and 2k belong to frequency k. For even p the last row is the alternating vector,
    because the sine of frequency p / 2 vanishes. float64.
    """
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
    """
    return torch.fft.rfft(weights.double(), dim=-1).abs().square()


@probe
def power_shares(weights: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows frequency"]:
    """Each frequency's share of a row's one-sided power; float64, sums to 1 over frequencies.

    Rows are not compared with each other: the shares are NaN only for a row whose L2 norm is below
    1e-20 or NaN.
    """
    _, unit = by_largest(weights)
    power = power_spectrum(unit)
    shares = power / power.sum(dim=-1, keepdim=True)
    return shares.masked_fill(is_dead(weights, alive_from=0.0)[..., None], math.nan)


@short_repr
@dataclass(frozen=True, eq=False)
class DominantMode:
    """The strongest mode of each row, A cos(2 pi k x / p + phase) over residues x."""

    frequency: Int[Tensor, "*rows"]  # k, cycles per p residues, 0 .. p // 2; -1 without a spectrum
    phase: Float[Tensor, "*rows"]  # radians in (-pi, pi]; NaN without a spectrum
    share: Float[Tensor, "*rows"]  # of the row's one-sided power; NaN without a spectrum


@probe
def dominant_mode(weights: Float[Tensor, "*rows p"]) -> DominantMode:
    """Frequency, phase and power share of the strongest mode of each row, DC included."""
    shares = power_shares(weights)
    dead = is_dead(weights, alive_from=0.0)
    share, frequency = shares.nan_to_num(0.0).max(dim=-1)
    at_peak = torch.fft.rfft(weights.double(), dim=-1).gather(-1, frequency[..., None])[..., 0]
    return DominantMode(
        frequency=frequency.masked_fill(dead, -1),
        phase=at_peak.angle().masked_fill(dead, math.nan),
        share=share.masked_fill(dead, math.nan),
    )
