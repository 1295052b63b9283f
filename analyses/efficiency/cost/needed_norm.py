"""The parameter norm that a network needs for logits of a given size.

Norms of two networks say little while one of them has the larger logits, or has merely spread the
same function differently over its layers. So the logits are brought to a common size first, by
scaling the last layer alone or all layers in the cheapest way.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.efficiency.circuits.margins import correct_logits, margins
from analyses.efficiency.circuits.parameters import norms_by_layer
from grokinterp import HookedEmbeddingMLP, HookedMLP, HookedModel
from grokinterp._checks import check_choice, check_number
from grokinterp.session import unaffected

QUANTITIES = {"logit": correct_logits, "margin": margins}
_DEGREE = {"relu": 1, "square": 2}  # act(c x) = c ** degree act(x) for c > 0


@unaffected()
def matched_norm(
    model: HookedModel,
    tokens: Int[Tensor, "pair 2"],
    labels: Int[Tensor, " pair"],
    target: float,
    *,
    quantity: str = "margin",
) -> float:
    """The norm once the read-out is scaled so that the median margin, or logit, is ``target``.

    The read-out W_U times s, its bias too, multiplies every logit by s whatever comes before it, so
    |theta|^2 = |others|^2 + s^2 |read-out|^2 with s = target / median. Embedding rows that no
    prompt uses are left out.

    Args:
        model: a network with a read-out of its own.
        tokens: the pairs (a, b) that the median is over.
        labels: their classes.
        target: of the median, positive.
        quantity: "logit" of the label; or its "margin" over the best other class, which unlike the
            logit does not change when all logits of a pair are shifted, as softmax allows.

    Returns:
        The norm; NaN if the median is not positive, because no scale then gives the target.

    Raises:
        ValueError: the read-out is tied to the embedding and cannot be scaled alone.
        TypeError: a network whose read-out is not known.
    """
    return scaled_norm(model, _scale(model, tokens, labels, target, quantity))


@unaffected()
def least_norm(
    model: HookedModel,
    tokens: Int[Tensor, "pair 2"],
    labels: Int[Tensor, " pair"],
    target: float,
    *,
    quantity: str = "margin",
) -> float:
    """The least norm over all scalings of whole layers that make the median ``target``.

    As relu(c x) = c relu(x) and square(c x) = c^2 square(x), c > 0, a layer may be multiplied by c
    if those behind it make up for it; the function stays and the norm does not. The least norm
    depends on the function alone and not on such scalings. It is found by convex minimisation over
    the logarithms of the layers' factors, which biases follow.

    Args:
        model: an MLP, on one-hot or embedded pairs, of relu or square neurons, without norms.
        tokens: as for :func:`matched_norm`, likewise ``labels``, ``target`` and ``quantity``.
        labels: their classes.
        target: of the median, positive.
        quantity: "logit" or "margin".

    Returns:
        The norm; NaN if the median is not positive.

    Raises:
        TypeError: another network, whose layers cannot be scaled against each other.
    """
    return least_scaled_norm(model, _scale(model, tokens, labels, target, quantity))


@unaffected()
def scaled_norm(model: HookedModel, scale: float) -> float:
    """The norm once the read-out is multiplied by ``scale``; see :func:`matched_norm`."""
    norms = norms_by_layer(model)
    if getattr(model.cfg, "tie_embedding", False):
        raise ValueError(
            "tie_embedding=True makes the read-out part of the embedding, which cannot be scaled "
            "alone; train the network with tie_embedding=False"
        )
    read_out = [name for name in norms if name in ("unembed", "W_U")]
    if len(read_out) != 1:
        raise TypeError(
            f"the read-out of a {type(model).__name__} is not known; its layers are "
            f"{', '.join(norms)}"
        )
    norms[read_out[0]] *= scale
    return math.hypot(*norms.values())


@unaffected()
def least_scaled_norm(model: HookedModel, scale: float) -> float:
    """The least norm over the layers' factors, all logits being multiplied by ``scale``."""
    from scipy.optimize import minimize
    from scipy.special import softmax

    powers = _powers(model)
    if not scale > 0:
        return math.nan
    norms = {
        name: float(torch.linalg.vector_norm(weight.detach().double()))
        for name, weight in model.named_parameters()
    }
    norms["embed.W_E"] = norms_by_layer(model).get("embed", 0.0)  # the rows that are used
    used = [name for name in powers if norms[name] > 0]  # a bias of zero costs nothing
    matrix = 2 * np.stack([powers[name] for name in used])
    read_out = np.array([_own(name) in ("W_U", "b_U") for name in used])
    start = 2 * np.log([norms[name] for name in used]) + 2 * np.log(scale) * read_out

    def log_square(factors: np.ndarray) -> tuple[float, np.ndarray]:
        terms = start + matrix @ factors  # logarithms of the tensors' squared norms
        return float(np.logaddexp.reduce(terms)), softmax(terms) @ matrix

    even = np.zeros(matrix.shape[1])
    least = minimize(log_square, even, jac=True, options={"gtol": 1e-10}).x
    return float(np.exp(log_square(least)[0] / 2))


def can_share_scale(model: HookedModel) -> bool:
    """Whether :func:`least_norm` knows how this network's layers can be scaled."""
    return (
        isinstance(model, HookedMLP | HookedEmbeddingMLP)
        and model.cfg.norm is None
        and model.cfg.act in _DEGREE
    )


def _scale(
    model: HookedModel, tokens: Tensor, labels: Tensor, target: float, quantity: str
) -> float:
    """What all logits have to be multiplied by; NaN if nothing positive gives the target."""
    check_number("target", target, minimum=0.0, strict=True)
    check_choice("quantity", quantity, QUANTITIES)
    median = float(QUANTITIES[quantity](model, tokens, labels).median())
    return target / median if median > 0 else math.nan


def _powers(model: Any) -> dict[str, Float[np.ndarray, " layer"]]:
    """By tensor, how its factor follows from the factors of all layers before the read-out.

    It is the product of the layers' factors to these powers, and for the read-out and its bias
    also the factor of the logits.
    """
    if not can_share_scale(model):
        raise TypeError(
            f"layers can be scaled against each other in an MLP of {' or '.join(_DEGREE)} neurons "
            f"without norms, got {type(model).__name__} with {model.cfg!r}; matched_norm() scales "
            "the read-out alone, of any network"
        )
    held = "embed.", "unembed."  # the modules that hold tables in one class and not in the other
    table, read_out = held if isinstance(model, HookedEmbeddingMLP) else ("", "")
    free = iter(np.eye(1 + sum(layer.W_in is not None for layer in model.layers)))
    signal = next(free)  # how the factor of the activations so far follows
    powers = {f"{table}W_E": signal}
    for i, layer in enumerate(model.layers):
        if layer.W_in is not None:
            powers[f"layers.{i}.W_in"] = own = next(free)
            signal = signal + own
        if layer.b_in is not None:
            powers[f"layers.{i}.b_in"] = signal
        signal = _DEGREE[model.cfg.act] * signal
    powers[f"{read_out}W_U"] = -signal
    if getattr(model.cfg, "unembed_bias", False):
        powers[f"{read_out}b_U"] = 0 * signal
    return powers


def _own(name: str) -> str:
    return name.rpartition(".")[2]
