"""The parameter norm of a network whose logits are scaled to a given size.

Raw norms of two networks are not comparable if one has larger logits, or if the same function is
spread differently over the layers. So the logits are first scaled to a common size: by the
read-out alone (:func:`matched_norm`), or by all layers so that the norm is least
(:func:`least_norm`).
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor

from grokinterp import HookedModel
from grokinterp.checks import check_choice, check_number
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.unnamed import unnamed
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
    """The parameter norm if the read-out is scaled so that the median margin is ``target``.

    Multiplying the read-out (W_U and its bias) by s multiplies every logit by s. So the squared
    norm is |others|^2 + s^2 |read-out|^2 with s = target / median. Embedding rows of tokens that
    the task's prompt never uses are left out.

    Args:
        model: a network whose read-out is not tied to its embedding.
        tokens: the pairs (a, b) over which the median is taken.
        labels: their classes.
        target: the median to reach, in units of logits; positive.
        quantity: what the median is of: the label's "logit", or its "margin" over the largest other
            logit. Adding a constant to all logits, which no softmax sees, changes only the former.

    Returns:
        The norm; NaN if the median is not positive, because then no scale reaches the target.

    Raises:
        ValueError: the read-out is tied to the embedding, so it cannot be scaled alone.
        TypeError: the network's read-out is not known.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import matched_norm, model_label_margins, parameter_norm
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> margin = model_label_margins(model, data.tokens, data.clean_labels).median().item()
        >>> now = matched_norm(model, data.tokens, data.clean_labels, target=margin)
        >>> round(now / parameter_norm(model), 3)
        1.0
        >>> matched_norm(model, data.tokens, data.clean_labels, target=10 * margin) > now
        True
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
    """The least parameter norm over all scalings of whole layers with the median at ``target``.

    Since relu(c x) = c relu(x) and square(c x) = c^2 square(x) for c > 0, a layer can be multiplied
    by c and later layers divided accordingly: the function stays the same, the norm changes. The
    least norm does not depend on such scalings. It is found by convex minimisation over the
    logarithms of the layers' factors; biases are scaled along.

    Args:
        model: an MLP, on one-hot or embedded pairs, with relu or square activation and no norms.
        tokens: the pairs (a, b) over which the median is taken.
        labels: their classes.
        target: the median to reach, positive.
        quantity: "logit" or "margin", see :func:`matched_norm`.

    Returns:
        The norm; NaN if the median is not positive.

    Raises:
        TypeError: another network, whose layers cannot be scaled against each other.
        ValueError: hooks, such as those of a half by mean ablation, whose means are not scaled.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import least_norm, parameter_norm
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> before = least_norm(model, data.tokens, data.clean_labels, target=1.0)
        >>> model.W_E.data *= 2.0  # 4 times the activations, as their function is a square ...
        >>> model.W_U.data /= 4.0  # ... so this undoes it, but for the parameter norm
        >>> after = least_norm(model, data.tokens, data.clean_labels, target=1.0)
        >>> abs(after / before - 1) < 1e-3
        True
    """
    return least_scaled_norm(model, _scale(model, tokens, labels, target, quantity))


@probe
def scaled_norm(model: HookedModel, scale: float) -> float:
    """The norm if the read-out is multiplied by ``scale``; see :func:`matched_norm`."""
    read_out = _read_out(model)
    squares = parameter_squares(model)
    return math.sqrt(
        sum(square * (scale**2 if name in read_out else 1) for name, square in squares.items())
    )


@probe
def least_scaled_norm(model: HookedModel, scale: float) -> float:
    """The least norm if all logits are multiplied by ``scale``; see :func:`least_norm`."""
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
    """Whether :func:`least_norm` accepts this network."""
    return model.scale_powers is not None and not model.is_hooked


@probe
def can_scale_read_out(model: HookedModel) -> bool:
    """Whether :func:`matched_norm` accepts this network."""
    read_out = model.read_out
    return read_out is not None and bool(read_out.parameters) and not read_out.is_tied


def _scale(
    model: HookedModel, tokens: Tensor, labels: Tensor, target: float, quantity: str
) -> float:
    """The factor on all logits that brings the median to the target; NaN if there is none."""
    check_number("target", target, minimum=0.0, strict=True)
    check_choice("quantity", quantity, QUANTITIES)
    median = float(QUANTITIES[quantity](model, tokens, labels).median())
    return target / median if median > 0 else math.nan


def _powers(model: HookedModel) -> Mapping[str, Sequence[int]]:
    """The network's ``scale_powers``; raise if it has none."""
    powers = model.scale_powers
    if powers is None:
        degrees = sorted(name for name, act in ACTIVATIONS.items() if act.degree is not None)
        raise TypeError(
            f"layers can be scaled against each other in an MLP of {' or '.join(degrees)} neurons "
            f"without norms, got {type(model).__name__} with {model.cfg!r}; matched_norm() scales "
            "the read-out alone, of any network"
        )
    if model.is_hooked:
        raise ValueError(
            "the network carries hooks, and what they put in place of activations would not be "
            "scaled with the layers, such as the means in a half of unit_halves(mode='mean'); "
            "take halves by mode='zero', model.reset_hooks(including_permanent=True), or "
            "matched_norm(), which scales the read-out alone"
        )
    return powers


def _read_out(model: HookedModel) -> Collection[str]:
    """Names of the read-out's parameters, which multiply the logits."""
    read_out = model.read_out
    if read_out is None or not (read_out.parameters or read_out.is_tied):
        raise TypeError(
            f"the parameters of the read-out of {type(model).__name__} are not known."
            f"{unnamed(model, 'readout')}"
        )
    if read_out.is_tied:
        raise ValueError(
            "tie_embedding=True makes the read-out part of the embedding, which cannot be scaled "
            "alone; train the network with tie_embedding=False"
        )
    return read_out.parameters.keys()
