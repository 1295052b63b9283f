"""The probes of a two-layer network, read off a hooked model."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp._short import one_line
from probes._probe import probe
from probes.alive import ALIVE
from probes.attribution import neuron_attribution
from probes.ipr import NeuronIPR, neuron_ipr
from probes.norms import neuron_norms

_SPECTRA = (
    "probes.model_neuron_spectra(model, operation): the frequency of every neuron, any network"
)


class NeuronWeights(NamedTuple):
    """The paper's U, V and W with one row per neuron, detached."""

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
        instead: what an error names for other networks.

    Raises:
        TypeError: the model lacks one of them.
        ValueError: their shapes do not belong to one hidden layer (then a "neuron" has no single
            input and output vector).
    """
    needed = "one hidden layer with W_E [2, p, d_mlp] and W_U [d_mlp, p], as HookedMLP has"
    for name in ("W_E", "W_U"):
        if not isinstance(getattr(model, name, None), Tensor):
            raise TypeError(
                f"{type(model).__name__} has no tensor {name}; this needs {needed}. Use {instead}"
            )
    W_E, W_U = model.W_E.detach(), model.W_U.detach()  # pyright: ignore[reportAttributeAccessIssue]
    depth = len(getattr(model, "layers", [None]))
    if depth > 1 or W_E.ndim != 3 or W_E.shape[0] != 2 or W_U.shape != W_E[0].T.shape:
        layers = f"{depth} hidden layers, " if depth > 1 else ""
        raise ValueError(
            f"{type(model).__name__} has {layers}W_E {list(W_E.shape)} and W_U {list(W_U.shape)}; "
            f"this needs {needed}. Use {instead}"
        )
    return NeuronWeights(U=W_E[0].T, V=W_E[1].T, W=W_U)


def check_no_norm(model: object, probe: str, *, instead: str) -> None:
    """Raise if the neurons of a two-layer network reach the logits through a norm."""
    if any(getattr(layer, "norm", None) is not None for layer in getattr(model, "layers", ())):
        raise ValueError(
            f"{probe} takes the logits for a sum over neurons of activation times output weight, "
            f"but this {type(model).__name__} normalises its activations first. Use {instead}"
        )


@probe
def model_neuron_ipr(model: object, *, r: float = 2.0, alive_from: float = ALIVE) -> NeuronIPR:
    """:func:`probes.neuron_ipr` of a hooked two-layer network."""
    return neuron_ipr(*neuron_weights(model), r=r, alive_from=alive_from)


@probe
def mean_ipr(model: object) -> float:
    """Network IPR, the mean over neurons that are alive; handy as ``gi.train(probes=...)``."""
    return model_neuron_ipr(model).mean


@probe
def model_neuron_norms(model: object) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_norms` of a hooked two-layer network."""
    instead = "probes.weight_norms(model), the norm of every weight matrix"
    return neuron_norms(*neuron_weights(model, instead=instead))


@probe
def model_neuron_attribution(
    model: object, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " neuron"]:
    """:func:`probes.neuron_attribution` of a hooked two-layer network on some examples."""
    instead = (
        "probes.logit_attribution(model, tokens, labels), which splits the logits of transformers "
        "and of MLPs of any depth, with norms and without; of an LSTM, gi.ablate(units, layer=...)"
    )
    weights = neuron_weights(model, instead=instead)
    check_no_norm(model, "model_neuron_attribution", instead=instead)
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens, names_filter="layers.0.hook_post")  # pyright: ignore[reportAttributeAccessIssue]
    return neuron_attribution(cache["layers.0.hook_post"], weights.W, labels)
