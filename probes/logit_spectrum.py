"""How much of the logits' variance is cosines and sines of a + b - c, by frequency."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.embedding import real_energy
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe


@short_repr
@dataclass(frozen=True, eq=False)
class LogitSpectrum:
    """Share of the logits' variance in cos and sin of 2 pi k (x + y - z) / period, for each k.

    x, y and z are the places of a, b and the class c in the task's basis: the residues themselves
    for addition; in subtraction -b in the place of b; logarithms for multiplication.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_logit_spectrum
        >>> spectrum = model_logit_spectrum(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> spectrum.frequencies.tolist(), bool((spectrum.cos > 50 * spectrum.chance).all())
        ([1, 2, 3, 4, 5, 6], True)
    """

    period: int
    frequencies: Int[Tensor, " frequency"]  # cycles per period, 1 .. period // 2
    cos: Float[Tensor, " frequency"]  # even around the right answer
    sin: Float[Tensor, " frequency"]  # odd around the right answer

    @property
    def shares(self) -> Float[Tensor, " frequency"]:
        """Cosine and sine of each frequency together."""
        return self.cos + self.sin

    @property
    def explained(self) -> float:
        """Share of the logits' variance in all frequencies together."""
        return float(self.shares.sum())

    @property
    def chance(self) -> float:
        """Expected share of one frequency in independent random logits; of all: 1 / period^2."""
        return 2 / (self.period**2 * (self.period - 1))


@probe
def logit_spectrum(logits: Float[Tensor, "pair p"], basis: Basis) -> LogitSpectrum:
    """Project the logits of all pairs and classes on cosines and sines of x + y - z.

    The logits are first centred over the classes, which changes no softmax. Their variance is then
    the mean square over all (a, b, c) that have a place; in multiplication and division, the class
    0 and pairs with a 0 have none.

    Args:
        logits: of all p * p pairs in lexicographic order.
        basis: that of the task.

    Returns:
        float64 shares, in [0, 1] together; NaN if the logits do not depend on the class.

    Raises:
        ValueError: the logits are not [p * p, p].

    Examples:
        >>> import torch
        >>> from probes import logit_spectrum, task_basis
        >>> pairs = torch.cartesian_prod(torch.arange(13), torch.arange(13))
        >>> angle = 2 * torch.pi * (pairs.sum(dim=1)[:, None] - torch.arange(13)) / 13
        >>> logits = 2 * (5 * angle).cos() + (3 * angle).cos()
        >>> spectrum = logit_spectrum(logits, task_basis("addition", 13))
        >>> [round(share, 3) for share in spectrum.shares.tolist()]
        [0.0, 0.0, 0.2, 0.0, 0.8, 0.0]
    """
    grid = check_logits(logits, basis)[basis.pairs][..., basis.order]
    grid = grid - grid[..., :1]  # equal logits are now exactly zero
    grid -= grid.mean(dim=-1, keepdim=True)
    x = torch.arange(basis.period)
    answer = (x[:, None] + x)[..., None] + x  # [x, y, d]: place of the class d away from the answer
    by_offset = grid.gather(2, answer % basis.period).mean(dim=(0, 1))
    modes = torch.fft.rfft(by_offset)
    # Parseval: the projection's energy, period^2 sum(by_offset^2), is period sum(|modes|^2).
    unit = basis.period / grid.square().sum()
    return LogitSpectrum(
        period=basis.period,
        frequencies=basis.frequencies,
        cos=real_energy(modes.real.square(), basis.period) * unit,
        sin=real_energy(modes.imag.square(), basis.period) * unit,
    )


def check_logits(logits: Float[Tensor, "pair classes"], basis: Basis) -> Float[Tensor, "pair p"]:
    """The logits in float64 on the CPU; raise unless they are those of all pairs of the task."""
    if logits.shape != (basis.p**2, basis.p):
        raise ValueError(
            f"logits must be [p * p, p], every pair and class of p={basis.p}, "
            f"got {list(logits.shape)}"
        )
    return logits.detach().double().cpu()


@probe
def model_logit_spectrum(model: Any, operation: Operation | None = None) -> LogitSpectrum:
    """:func:`probes.logit_spectrum` of a network.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_logit_spectrum
        >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> config = gi.RunConfig(model=solution.cfg).replace({"data.p": 13})
        >>> model_logit_spectrum(solution).explained > 0.5
        True
        >>> model_logit_spectrum(gi.build_model(config)).explained < 0.1  # untrained
        True
    """
    network = network_on_pairs(model)
    return logit_spectrum(network.logits(), network.basis(operation))
