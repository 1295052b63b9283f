"""Verdicts: the published networks' numbers, what lies between, and what is refused."""

import math

import pytest

import grokinterp as gi
from probes import accuracy, network_on_pairs
from probes.clock_pizza import clock_or_pizza, model_clock_or_pizza


@pytest.mark.parametrize(
    ("symmetricity", "irrelevance", "verdict"),
    [
        (0.993665, 0.171736, "pizza"),  # Model A
        (0.333638, 0.848260, "clock"),  # Model B
        (1.0, 0.230205, "pizza"),  # Model Beta
        (0.995, 0.908, "neither"),  # a network of several layers
        (0.3, 0.2, "neither"),
        (0.66, 0.54, "neither"),  # half-way
    ],
)
def test_solved(symmetricity: float, irrelevance: float, verdict: str) -> None:
    found = clock_or_pizza(1.0, symmetricity, irrelevance)
    assert found.verdict == verdict
    assert f"{symmetricity:.3f}" in found.reason
    assert f"{irrelevance:.3f}" in found.reason


@pytest.mark.parametrize("share", [0.0, 0.27, 0.9899, float("nan")])
def test_unsolved_is_refused(share: float) -> None:
    found = clock_or_pizza(share, 0.333638, 0.848260)
    assert found.verdict == "refused"
    assert "is below 0.99: in a network that does not solve the task" in found.reason
    assert (found.gradient_symmetricity, found.distance_irrelevance) == (0.333638, 0.848260)
    if share == share:
        assert clock_or_pizza(share, 0.333638, 0.848260, min_accuracy=0.2).verdict == (
            "clock" if share > 0.2 else "refused"
        )


def test_undefined_measures_are_refused() -> None:
    assert clock_or_pizza(1.0, float("nan"), 0.2).verdict == "refused"
    assert clock_or_pizza(1.0, 1.0, float("nan")).verdict == "refused"


def test_a_network_that_solves_the_task_and_one_that_does_not() -> None:
    solved = gi.closed_form_mlp(p=11, d_mlp=400, seed=1)
    assert (
        accuracy(network_on_pairs(solved).logits(), gi.operation_table("addition", 11).flatten())
        == 1.0
    )
    found = model_clock_or_pizza(solved)
    assert found.verdict == "not applicable"  # U and V are no embeddings in one space
    assert "each operand has input weights of its own" in found.reason
    assert math.isnan(found.gradient_symmetricity)
    assert found.accuracy == 1.0
    asked = model_clock_or_pizza(solved, hook="hook_embed")
    assert asked.verdict != "refused"
    assert asked.gradient_symmetricity == pytest.approx(1.0, abs=1e-6)  # it adds first
    untrained = gi.HookedTransformer(gi.TransformerConfig(d_model=8, n_heads=2), p=11)
    assert model_clock_or_pizza(untrained).verdict == "refused"


def test_the_default_verdict_is_given_on_a_sample() -> None:
    model = gi.HookedTransformer(gi.TransformerConfig(d_model=8, n_heads=2), p=11, seed=2)
    sample, other = model_clock_or_pizza(model), model_clock_or_pizza(model, seed=1)
    whole = model_clock_or_pizza(model, triples="all")
    assert whole.standard_error == 0.0
    assert 0 < sample.standard_error < 0.04  # a thousand cosines, of standard deviation 1 at most
    assert sample.gradient_symmetricity != other.gradient_symmetricity
    for found in (sample, other):
        assert found.gradient_symmetricity == pytest.approx(
            whole.gradient_symmetricity, abs=4 * found.standard_error
        )


@pytest.mark.parametrize(
    ("symmetricity", "irrelevance", "error", "verdict", "near"),
    [
        (0.993665, 0.171736, 0.0001, "pizza", False),
        (0.333638, 0.848260, 0.047, "clock", False),
        (0.570, 0.848, 0.0, "neither", True),
        (0.540, 0.848, 0.0, "clock", True),
        (0.617, 0.848, 0.0, "neither", False),
        (0.617, 0.848, 0.001, "neither", True),
        (0.3, 0.577, 0.0, "neither", False),
        (0.3, 0.579, 0.0, "neither", True),
        (0.76, 0.45, 0.0, "neither", True),  # of both bounds
        (0.995, 0.908, 0.0, "neither", False),
    ],
)
def test_a_near_miss_is_borderline(
    symmetricity: float, irrelevance: float, error: float, verdict: str, near: bool
) -> None:
    found = clock_or_pizza(1.0, symmetricity, irrelevance, standard_error=error)
    assert (found.verdict, found.is_borderline, found.standard_error) == (verdict, near, error)
    assert ("borderline" in found.reason) is near
    assert not clock_or_pizza(0.5, symmetricity, irrelevance, standard_error=error).is_borderline


def test_bad_input() -> None:
    model = gi.closed_form_mlp(p=11, d_mlp=40)
    with pytest.raises(ValueError, match="operation='subtraction' is unknown"):
        model_clock_or_pizza(model, "subtraction")
    for bad in (0.0, 1.01):
        with pytest.raises(ValueError, match="min_accuracy must"):
            clock_or_pizza(1.0, 1.0, 0.2, min_accuracy=bad)
