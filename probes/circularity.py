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

# Noise as large as the rounding of float32, some draws of it, and what it may do to a value.
_ROUNDING, _DRAWS, _TOLERANCE = 1e-7, 4, 1e-3


@short_repr
@dataclass(frozen=True, eq=False)
class Circularity:
    """How circular the largest principal components of a table are, and how sure that is."""

    by_component: Float[Tensor, " component"]  # largest share of one frequency, in [0, 1]
    variance: Float[Tensor, " component"]  # each component's share of the table's variance
    sensitivity: float  # the most that rounding the table to float32 can be seen to move the mean

    @property
    def is_defined(self) -> bool:
        """Whether rounding leaves the mean alone: not so for nearly degenerate components."""
        return self.sensitivity <= _TOLERANCE

    @property
    def value(self) -> float:
        """Mean over the components; NaN if it is not defined."""
        return float(self.by_component.mean()) if self.is_defined else float("nan")


@probe
def circularity(
    table: Float[Tensor, "residue feature"], basis: Basis, *, components: int = 4
) -> Circularity:
    """How close the largest principal components of a table are to one frequency each.

    The components are those of the table's rows, one per residue with a place in the basis, less
    their mean. A component gives each residue a number; of the variance of these numbers, along
    the task's order of residues, the share of the strongest frequency counts. It is 1 for a circle.

    Components of equal variance are defined up to a rotation only. Two that make one circle may be
    rotated; if they mix circles of different frequencies, the result is an accident of rounding.
    So the table is measured again with noise of 1e-7 of its size added, some times: if that moves
    the value by more than 0.001, it is NaN. It is NaN, too, where the table has fewer components.

    Args:
        table: an embedding [p, d]. Of one operand: of two tables joined into one, components
            would mix what belongs to one and to the other. Only read.
        basis: of the task.
        components: how many of the largest components; the paper's code takes 4.

    Raises:
        ValueError: not p rows, more components than the table can have, or entries that are not
            finite, as of a network that has diverged.

    Source: Zhong et al. 2023, arXiv:2306.17844.
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
    """:func:`probes.circularity` of each of a network's embedding tables."""
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
