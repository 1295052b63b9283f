"""Spectra of tables with one vector per residue: embeddings, input and output weights."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, only_living
from probes.fourier import power_spectrum
from probes.ipr import ipr
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe


@short_repr
@dataclass(frozen=True, eq=False)
class TableSpectrum:
    """How periodic a table [residue, feature] is, in the basis of a task."""

    frequencies: Int[Tensor, " frequency"]  # cycles per period, 1 .. period // 2
    shares: Float[Tensor, " frequency"]  # of the table's variance over residues; sums to 1
    row_ipr: Float[Tensor, " feature"]  # IPR of each feature, DC included; NaN for a dead one

    @property
    def total_ipr(self) -> float:
        """Sum of the squared shares: 1 for one frequency, NaN for a table that does not vary.

        A rotation of the features (of the residual stream) does not change it.
        """
        return float(self.shares.square().sum())

    @property
    def n_dead(self) -> int:
        """Features that are dead (:mod:`probes.alive`), left out of :attr:`mean_row_ipr`."""
        return int(self.row_ipr.isnan().sum())

    @property
    def mean_row_ipr(self) -> float:
        """Mean IPR over the features that are alive; NaN if none is."""
        return float(self.row_ipr[~self.row_ipr.isnan()].mean())

    def dominant(self, threshold: float = 0.05) -> list[int]:
        """Frequencies with more than ``threshold`` of the variance, the strongest first.

        These are not a network's key frequencies: a ReLU network's embedding carries 2k beside k.
        """
        falling = self.shares.argsort(descending=True)
        return self.frequencies[falling[self.shares[falling] > threshold]].tolist()


@probe
def table_spectrum(
    table: Float[Tensor, "residue feature"], basis: Basis, *, alive_from: float = ALIVE
) -> TableSpectrum:
    """Which frequencies a table of vectors, one per residue, is made of.

    Args:
        table: an embedding [p, d_model], or input or (transposed) output weights [p, neuron].
        basis: the order of residues; a residue without a place is left out.
        alive_from: the least norm of a living feature, relative to the largest.

    Returns:
        Shares per frequency, summed over features, the mean over residues removed: a rotation of
        the features leaves them unchanged. And the papers' IPR of each feature (a row of W_E^T),
        which such a rotation does change: it means something where features are privileged, as
        neurons are, and is only for comparison where they are not. All float64.

    Raises:
        ValueError: not p rows.

    Source: row-wise IPR of Doshi et al. 2023, arXiv:2310.13061, eq. 3.
    """
    if len(table) != basis.p:
        raise ValueError(
            f"table must have one row per residue, p={basis.p}, got {list(table.shape)}; "
            "leave out the rows of other tokens"
        )
    rows = table.detach().double().cpu()[basis.order].T
    # Less the first residue, a constant feature is exactly zero and gives no rounding noise.
    energy = real_energy(power_spectrum(rows - rows[:, :1]), basis.period).sum(dim=0)
    return TableSpectrum(
        basis.frequencies, energy / energy.sum(), ipr(only_living(rows, alive_from))
    )


def real_energy(
    power: Float[Tensor, "*rows frequency_0"], period: int
) -> Float[Tensor, "*rows frequency"]:
    """Variance (times a constant) at frequencies 1 .. period // 2 of a one-sided spectrum from 0.

    Every frequency stands for itself and its negative, except period / 2, which is its own.
    """
    energy = 2 * power[..., 1:]
    if period % 2 == 0:
        energy[..., -1] /= 2
    return energy


@probe
def model_table_spectra(
    model: Any, operation: Operation | None = None, *, alive_from: float = ALIVE
) -> dict[str, TableSpectrum]:
    """:func:`probes.table_spectrum` of each embedding, and of ``W_U`` if there is one."""
    network = network_on_pairs(model)
    basis = network.basis(operation)
    tables = dict(network.embeddings)
    if network.unembedding is not None:
        tables["W_U"] = network.unembedding.T
    return {
        name: table_spectrum(table, basis, alive_from=alive_from) for name, table in tables.items()
    }
