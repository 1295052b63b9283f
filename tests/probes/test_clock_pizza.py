"""Verdicts: the published networks' numbers, what lies between, and what is refused."""

import pytest

import grokinterp as gi
from probes import accuracy, surface
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
    assert "is below 0.99: of a network that does not solve the task" in found.reason
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
    assert accuracy(surface(solved).logits(), gi.operation_table("addition", 11).flatten()) == 1.0
    found = model_clock_or_pizza(solved)
    assert found.verdict != "refused"
    assert found.gradient_symmetricity == pytest.approx(1.0, abs=1e-6)  # it adds first
    untrained = gi.HookedMLP(gi.MLPConfig(d_mlp=400), p=11)
    assert model_clock_or_pizza(untrained, triples="published").verdict == "refused"


def test_bad_input() -> None:
    model = gi.closed_form_mlp(p=11, d_mlp=40)
    with pytest.raises(ValueError, match="operation='subtraction' is unknown"):
        model_clock_or_pizza(model, "subtraction")
    for bad in (0.0, 1.01):
        with pytest.raises(ValueError, match="min_accuracy must"):
            clock_or_pizza(1.0, 1.0, 0.2, min_accuracy=bad)
