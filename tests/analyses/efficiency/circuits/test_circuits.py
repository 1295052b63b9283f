"""Circuits of networks whose answers are known: the closed form, and ones that say nothing."""

from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.efficiency.circuits import circuits
from analyses.efficiency.circuits.circuits import (
    Circuit,
    CircuitError,
    Definition,
    check_compatible,
)
from analyses.efficiency.circuits.sources import closed_form

P = 13
TASK = gi.DataConfig(p=P)


def make(kind: str = "generalising", task: gi.DataConfig = TASK, **changes: Any) -> Circuit:
    """The closed form as any kind of circuit of any task."""
    dataset = gi.make_dataset(task)
    given: dict[str, Any] = {"dataset": dataset, "seen": dataset.is_train, "source": "by hand"}
    given["model"] = gi.closed_form_mlp(task.p, 200).eval()
    return Circuit(kind=kind, **given | changes)


def test_a_circuit_has_its_numbers() -> None:
    circuit = make()
    model, dataset = circuit.model, circuit.dataset
    with torch.no_grad():
        torch.testing.assert_close(circuit.logits(), model(dataset.tokens).double())
    assert circuit.logits() is circuit.logits()  # computed once
    flat = torch.cat([w.detach().flatten() for w in model.parameters()]).double()
    assert circuit.norm == pytest.approx(float(flat.norm()), rel=1e-12)
    assert circuit.accuracy() == circuit.accuracy(dataset.is_test) == 1.0
    assert (circuit.scores.accuracy.sel(subset=["train", "test", "unchanged"]) == 1).all()


def test_accuracy_is_on_the_given_labels() -> None:
    task = gi.DataConfig(p=P, corruption=0.5, corruption_kind="derangement")
    circuit = make(task=task)  # it is right wherever the label is
    assert circuit.accuracy(circuit.dataset.is_changed) == 0.0
    assert circuit.scores.accuracy.sel(subset="changed").values.tolist() == [0.0, 1.0]


def test_what_does_not_do_its_kind_s_work_is_refused_with_its_numbers() -> None:
    numbers = r"it has train 1\.000, validation 1\.000"
    with pytest.raises(CircuitError, match=rf"C_mem .by hand.* <= 0\.05; {numbers}"):
        make("memorising")
    with pytest.raises(CircuitError, match=r"C_gen .*>= 0\.999; it has .* validation 0\.\d"):
        make(model=gi.HookedMLP(gi.MLPConfig(d_mlp=8), p=P).eval())
    assert make("memorising", definition="published").kind == "memorising"  # never looks there


def test_a_bound_without_examples_or_of_a_diverged_network_is_not_kept() -> None:
    with pytest.raises(CircuitError, match=r"changed-label nan"):
        make(definition="half")
    model = gi.closed_form_mlp(P, 200)
    with torch.no_grad():
        model.W_U[0, 0] = torch.nan
    with pytest.raises(CircuitError, match=r"validation nan"):
        make(model=model)


def test_shortfall_adds_up_what_is_missed() -> None:
    wanted = Definition(at_least={"train": 0.9, "unchanged": 0.5}, at_most={"test": 0.1})
    found = {"train": 0.7, "unchanged": 0.8, "test": 0.15}
    assert wanted.shortfall(found) == pytest.approx(0.2 + 0.05)
    assert wanted.shortfall({"train": 0.9, "unchanged": 0.5, "test": 0.1}) == 0
    assert str(wanted) == (
        "train accuracy >= 0.9 and unchanged-label accuracy >= 0.5 and validation accuracy <= 0.1"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "grokking"}, "kind='grokking' is unknown"),
        ({"definition": "mine"}, "definition='mine' is unknown"),
        ({"model": gi.closed_form_mlp(11, 200)}, "made for p=11, the dataset for p=13"),
        ({"seen": torch.ones(5, dtype=torch.bool)}, r"mask over the 169 pairs.*\[5\]"),
        ({"seen": torch.ones(P * P)}, "float32"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_parts_that_do_not_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_compatible_circuits_are_of_one_task() -> None:
    one = make()
    check_compatible(one, closed_form(TASK, d_mlp=150), make(seen=~one.seen))
    with pytest.raises(ValueError, match="different moduli, p=13 and p=11"):
        check_compatible(one, one, closed_form(gi.DataConfig(p=11)))
    other = gi.DataConfig(p=P, operation="subtraction")
    reverse = gi.closed_form_mlp(P, 200)
    with torch.no_grad():
        reverse.W_E[1] = reverse.W_E[1][-torch.arange(P) % P].clone()  # b -> -b
    with pytest.raises(ValueError, match=r"different tasks.*on 156 of 169 pairs"):
        check_compatible(one, make(task=other, model=reverse))


def test_labels_of_pairs_that_both_have_seen_must_agree() -> None:
    noisy = gi.DataConfig(p=P, corruption=0.5, corruption_kind="derangement")
    other = make(task=noisy)
    changed = other.dataset.is_changed
    with pytest.raises(ValueError, match=f"different labels for {int(changed.sum())} of the 84"):
        check_compatible(make(), other)
    check_compatible(make(), make(task=noisy, seen=other.seen & ~changed))


def test_classes_must_be_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"anything": {kind: Definition() for kind in circuits.KINDS}}
    monkeypatch.setattr(circuits, "DEFINITIONS", {**circuits.DEFINITIONS, **free})
    wide = gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig(d_vocab_out=P + 4), p=P)
    anything = make(model=wide, definition="anything")
    with pytest.raises(ValueError, match=r"13 and 17 classes.*d_vocab_out"):
        check_compatible(make(), anything)
