"""The parameter norm that a network needs for logits of a given size.

Norms of two networks say little while one of them has the larger logits, or has merely spread the
same function differently over its layers. So the logits are brought to a common size first, by
scaling the last layer alone or all layers in the cheapest way.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor

from grokinterp import HookedModel
from grokinterp.checks import check_choice, check_number
from grokinterp.models.activations import ACTIVATIONS
from probes.margins import model_label_logits, model_label_margins
from probes.parameter_norms import parameter_squares
from probes.probe import probe

QUANTITIES = {"logit": model_label_logits, "margin": model_label_margins}


@probe
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


@probe
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


@probe
def scaled_norm(model: HookedModel, scale: float) -> float:
    """The norm once the read-out is multiplied by ``scale``; see :func:`matched_norm`."""
    read_out = _read_out(model)
    squares = parameter_squares(model)
    return math.sqrt(
        sum(square * (scale**2 if name in read_out else 1) for name, square in squares.items())
    )


@probe
def least_scaled_norm(model: HookedModel, scale: float) -> float:
    """The least norm over the layers' factors, all logits being multiplied by ``scale``."""
    from scipy.optimize import minimize
    from scipy.special import softmax

    powers = _powers(model)
    if not scale > 0:
        return math.nan
    squares, read_out = parameter_squares(model), _read_out(model)
    used = [name for name in powers if squares[name] > 0]  # a bias of zero costs nothing
    matrix = 2 * np.array([powers[name] for name in used], dtype=float)
    scaled = 2 * np.log(scale) * np.array([name in read_out for name in used])
    start = np.log([squares[name] for name in used]) + scaled

    def log_square(factors: np.ndarray) -> tuple[float, np.ndarray]:
        terms = start + matrix @ factors  # logarithms of the tensors' squared norms
        return float(np.logaddexp.reduce(terms)), softmax(terms) @ matrix

    even = np.zeros(matrix.shape[1])
    least = minimize(log_square, even, jac=True, options={"gtol": 1e-10}).x
    return float(np.exp(log_square(least)[0] / 2))


@probe
def can_share_scale(model: HookedModel) -> bool:
    """Whether :func:`least_norm` knows how this network's layers can be scaled."""
    return model.scale_powers is not None


def _scale(
    model: HookedModel, tokens: Tensor, labels: Tensor, target: float, quantity: str
) -> float:
    """What all logits have to be multiplied by; NaN if nothing positive gives the target."""
    check_number("target", target, minimum=0.0, strict=True)
    check_choice("quantity", quantity, QUANTITIES)
    median = float(QUANTITIES[quantity](model, tokens, labels).median())
    return target / median if median > 0 else math.nan


def _powers(model: HookedModel) -> Mapping[str, Sequence[int]]:
    """How the layers can be scaled against each other; raise if they cannot."""
    powers = model.scale_powers
    if powers is None:
        degrees = sorted(name for name, act in ACTIVATIONS.items() if act.degree is not None)
        raise TypeError(
            f"layers can be scaled against each other in an MLP of {' or '.join(degrees)} neurons "
            f"without norms, got {type(model).__name__} with {model.cfg!r}; matched_norm() scales "
            "the read-out alone, of any network"
        )
    return powers


def _read_out(model: HookedModel) -> Collection[str]:
    """Names of the read-out's parameters, which multiply the logits."""
    read_out = model.read_out
    if read_out is None or not (read_out.parameters or read_out.is_tied):
        raise TypeError(f"the parameters of the read-out of {type(model).__name__} are not known")
    if read_out.is_tied:
        raise ValueError(
            "tie_embedding=True makes the read-out part of the embedding, which cannot be scaled "
            "alone; train the network with tie_embedding=False"
        )
    return read_out.parameters.keys()
