"""Input and output weights of each neuron of a network with one hidden layer."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.models.anatomy import anatomy
from grokinterp.models.base import evaluated
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import one_line
from probes.probe import probe

_SPECTRA = (
    "probes.model_neuron_spectra(model, operation): the frequency of every neuron, any network"
)


class NeuronWeights(NamedTuple):
    """The matrices U, V and W of Doshi et al. 2023, with one row per neuron; detached.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import neuron_weights
        >>> U, V, W = neuron_weights(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> U.shape, V.shape, W.shape
        (torch.Size([60, 13]), torch.Size([60, 13]), torch.Size([60, 13]))
    """

    U: Float[Tensor, "neuron p"]  # input weights of the first operand
    V: Float[Tensor, "neuron p"]  # input weights of the second operand
    W: Float[Tensor, "neuron p"]  # output weights, transposed

    def __repr__(self) -> str:
        return one_line(self)


@probe
def neuron_weights(model: object, *, instead: str = _SPECTRA) -> NeuronWeights:
    """U, V and W of any model with ``W_E`` [2, p, d_mlp] and ``W_U`` [d_mlp, p].

    Args:
        model: a network with one hidden layer.
        instead: what error messages recommend for other networks.

    Raises:
        TypeError: the model has no ``W_E`` or no ``W_U``.
        ValueError: their shapes are not those of a network with one hidden layer.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import neuron_weights
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> U, V, W = neuron_weights(model)
        >>> torch.equal(U, model.W_E[0].T), torch.equal(W, model.W_U)
        (True, True)
    """
    needed = "one hidden layer with W_E [2, p, d_mlp] and W_U [d_mlp, p], as HookedMLP has"
    about = anatomy(model)
    tables, read_out = list(about.input_tables.values()), about.read_out
    for name, found in {"W_E": tables, "W_U": read_out}.items():
        if not found:
            raise TypeError(
                f"{type(model).__name__} has no tensor {name}; this needs {needed}. Use {instead}."
                f"{unnamed(model, 'first', 'readout')}"
            )
    assert read_out is not None
    W_U, depth = read_out.W_U.detach(), len(about.neuron_hooks)
    if depth > 1 or len(tables) != 2 or any(W_U.shape != table.T.shape for table in tables):
        layers = f"{depth} hidden layers, " if depth > 1 else ""
        W_E = [*([2] if len(tables) == 2 else []), *tables[0].shape]
        raise ValueError(
            f"{type(model).__name__} has {layers}W_E {W_E} and W_U {list(W_U.shape)}; "
            f"this needs {needed}. Use {instead}"
        )
    U, V = (table.detach().T for table in tables)
    return NeuronWeights(U=U, V=V, W=W_U)


def has_neuron_weights(model: object) -> bool:
    """Whether :func:`neuron_weights` accepts a network."""
    try:
        neuron_weights(model)
    except (TypeError, ValueError):
        return False
    return True


def check_no_norm(model: object, probe: str, *, instead: str) -> None:
    """Raise if a two-layer network normalises its neurons' activations."""
    if anatomy(model).gains:
        raise ValueError(
            f"{probe} takes the logits for a sum over neurons of activation times output weight, "
            f"but this {type(model).__name__} normalises its activations first. Use {instead}"
        )


def neuron_activations(
    model: Any, tokens: Int[Tensor, "example 2"]
) -> Float[Tensor, "example neuron"]:
    """Activations of a network's one hidden layer in evaluation mode, in the network's dtype."""
    hook, device = anatomy(model).neuron_hooks[0][-1], next(model.parameters()).device
    with torch.no_grad(), evaluated(model):
        _, cache = model.run_with_cache(tokens.to(device), names_filter=hook)
    return cache[hook]
