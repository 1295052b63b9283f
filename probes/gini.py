"""Gini coefficient of a spectrum: like the IPR, a measure of how few frequencies dominate it."""

import torch
from jaxtyping import Float
from torch import Tensor

from probes.fourier import power_spectrum
from probes.probe import probe


@probe
def gini(values: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows"]:
    """Gini coefficient of each row of non-negative values.

    The mean absolute difference of two entries, divided by twice their mean: 0 if all entries are
    equal, (n - 1) / n if all but one are zero. float64; NaN for an all-zero row.

    Raises:
        ValueError: a value is negative.

    Examples:
        >>> import torch
        >>> from probes import gini
        >>> gini(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])).tolist()
        [0.0, 0.75]
    """
    if bool((values < 0).any()):
        raise ValueError(
            f"gini needs non-negative values, got a minimum of {float(values.min())}; "
            "take magnitudes or powers first"
        )
    n = values.shape[-1]
    rising = values.double().sort(dim=-1).values
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=values.device)
    return ((2 * rank - n - 1) * rising).sum(dim=-1) / (n * rising.sum(dim=-1))


@probe
def spectrum_gini(weights: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows"]:
    """Gini coefficient of each row's one-sided Fourier amplitudes |DFT|, DC included.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import neuron_weights, spectrum_gini
        >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> untrained = gi.HookedMLP(solution.cfg, p=13)
        >>> for model in (solution, untrained):
        ...     print(round(spectrum_gini(neuron_weights(model).U).mean().item(), 1))
        0.9
        0.3
    """
    return gini(power_spectrum(weights).sqrt())
