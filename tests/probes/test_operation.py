"""The task that a probe measures in: asked for, or the one that the network was built for."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import grokinterp as gi
import probes

# Two take no network with an embedding: see test_solution_form and test_ipr.
ONE_LAYER = ("model_neuron_ipr", "model_solution_form")
PROBES = [n for n in probes.__all__ if n.startswith("model_") and n not in ONE_LAYER]
BY_TASK = [
    name for name in PROBES if "operation" in inspect.signature(getattr(probes, name)).parameters
]


@pytest.fixture(scope="module")
def multiplying() -> gi.Run:
    """A network with norms, which every probe takes; p has a primitive root of its own order."""
    return gi.train(
        gi.RunConfig(
            data=gi.DataConfig(p=7, operation="multiplication", train_fraction=0.5),
            model=gi.EmbeddingMLPConfig(d_embed=8, hidden=(12,), combine="sum", norm="layer"),
            training=gi.TrainConfig(steps=3),
        ),
        progress=False,
    )


def numbers(result: Any) -> list[float]:
    """All numbers in a probe's result."""
    if isinstance(result, Tensor):
        return result.double().flatten().tolist()
    if isinstance(result, dict):
        return [n for value in result.values() for n in numbers(value)]
    if isinstance(result, list | tuple):
        return [n for value in result for n in numbers(value)]
    if isinstance(result, str | None):
        return []
    if hasattr(result, "__dict__"):
        return numbers(vars(result))
    return [float(result)]


@pytest.mark.parametrize("name", BY_TASK)
def test_the_operation_is_the_networks_own_unless_another_is_asked_for(
    name: str, multiplying: gi.Run
) -> None:
    probe, model = getattr(probes, name), multiplying.model
    own, asked, other = probe(model), probe(model, "multiplication"), probe(model, "addition")
    assert numbers(own) == pytest.approx(numbers(asked), nan_ok=True, rel=1e-12)
    if name != "model_key_frequencies":  # a network after three steps has none
        assert numbers(own) != pytest.approx(numbers(other), nan_ok=True, rel=1e-3)


@pytest.mark.parametrize("name", BY_TASK)
def test_signatures_are_alike(name: str) -> None:
    model, operation, *rest = inspect.signature(getattr(probes, name)).parameters.values()
    assert (model.name, operation.name, operation.default) == ("model", "operation", None)
    assert operation.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(parameter.kind == inspect.Parameter.KEYWORD_ONLY for parameter in rest)


@pytest.mark.parametrize("name", [name for name in BY_TASK if "clock" not in name])
def test_a_network_that_does_not_know_its_operation_needs_it(name: str) -> None:
    model = gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig(d_embed=4, hidden=(6,), norm="layer"), p=7)
    with pytest.raises(
        TypeError, match=r"does not know its operation; give it, as in operation=\""
    ):
        getattr(probes, name)(model)


def test_networks_that_know_their_operation(multiplying: gi.Run, tmp_path: Path) -> None:
    assert gi.closed_form_mlp(7, 12).operation == "addition"
    assert gi.build_model(multiplying.config).operation == "multiplication"
    multiplying.save(tmp_path / "run")
    assert gi.Run.load(tmp_path / "run").model.operation == "multiplication"
    multiplying.model.save_pretrained(tmp_path / "model")
    again = gi.HookedEmbeddingMLP.from_pretrained(tmp_path / "model")
    assert again.operation == "multiplication"


def test_a_verdict_without_a_known_operation_is_about_addition() -> None:
    model = gi.closed_form_mlp(7, 60)
    by_name, model.operation = probes.model_clock_or_pizza(model), None
    assert repr(probes.model_clock_or_pizza(model)) == repr(by_name)


def test_every_probe_of_frequencies_asks_for_the_task() -> None:
    """Not those of norms and of single logits."""
    of_no_frequency = {
        "model_label_logits",
        "model_label_margins",
        "model_neuron_attribution",
        "model_neuron_norms",
    }
    without = {name for name in PROBES if name not in BY_TASK}
    assert without == of_no_frequency
