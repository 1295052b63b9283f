"""The verdict on a network that adds: the clock algorithm, the pizza algorithm, or neither."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

from einops import rearrange
from jaxtyping import Int
from torch import Tensor

from grokinterp.checks import check_choice, check_number
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation, operation_table
from probes.distance import distance_irrelevance
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe
from probes.scores import accuracy
from probes.symmetricity import gradient_symmetricity

# Published values. Pizzas (Models A and Beta): gradient symmetricity 0.994 and 1, distance
# irrelevance 0.172 and 0.230. Clock (Model B): 0.334 and 0.848. The bound of an algorithm lies a
# third of the way from its nearest published value to that of the other algorithm.
CLOCK_SYMMETRICITY, PIZZA_SYMMETRICITY = 0.55, 0.77
PIZZA_IRRELEVANCE, CLOCK_IRRELEVANCE = 0.44, 0.64
# A verdict this near to a bound is borderline: a tenth of the distance between the same values.
NEAR_SYMMETRICITY, NEAR_IRRELEVANCE = 0.066, 0.062

# In other tasks the operands play different roles, so a symmetric gradient means nothing.
_SYMMETRIC_TASKS = ("addition", "multiplication")
_TRIPLES = 1000  # by default; the standard error of the mean cosine is then at most about 0.015
_ROUNDING = 1e-4  # of a cosine
_Z = 1.959963984540054  # half width of a two-sided 95 % normal interval, in standard errors


@short_repr
@dataclass(frozen=True)
class ClockOrPizza:
    """A verdict, its reason, and the numbers behind it.

    Examples:
        >>> from probes import clock_or_pizza
        >>> result = clock_or_pizza(1.0, gradient_symmetricity=0.52, distance_irrelevance=0.7)
        >>> result.verdict, result.is_borderline
        ('clock', True)
    """

    verdict: str  # "clock", "pizza", "neither", "refused" or "not applicable"
    reason: str
    accuracy: float  # over all pairs
    gradient_symmetricity: float
    distance_irrelevance: float
    standard_error: float = 0.0  # of the symmetricity; 0 if it is over all triples
    is_borderline: bool = False  # whether slightly different measures would change the verdict


@probe
def clock_or_pizza(
    accuracy: float,
    gradient_symmetricity: float,
    distance_irrelevance: float,
    *,
    standard_error: float = 0.0,
    min_accuracy: float = 0.99,
) -> ClockOrPizza:
    """Whether a network that solves the task uses the clock or the pizza algorithm.

    A clock multiplies the operands' embeddings: its symmetricity is at most 0.55 and its
    irrelevance at least 0.64. A pizza adds them: at least 0.77, and at most 0.44. Every other
    network that solves the task is neither.

    A verdict is borderline if it would change with a symmetricity that differs by 0.066 or an
    irrelevance that differs by 0.062, a tenth of the distance between the published networks. For
    a sampled symmetricity, half its 95 % interval is added to the 0.066.

    Args:
        accuracy: over all pairs. Below ``min_accuracy`` the verdict is refused, because an
            untrained network has symmetricity 0.6 and irrelevance 0.99. It is also refused if a
            measure is NaN.
        gradient_symmetricity: the value of :func:`probes.gradient_symmetricity`.
        distance_irrelevance: the value of :func:`probes.distance_irrelevance`.
        standard_error: of the symmetricity; 0 if it is over all triples.
        min_accuracy: above 0, at most 1.

    Source: measures and networks are those of Zhong et al. 2023, arXiv:2306.17844; the bounds are
    ours, a third of the way from the published values of one algorithm to those of the other.

    Examples:
        >>> from probes import clock_or_pizza
        >>> clock_or_pizza(1.0, gradient_symmetricity=0.3, distance_irrelevance=0.9).verdict
        'clock'
        >>> clock_or_pizza(1.0, gradient_symmetricity=0.9, distance_irrelevance=0.2).verdict
        'pizza'
        >>> clock_or_pizza(0.2, gradient_symmetricity=0.3, distance_irrelevance=0.9).verdict
        'refused'
    """
    check_number("standard_error", standard_error, minimum=0.0)
    check_number("min_accuracy", min_accuracy, minimum=0.0, strict=True)
    if min_accuracy > 1:
        raise ValueError(f"min_accuracy must be at most 1, got {min_accuracy}")
    symmetricity, irrelevance = gradient_symmetricity, distance_irrelevance
    if abs(symmetricity) > 1 + _ROUNDING:
        raise ValueError(f"gradient_symmetricity must be a mean cosine, -1..1, got {symmetricity}")
    is_borderline = False
    told = f"gradient symmetricity {symmetricity:.3f} and distance irrelevance {irrelevance:.3f}"
    if not accuracy >= min_accuracy:  # also refuses NaN
        verdict = "refused"
        reason = (
            f"accuracy {accuracy:.4f} over all pairs is below {min_accuracy}: in a network that "
            f"does not solve the task, {told} say nothing about an algorithm"
        )
    elif math.isnan(symmetricity) or math.isnan(irrelevance):
        verdict, reason = "refused", f"{told} are not both defined"
    else:
        verdict = _algorithm(symmetricity, irrelevance)
        near = NEAR_SYMMETRICITY + _Z * standard_error
        # Each algorithm's region is a quadrant, so it is enough to look at the four corners.
        corners = product((-near, near), (-NEAR_IRRELEVANCE, NEAR_IRRELEVANCE))
        around = {_algorithm(symmetricity + x, irrelevance + y) for x, y in corners}
        is_borderline = around != {verdict}
        reason = (
            f"{told}; a clock has at most {CLOCK_SYMMETRICITY} and at least {CLOCK_IRRELEVANCE}, "
            f"a pizza at least {PIZZA_SYMMETRICITY} and at most {PIZZA_IRRELEVANCE}"
        )
        if is_borderline:
            reason += "; borderline: slightly different values would change the verdict"
    return ClockOrPizza(
        verdict, reason, accuracy, symmetricity, irrelevance, standard_error, is_borderline
    )


def _algorithm(symmetricity: float, irrelevance: float) -> str:
    if symmetricity <= CLOCK_SYMMETRICITY and irrelevance >= CLOCK_IRRELEVANCE:
        return "clock"
    if symmetricity >= PIZZA_SYMMETRICITY and irrelevance <= PIZZA_IRRELEVANCE:
        return "pizza"
    return "neither"


@probe
def model_clock_or_pizza(
    model: Any,
    operation: Operation | None = None,
    *,
    triples: str | int | Int[Tensor, "triple 3"] = _TRIPLES,
    seed: int = 0,
    hook: str | None = None,
    min_accuracy: float = 0.99,
) -> ClockOrPizza:
    """:func:`probes.clock_or_pizza` of a network, measured over all pairs.

    The verdict is "not applicable" where the gradient symmetricity is: in a network whose operands
    have input weights of their own, such as a ``HookedMLP``.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        operation: "addition" or "multiplication" (which is addition of logarithms). By default the
            task that the network was built for, or addition if that is unknown; if that guess is
            wrong, the accuracy is too low for a verdict.
        triples: as in :func:`probes.gradient_symmetricity`; 1000 drawn at random by default. "all"
            is exact, and takes a minute for p = 113.
        seed: of the random triples.
        hook: as in :func:`probes.gradient_symmetricity`.
        min_accuracy: as in :func:`probes.clock_or_pizza`.

    Raises:
        ValueError: another operation, whose operands play different roles.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_clock_or_pizza
        >>> model_clock_or_pizza(gi.closed_form_mlp(p=13, d_mlp=60)).verdict  # it has two tables
        'not applicable'
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> untrained = gi.build_model(config.replace({"data.p": 13}))
        >>> model_clock_or_pizza(untrained).verdict
        'refused'
    """
    network = network_on_pairs(model)
    known = network.anatomy.operation if operation is None else operation
    task = "addition" if known is None else known
    check_choice("operation", task, _SYMMETRIC_TASKS)
    logits = network.logits()
    share = accuracy(logits, rearrange(operation_table(task, network.p), "a b -> (a b)"))
    irrelevance = distance_irrelevance(logits, network.basis(task))
    found = gradient_symmetricity(network, triples=triples, seed=seed, hook=hook)
    if found.not_applicable:
        reason = f"gradient symmetricity: {found.not_applicable}"
        return ClockOrPizza("not applicable", reason, share, math.nan, irrelevance)
    error = 0.0 if math.isnan(found.standard_error) else found.standard_error
    return clock_or_pizza(
        share, found.value, irrelevance, standard_error=error, min_accuracy=min_accuracy
    )
