"""The form of the analytic solution in trained weights: one frequency per neuron, matched phases.

A neuron of the solution (Doshi et al. 2023, arXiv:2310.13061, eq. 2) reads its two operands and
writes its output through three cosines of one frequency k and one amplitude A::

    U = A cos(w x + phi_u),  V = A cos(w y + phi_v),  W = A cos(w z + phi_w),   w = 2 pi k / period,

and its output phase is the sum of the input phases: phi_u + phi_v = phi_w. x, y and z are places in
the basis of the task (:class:`probes.Basis`).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, is_dead
from probes.network_on_pairs import network_on_pairs
from probes.neuron_weights import neuron_weights
from probes.probe import probe

_INSTEAD = (
    "probes.unit_periodicity(model, unit), how periodic each unit is, or "
    "probes.model_clock_or_pizza(model, operation): any network"
)


@short_repr
@dataclass(frozen=True, eq=False)
class NeuronModes:
    """Every frequency of the three weight vectors of each neuron.

    Vector x has, at frequency k, the part A cos(2 pi k x / period + phase).

    Examples:
        >>> import grokinterp as gi
        >>> from probes import neuron_modes, neuron_weights, task_basis
        >>> U, V, W = neuron_weights(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> modes = neuron_modes(U, V, W, task_basis("addition", 13))
        >>> modes.amplitude.shape, modes.phase_gap.shape
        (torch.Size([3, 60, 6]), torch.Size([60, 6]))
    """

    frequencies: Int[Tensor, " frequency"]  # cycles per period, 1 .. period // 2
    amplitude: Float[Tensor, "part neuron frequency"]  # A of U, V and W, in the weights' unit
    phase: Float[Tensor, "part neuron frequency"]  # radians in (-pi, pi]
    share: Float[Tensor, "part neuron frequency"]  # of the vector's squared norm; NaN for zero

    @property
    def phase_gap(self) -> Float[Tensor, "neuron frequency"]:
        """phi_u + phi_v - phi_w in [-pi, pi]; 0 where the phases match."""
        return phase_gap(*self.phase)


def phase_gap(u: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """phi_u + phi_v - phi_w, brought into [-pi, pi]; NaN where a phase is."""
    return torch.remainder(u + v - w + math.pi, 2 * math.pi) - math.pi


@short_repr
@dataclass(frozen=True, eq=False)
class SolutionForm:
    """How near each neuron's three weight vectors are to a neuron of the analytic solution.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_solution_form
        >>> form = model_solution_form(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> purity = form.purity[form.has_frequency]  # some neurons are constant
        >>> round(purity.min().item(), 3)
        1.0
    """

    period: int
    frequency: Int[Tensor, " neuron"]  # its own, cycles per period; -1 for a neuron without
    amplitude: Float[Tensor, "part neuron"]  # of U, V and W at that frequency; NaN without
    phase: Float[Tensor, "part neuron"]  # of U, V and W, radians in (-pi, pi]; NaN without
    share: Float[Tensor, "part neuron"]  # of each vector's squared norm at it; NaN without
    energy: Float[Tensor, " neuron"]  # squared norm of the three vectors together

    @property
    def has_frequency(self) -> Bool[Tensor, " neuron"]:
        """Neurons that are alive and not constant."""
        return self.frequency > 0

    @property
    def phase_gap(self) -> Float[Tensor, " neuron"]:
        """phi_u + phi_v - phi_w in [-pi, pi]: 0 in the analytic solution; NaN without."""
        return phase_gap(*self.phase)

    @property
    def amplitude_factor(self) -> Float[Tensor, " neuron"]:
        """Largest over smallest of the three amplitudes: 1 in the analytic solution; NaN without.

        Infinite where one vector lacks the neuron's frequency.
        """
        return self.amplitude.amax(dim=0) / self.amplitude.amin(dim=0)

    @property
    def purity(self) -> Float[Tensor, " neuron"]:
        """Mean share of the three vectors at the neuron's frequency, 0 .. 1; NaN without."""
        return self.share.mean(dim=0)


@probe
def neuron_modes(
    U: Float[Tensor, "neuron p"],
    V: Float[Tensor, "neuron p"],
    W: Float[Tensor, "neuron p"],
    basis: Basis,
) -> NeuronModes:
    """Amplitude, phase and share of energy of each weight vector at each frequency.

    Args:
        U: input weights of the first operand, one row per neuron, as
            :func:`probes.neuron_weights` gives them. Only read.
        V: input weights of the second operand.
        W: output weights, one row per neuron.
        basis: of the task; residues without a place are left out.

    Returns:
        float64. A constant vector has amplitude 0 at every frequency; a vector of zeros has no
        shares, NaN.

    Raises:
        ValueError: not p columns.

    Examples:
        >>> import torch
        >>> from probes import neuron_modes, task_basis
        >>> row = 2 * torch.cos(2 * torch.pi * 3 * torch.arange(13) / 13 + 0.5)[None]
        >>> modes = neuron_modes(row, row, row, task_basis("addition", 13))
        >>> round(float(modes.amplitude[0, 0, 2]), 3), round(float(modes.phase[0, 0, 2]), 3)
        (2.0, 0.5)
    """
    rows = rows_in_places(U, V, W, basis)
    # Less the first place, a constant vector is exactly zero and gives no rounding noise.
    modes = torch.fft.rfft(rows - rows[..., :1], dim=-1)[..., 1:]
    n = basis.period
    halved = torch.where(2 * basis.frequencies == n, 1.0, 2.0).double()  # period / 2 stands alone
    amplitude = modes.abs() * halved / n
    energy = amplitude.square() * n / halved
    return NeuronModes(
        frequencies=basis.frequencies,
        amplitude=amplitude,
        phase=modes.angle(),
        share=energy / rows.square().sum(dim=-1, keepdim=True),
    )


@probe
def solution_form(
    U: Float[Tensor, "neuron p"],
    V: Float[Tensor, "neuron p"],
    W: Float[Tensor, "neuron p"],
    basis: Basis,
    *,
    alive_from: float = ALIVE,
) -> SolutionForm:
    """Each neuron's own frequency, and its amplitudes and phases there.

    A neuron's own frequency is the one with the largest share of its weights' energy, the mean over
    its three vectors; the constant part is no frequency. A neuron has none if one of its vectors is
    dead (:mod:`probes.alive`) or if all three are constant.

    Args:
        U: input weights of the first operand, one row per neuron. Only read.
        V: input weights of the second operand.
        W: output weights, one row per neuron.
        basis: of the task.
        alive_from: the least norm of a living vector, relative to the largest of U, V or W.

    Raises:
        ValueError: not p columns.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 2.

    Examples:
        >>> import torch
        >>> from probes import solution_form, task_basis
        >>> angle = 2 * torch.pi * 3 * torch.arange(13)[None] / 13
        >>> U, V, W = (angle + 0.5).cos(), (angle - 0.2).cos(), (angle + 0.3).cos()
        >>> form = solution_form(U, V, W, task_basis("addition", 13))
        >>> int(form.frequency), form.phase_gap.abs().item() < 1e-5  # 0.5 - 0.2 - 0.3
        (3, True)
    """
    modes = neuron_modes(U, V, W, basis)
    rows = torch.stack([U, V, W]).detach().double().cpu()
    dead = is_dead(rows, alive_from=alive_from).any(dim=0)
    strength, at = modes.share.nan_to_num(0.0).mean(dim=0).max(dim=-1)
    without = dead | (strength == 0)
    own = at[None, :, None].expand(3, -1, 1)
    picked = [
        values.gather(-1, own)[..., 0].masked_fill(without, math.nan)
        for values in (modes.amplitude, modes.phase, modes.share)
    ]
    return SolutionForm(
        period=basis.period,
        frequency=modes.frequencies[at].masked_fill(without, -1),
        amplitude=picked[0],
        phase=picked[1],
        share=picked[2],
        energy=rows.square().sum(dim=(0, 2)),
    )


@probe
def model_solution_form(
    model: Any, operation: Operation | None = None, *, alive_from: float = ALIVE
) -> SolutionForm:
    """:func:`probes.solution_form` of a network with one hidden layer, in its task's basis.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_solution_form
        >>> form = model_solution_form(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> gaps = form.phase_gap[form.has_frequency]  # some neurons are constant
        >>> bool((gaps.abs() < 1e-3).all())
        True
    """
    basis = network_on_pairs(model).basis(operation)
    weights = neuron_weights(model, instead=_INSTEAD)
    return solution_form(*weights, basis, alive_from=alive_from)


def rows_in_places(
    U: Tensor, V: Tensor, W: Tensor, basis: Basis
) -> Float[Tensor, "part neuron place"]:
    """The three weight vectors by the places of a basis, float64 on the CPU."""
    for name, rows in {"U": U, "V": V, "W": W}.items():
        if rows.shape[-1] != basis.p or rows.shape != U.shape:
            raise ValueError(
                f"{name} must be [neuron, p] with p={basis.p} and as many neurons as U, "
                f"got {list(rows.shape)}"
            )
    orders = (basis.order, basis.order_b, basis.order)
    rows = [x.detach().double().cpu()[:, order] for x, order in zip((U, V, W), orders, strict=True)]
    return torch.stack(rows)
