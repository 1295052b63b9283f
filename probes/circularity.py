"""Circularity: whether an embedding's principal components are circles."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.checks import check_int
from grokinterp.randomness import generator
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.embedding import real_energy
from probes.fourier import power_spectrum
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe

# Relative size of float32 rounding; how often noise of this size is drawn; largest change allowed.
_ROUNDING, _DRAWS, _TOLERANCE = 1e-7, 4, 1e-3


@short_repr
@dataclass(frozen=True, eq=False)
class Circularity:
    """How circular the largest principal components of a table are, and how stable that is.

    Examples:
        >>> import torch
        >>> from probes import circularity, task_basis
        >>> noise = torch.randn(13, 8, generator=torch.Generator().manual_seed(0))
        >>> result = circularity(noise, task_basis("addition", 13))
        >>> result.by_component.shape, result.is_defined, result.value < 0.7
        (torch.Size([4]), True, True)
    """

    by_component: Float[Tensor, " component"]  # largest share of one frequency, in [0, 1]
    variance: Float[Tensor, " component"]  # each component's share of the table's variance
    sensitivity: float  # largest change of the mean under noise of float32 rounding size

    @property
    def is_defined(self) -> bool:
        """Whether the mean is stable under rounding; false for nearly degenerate components."""
        return self.sensitivity <= _TOLERANCE

    @property
    def value(self) -> float:
        """Mean over the components, in [0, 1]; NaN if rounding can change it."""
        return float(self.by_component.mean()) if self.is_defined else float("nan")


@probe
def circularity(
    table: Float[Tensor, "residue feature"], basis: Basis, *, components: int = 4
) -> Circularity:
    """How close the largest principal components of a table are to one frequency each.

    Principal components are taken over the residues that have a place in the basis. A component
    gives each of them a number. Its circularity is the share of the strongest frequency in the
    variance of these numbers, in the task's order of residues. It is 1 for a pure cosine (two of
    which make a circle), and the smaller the more frequencies the component mixes.

    Components of equal variance are only defined up to a rotation. Within one circle a rotation
    changes nothing, but between circles of different frequencies the result would be an accident
    of rounding. So the table is measured again, a few times, with added noise of 1e-7 of its size;
    if that changes the mean by more than 0.001, the mean is NaN. It is also NaN if the table has
    fewer components than asked for.

    Args:
        table: an embedding [p, d] of one operand. Do not concatenate two operands' tables:
            components would mix them.
        basis: that of the task.
        components: how many of the largest components; the paper's code uses 4.

    Raises:
        ValueError: not p rows, more components than the table can have, or entries that are not
            finite, as in a network that has diverged.

    Source: Zhong et al. 2023, arXiv:2306.17844.

    Examples:
        >>> import torch
        >>> from probes import circularity, task_basis
        >>> angle = 2 * torch.pi * torch.arange(13) / 13
        >>> large = 3 * torch.stack([(2 * angle).cos(), (2 * angle).sin()], dim=1)  # a circle
        >>> small = torch.stack([(5 * angle).cos(), (5 * angle).sin()], dim=1)  # and another
        >>> table = torch.cat([large, small], dim=1)
        >>> round(circularity(table, task_basis("addition", 13)).value, 3)
        1.0
    """
    check_int("components", components, minimum=1)
    if len(table) != basis.p:
        raise ValueError(
            f"table must have one row per residue, p={basis.p}, got {list(table.shape)}; "
            "leave out the rows of other tokens"
        )
    if components > (most := min(basis.period - 1, table.shape[1])):
        raise ValueError(
            f"components={components}, but a table {list(table.shape)} has at most {most}"
        )
    if not table.isfinite().all():
        raise ValueError("table has entries that are not finite; the network has diverged")
    rows = table.detach().double().cpu()[basis.order]
    rows = rows - rows[0]  # equal rows are now exactly zero
    rows = rows - rows.mean(dim=0)
    found, variance = _by_component(rows, basis.period)
    rng = generator(0, "circularity")
    size = _ROUNDING * rows.square().mean().sqrt()
    moved = [
        _by_component(rows + size * _noise(rows, rng), basis.period)[0][:components].mean()
        for _ in range(_DRAWS)
    ]
    found = found[:components]
    sensitivity = float((torch.stack(moved) - found.mean()).abs().max())
    return Circularity(found, variance[:components], sensitivity)


@probe
def model_circularity(
    model: Any, operation: Operation | None = None, *, components: int = 4
) -> dict[str, Circularity]:
    """:func:`probes.circularity` of each of a network's embedding tables.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_circularity
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> untrained = gi.build_model(config.replace({"data.p": 13}))
        >>> {name: result.value < 0.9 for name, result in model_circularity(untrained).items()}
        {'W_E': True}
    """
    network = network_on_pairs(model)
    basis = network.basis(operation)
    return {
        name: circularity(table, basis, components=components)
        for name, table in network.embeddings.items()
    }


def _by_component(
    rows: Float[Tensor, "place feature"], period: int
) -> tuple[Float[Tensor, " component"], Float[Tensor, " component"]]:
    """Largest share of one frequency, and share of the variance, of all components."""
    directions, sizes, _ = torch.linalg.svd(rows, full_matrices=False)
    energy = real_energy(power_spectrum((directions * sizes).T), period)
    largest = energy.amax(dim=1) / energy.sum(dim=1)
    return largest, sizes.square() / sizes.square().sum()


def _noise(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=torch.float64, device="cpu")
