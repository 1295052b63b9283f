"""Fourier spectra of tables with one vector per residue: embeddings, input and output weights."""

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
    """How periodic a table [residue, feature] is in the task's order of residues.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_table_spectra
        >>> spectrum = model_table_spectra(gi.closed_form_mlp(p=13, d_mlp=60))["W_U"]
        >>> round(float(spectrum.shares.sum()), 3), round(spectrum.mean_row_ipr, 3), spectrum.n_dead
        (1.0, 1.0, 0)
        >>> spectrum.total_ipr < 0.3  # all six frequencies
        True
    """

    frequencies: Int[Tensor, " frequency"]  # cycles per period, 1 .. period // 2
    shares: Float[Tensor, " frequency"]  # of the table's variance over residues; their sum is 1
    row_ipr: Float[Tensor, " feature"]  # IPR of each feature, DC included; NaN for a dead one

    @property
    def total_ipr(self) -> float:
        """Sum of the squared shares: 1 for one frequency, NaN for a table that does not vary.

        A rotation of the features, such as one of the residual stream, does not change it.
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

        They need not be key frequencies: a ReLU network's embedding also has 2k for each k.

        Examples:
            >>> import torch
            >>> from probes import table_spectrum, task_basis
            >>> angle = 2 * torch.pi * torch.arange(13) / 13
            >>> table = torch.stack([3 * (2 * angle).cos(), (5 * angle).sin()], dim=1)
            >>> table_spectrum(table, task_basis("addition", 13)).dominant()
            [2, 5]
        """
        falling = self.shares.argsort(descending=True)
        return self.frequencies[falling[self.shares[falling] > threshold]].tolist()


@probe
def table_spectrum(
    table: Float[Tensor, "residue feature"], basis: Basis, *, alive_from: float = ALIVE
) -> TableSpectrum:
    """Share of each frequency in a table with one vector per residue, and each feature's IPR.

    Args:
        table: an embedding [p, d_model], or input or (transposed) output weights [p, neuron].
        basis: the order of residues; a residue without a place is left out.
        alive_from: the least norm of a living feature, relative to the largest.

    Returns:
        float64. The shares are those of the variance over residues, all features together; a
        rotation of the features does not change them. It does change the IPR of each feature (a
        row of W_E^T, as in the papers), which is meaningful where the features are neurons and
        only for comparison where they are axes of a residual stream.

    Raises:
        ValueError: not p rows.

    Source: row-wise IPR of Doshi et al. 2023, arXiv:2310.13061, eq. 3.

    Examples:
        >>> import torch
        >>> from probes import table_spectrum, task_basis
        >>> angle = 2 * torch.pi * torch.arange(13) / 13
        >>> table = torch.stack([3 * (2 * angle).cos(), (5 * angle).sin()], dim=1)
        >>> spectrum = table_spectrum(table, task_basis("addition", 13))
        >>> [round(share, 3) for share in spectrum.shares.tolist()]  # 9 : 1 at 2 and 5
        [0.0, 0.9, 0.0, 0.0, 0.1, 0.0]
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
    """Variance, up to a constant, at frequencies 1 .. period // 2 of a one-sided power spectrum.

    Each frequency counts twice, for itself and its negative; only period / 2 is its own negative.
    """
    energy = 2 * power[..., 1:]
    if period % 2 == 0:
        energy[..., -1] /= 2
    return energy


@probe
def model_table_spectra(
    model: Any, operation: Operation | None = None, *, alive_from: float = ALIVE
) -> dict[str, TableSpectrum]:
    """:func:`probes.table_spectrum` of each embedding, and of ``W_U`` if there is one.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_table_spectra
        >>> spectra = model_table_spectra(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> {name: round(spectrum.mean_row_ipr, 3) for name, spectrum in spectra.items()}
        {'W_E[0]': 1.0, 'W_E[1]': 1.0, 'W_U': 1.0}
    """
    network = network_on_pairs(model)
    basis = network.basis(operation)
    tables = dict(network.embeddings)
    if network.unembedding is not None:
        tables["W_U"] = network.unembedding.T
    return {
        name: table_spectrum(table, basis, alive_from=alive_from) for name, table in tables.items()
    }
