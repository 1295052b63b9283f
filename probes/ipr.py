"""Inverse participation ratio: how close a weight vector is to a single Fourier mode."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.basis import residue_order
from grokinterp.models.anatomy import anatomy
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation
from probes.alive import ALIVE, only_living
from probes.fourier import DominantMode, dominant_mode, power_shares
from probes.neuron_weights import neuron_weights
from probes.probe import probe


@probe
def ipr(weights: Float[Tensor, "*rows p"], *, r: float = 2.0) -> Float[Tensor, "*rows"]:
    """How close each row is to a single frequency: the inverse participation ratio (IPR).

    IPR = sum over frequencies f of q_f ** r, where q_f is f's share of the row's Fourier power.

    Args:
        weights: one vector per row, one column per residue 0 .. p-1.
        r: the exponent, above 1; the papers use 2.

    Returns:
        Dimensionless float64: 1 for a pure cosine, (p // 2 + 1) ** (1 - r) if all frequencies have
        equal shares, NaN for an all-zero row. Rows are not compared with each other: before you
        average over a layer, leave out the rows that :func:`probes.is_dead` names.

    Raises:
        ValueError: r <= 1, where the sum does not measure concentration.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 3 and footnote 4.
    Convention: one-sided DFT, f = 0 included; a two-sided DFT halves a pure cosine at r = 2.

    Examples:
        >>> import torch
        >>> from probes import ipr
        >>> angle = 2 * torch.pi * torch.arange(13) / 13
        >>> one, two = (3 * angle).cos(), 2 * (3 * angle).cos() + (5 * angle).cos()
        >>> values = ipr(torch.stack([one, two, torch.eye(13)[0]])).tolist()
        >>> [round(value, 3) for value in values]  # 1, 0.8^2 + 0.2^2 and 1 / 7
        [1.0, 0.68, 0.143]
    """
    if not r > 1:
        raise ValueError(f"r must be above 1, got {r}")
    return (power_shares(weights) ** r).sum(dim=-1)


@short_repr
@dataclass(frozen=True, eq=False)
class NeuronIPR:
    """IPR of every neuron of a two-layer network, and of its three weight vectors.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_ipr
        >>> result = model_neuron_ipr(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> result.ipr.shape, round(result.mean, 3), result.n_dead
        (torch.Size([60]), 1.0, 0)
        >>> result.parts.shape  # of U, V and W
        torch.Size([3, 60])
    """

    ipr: Float[Tensor, " neuron"]  # mean of the three parts; NaN if any of them is dead
    parts: Float[Tensor, "part neuron"]  # of U, V and W, in this order; NaN for a dead vector
    modes: DominantMode  # strongest mode of each part, [part, neuron]

    @property
    def is_dead(self) -> Bool[Tensor, " neuron"]:
        """Neurons with a dead input or output vector."""
        return self.ipr.isnan()

    @property
    def n_dead(self) -> int:
        """Number of neurons without an IPR, which :attr:`mean` leaves out."""
        return int(self.is_dead.sum())

    def order(self) -> Int[Tensor, " neuron"]:
        """Indices of the neurons from lowest to highest IPR, dead neurons first.

        Examples:
            >>> import torch
            >>> from probes import neuron_ipr
            >>> cosine = torch.cos(2 * torch.pi * 3 * torch.arange(13) / 13)
            >>> spike = torch.eye(13)[0]
            >>> rows = torch.stack([cosine, spike, cosine + spike])
            >>> neuron_ipr(rows, rows, rows).order().tolist()
            [1, 2, 0]
        """
        return self.ipr.nan_to_num(-1.0).argsort(stable=True)

    @property
    def mean(self) -> float:
        """Mean over the living neurons; NaN if there are none."""
        return float(self.ipr[~self.is_dead].mean())


@probe
def neuron_ipr(
    U: Float[Tensor, "neuron p"],
    V: Float[Tensor, "neuron p"],
    W: Float[Tensor, "neuron p"],
    *,
    r: float = 2.0,
    alive_from: float = ALIVE,
) -> NeuronIPR:
    """IPR of each neuron: the mean over its two input vectors and its output vector.

    If one of the three vectors is dead (:mod:`probes.alive`), so is the neuron, and its IPR is NaN.

    Args:
        U: input weights of the first operand, one row per neuron.
        V: input weights of the second operand, one row per neuron.
        W: output weights, one row per neuron (the transpose of the paper's W).
        r: the exponent of :func:`ipr`.
        alive_from: the least norm of a living vector, relative to the largest of U, V or W.

    Source: Doshi et al. 2023, arXiv:2310.13061, eqs. 3 and 4.

    Examples:
        >>> import torch
        >>> from probes import neuron_ipr
        >>> cosine = torch.cos(2 * torch.pi * 3 * torch.arange(13) / 13)[None]
        >>> noise = torch.randn(1, 13, generator=torch.Generator().manual_seed(0))
        >>> round(float(neuron_ipr(cosine, cosine, cosine).ipr), 3)
        1.0
        >>> bool(neuron_ipr(cosine, cosine, noise).ipr < 0.9)
        True
    """
    vectors = only_living(torch.stack([U, V, W]), alive_from)
    parts = ipr(vectors, r=r)
    return NeuronIPR(ipr=parts.mean(dim=0), parts=parts, modes=dominant_mode(vectors))


@probe
def model_neuron_ipr(
    model: object,
    operation: Operation | None = None,
    *,
    r: float = 2.0,
    alive_from: float = ALIVE,
) -> NeuronIPR:
    """:func:`probes.neuron_ipr` of a network with one hidden layer, in its task's order.

    Multiplication and division are periodic in the discrete logarithm of the residues, so their
    weights are read in that order, without the residue 0, which has none. Where the operation is
    not known, or not periodic, residues are in their natural order.

    Args:
        model: a network with one hidden layer.
        operation: the task; by default the one that the network was built for.
        r: the exponent of :func:`ipr`.
        alive_from: the least norm of a living vector, relative to the largest of U, V or W.

    Raises:
        TypeError, ValueError: not one hidden layer.

    Source: Doshi et al. 2023, arXiv:2310.13061, eqs. 3 and 4.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_neuron_ipr
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> ipr = model_neuron_ipr(run.model).ipr
        >>> int((ipr < 0.4).sum()) > 5, int((ipr > 0.7).sum()) > 20  # neurons of both kinds
        (True, True)
    """
    weights = neuron_weights(model)
    known = anatomy(model).operation if operation is None else operation
    order = residue_order(known, weights.U.shape[1])
    U, V, W = (rows[:, order.to(rows.device)] for rows in weights)
    return neuron_ipr(U, V, W, r=r, alive_from=alive_from)


@probe
def mean_ipr(model: object, operation: Operation | None = None) -> float:
    """Mean IPR of a network's living neurons: one number, as ``gi.train(probes=...)`` needs.

    Args:
        model: a network with one hidden layer.
        operation: the task, as for :func:`probes.model_neuron_ipr`.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import mean_ipr
        >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> round(mean_ipr(solution), 3)
        1.0
        >>> mean_ipr(gi.HookedMLP(solution.cfg, p=13)) < 0.4  # untrained
        True
    """
    return model_neuron_ipr(model, operation).mean
