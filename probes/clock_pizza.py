"""The verdict on a network that adds: the clock algorithm, the pizza algorithm, or neither."""

import math
from dataclasses import dataclass
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

# Published: gradient symmetricity 0.994 (Model A) and 1 (Model Beta) of pizzas, 0.334 (Model B) of
# a clock; distance irrelevance 0.172 and 0.230 of pizzas, 0.848 of a clock. An algorithm's bounds
# lie a third of the way from its published network nearest to the other algorithm's.
CLOCK_SYMMETRICITY, PIZZA_SYMMETRICITY = 0.55, 0.77
PIZZA_IRRELEVANCE, CLOCK_IRRELEVANCE = 0.44, 0.64
# A tenth of the way between the same networks: so near to a bound a verdict is borderline.
NEAR_SYMMETRICITY, NEAR_IRRELEVANCE = 0.066, 0.062

# In other tasks the operands do not play the same part, so a symmetric gradient means nothing.
_SYMMETRIC_TASKS = ("addition", "multiplication")
_TRIPLES = 1000  # drawn for the verdict: a standard error of 0.015 or less where cosines vary most
_Z = 1.959963984540054  # of a two-sided 95 % interval of a normal variable


@short_repr
@dataclass(frozen=True)
class ClockOrPizza:
    """A verdict, why, and the numbers that it was given on."""

    verdict: str  # "clock", "pizza", "neither", "refused" or "not applicable"
    reason: str
    accuracy: float  # over all pairs
    gradient_symmetricity: float
    distance_irrelevance: float
    standard_error: float = 0.0  # of the symmetricity, where it is that of a sample of triples
    is_borderline: bool = False  # whether the verdict hangs on a near miss of a bound


@probe
def clock_or_pizza(
    accuracy: float,
    gradient_symmetricity: float,
    distance_irrelevance: float,
    *,
    standard_error: float = 0.0,
    min_accuracy: float = 0.99,
) -> ClockOrPizza:
    """Which algorithm the two measures speak for, in a network that solves the task.

    The clock multiplies the operands' embeddings: a symmetricity of at most 0.55 and an
    irrelevance of at least 0.64. The pizza adds them: at least 0.77, and at most 0.44. Every other
    network that solves the task is neither. The verdict is borderline if it would be another for
    measures that differ by 0.066 and 0.062, a tenth of what tells the published networks apart;
    the 95 % interval of a sampled symmetricity is added to that.

    Args:
        accuracy: over all pairs. The verdict is refused if it is below ``min_accuracy``, and if a
            measure is NaN: an untrained network has symmetricity 0.6 and irrelevance 0.99.
        gradient_symmetricity: the value of :func:`probes.gradient_symmetricity`.
        distance_irrelevance: of :func:`probes.distance_irrelevance`.
        standard_error: of the symmetricity; 0 if it is over all triples.
        min_accuracy: above 0, at most 1.

    Source: the measures and networks of Zhong et al. 2023, arXiv:2306.17844. The bounds are ours:
    a third of the way from the published values of one algorithm to those of the other.
    """
    check_number("standard_error", standard_error, minimum=0.0)
    check_number("min_accuracy", min_accuracy, minimum=0.0, strict=True)
    if min_accuracy > 1:
        raise ValueError(f"min_accuracy must be at most 1, got {min_accuracy}")
    symmetricity, irrelevance = gradient_symmetricity, distance_irrelevance
    is_borderline = False
    told = f"gradient symmetricity {symmetricity:.3f} and distance irrelevance {irrelevance:.3f}"
    if not accuracy >= min_accuracy:  # NaN is no accuracy either
        verdict = "refused"
        reason = (
            f"accuracy {accuracy:.4f} over all pairs is below {min_accuracy}: of a network that "
            f"does not solve the task, {told} do not tell an algorithm"
        )
    elif math.isnan(symmetricity) or math.isnan(irrelevance):
        verdict, reason = "refused", f"{told} are not both defined"
    else:
        verdict = _algorithm(symmetricity, irrelevance)
        near = NEAR_SYMMETRICITY + _Z * standard_error
        # The algorithms' regions are quadrants, so a neighbourhood's corners meet all that it does.
        is_borderline = any(
            _algorithm(symmetricity + x, irrelevance + y) != verdict
            for x in (-near, near) for y in (-NEAR_IRRELEVANCE, NEAR_IRRELEVANCE)
        )  # fmt: skip
        reason = (
            f"{told}; a clock has at most {CLOCK_SYMMETRICITY} and at least {CLOCK_IRRELEVANCE}, "
            f"a pizza at least {PIZZA_SYMMETRICITY} and at most {PIZZA_IRRELEVANCE}"
        )
        if is_borderline:
            reason += "; borderline: a little to one side, and the verdict is another"
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
            one that the network was built for, or addition if that is not known: of a network that
            does something else, the accuracy is too low for a verdict.
        triples: as in :func:`probes.gradient_symmetricity`; 1000 drawn at random by default. "all"
            is exact, and takes a minute for p = 113.
        seed: as there, for random triples.
        hook: as there.
        min_accuracy: as in :func:`probes.clock_or_pizza`.

    Raises:
        ValueError: another operation, whose operands do not play the same part.
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
