"""What a mixture may be trained and validated on: leaks and errors are counted and refused."""

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import grokinterp as gi
from analyses.efficiency.circuits.circuits import Circuit
from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.gradient_flow import predict
from analyses.efficiency.mixing.landscape import compute_landscape
from analyses.efficiency.mixing.tables import Tables, published_tables, tables_of

P = 11
DATA = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.3))


def circuit(kind: str, seen: torch.Tensor, *, wrong: int = 0, p: int = P) -> Circuit:
    """A circuit of known answers: C_mem is right on what it has seen but for ``wrong``."""
    dataset = DATA if p == P else gi.make_dataset(gi.DataConfig(p=p))
    right = torch.ones(p * p, dtype=torch.bool)
    if kind == "memorising":
        right = seen.clone()
        right[seen.nonzero()[:wrong, 0]] = False
    answers = torch.where(right, dataset.labels, (dataset.labels - 1) % p)
    made = Circuit.__new__(Circuit)  # not from a network: only its answers matter here
    made.__dict__.update(kind=kind, source="made up", dataset=dataset, seen=seen)
    made.__dict__["_logits"] = 5.0 * F.one_hot(answers, p).double()
    made.__dict__["norm"] = {"memorising": 9.0, "generalising": 4.0}[kind]
    return made


def first(share: float) -> torch.Tensor:
    """A mask of the pairs with the smallest numbers; nested."""
    return torch.arange(P * P) < share * P * P


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("ask", [mixture.compute, compute_landscape, predict])
def test_tables_of_several_seeds_are_refused(ask: Any) -> None:
    tables = tables_of(circuit("memorising", first(0.2)), circuit("generalising", first(0.2)))
    with pytest.raises(
        TypeError, match=r"tables must be the Tables of one pair.*got \[.*one seed's"
    ):
        ask([tables])


def test_by_default_validation_is_what_neither_has_seen() -> None:
    memorising, generalising = (
        circuit("memorising", first(0.2)),
        circuit("generalising", first(0.9)),
    )
    tables = tables_of(memorising, generalising)
    assert torch.equal(tables.is_train, first(0.2))
    assert torch.equal(tables.is_test, ~first(0.9))
    assert tables.norms == (9.0, 4.0)
    assert (tables.overlap, tables.errors) == (0, 0)
    assert torch.equal(tables.labels, DATA.labels)
    probabilities, _, labels = tables.on("test", mixed="probabilities")
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(labels)).double())
    torch.testing.assert_close(probabilities, memorising.logits()[~first(0.9)].softmax(dim=1))
    logits, _, _ = tables.on("train", mixed="logits")
    assert torch.equal(logits, memorising.logits()[first(0.2)])


def test_as_published_seven_eighths_of_the_validation_pairs_were_trained_on() -> None:
    memorising = circuit("memorising", first(0.2), wrong=1)
    tables = published_tables(memorising, circuit("generalising", first(0.9)))
    assert tables.overlap / int(tables.is_test.sum()) == pytest.approx(0.875, abs=0.01)
    assert tables.errors == 1
    assert int(tables.is_train.sum() + tables.is_test.sum()) == P * P


def test_leaks_are_refused_with_their_number_unless_asked_for() -> None:
    memorising, generalising = (
        circuit("memorising", first(0.2)),
        circuit("generalising", first(0.9)),
    )
    leaky = ~first(0.8)
    n = int((leaky & first(0.9)).sum())
    with pytest.raises(ValueError, match=f"{n} of {int(leaky.sum())} test pairs were seen"):
        tables_of(memorising, generalising, is_test=leaky)
    assert tables_of(memorising, generalising, is_test=leaky, overlap="allowed").overlap == n


def test_errors_of_the_memoriser_are_refused_with_their_number() -> None:
    memorising = circuit("memorising", first(0.2), wrong=2)
    generalising = circuit("generalising", first(0.9))
    n = int(first(0.2).sum())
    with pytest.raises(ValueError, match=f"C_mem is wrong on 2 of {n} training pairs"):
        tables_of(memorising, generalising)
    assert tables_of(memorising, generalising, errors="allowed").errors == 2
    half = first(0.2) & (torch.arange(P * P) > 5)  # without the two
    assert tables_of(memorising, generalising, is_train=half).errors == 0


def test_nothing_left_to_validate_on_is_refused() -> None:
    everything = torch.ones(P * P, dtype=torch.bool)
    with pytest.raises(ValueError, match="no pair is left to test the mixture on; train the circ"):
        tables_of(circuit("memorising", first(0.2)), circuit("generalising", everything))


def test_circuits_that_do_not_go_together_are_refused() -> None:
    other = circuit("generalising", torch.zeros(49, dtype=torch.bool), p=7)
    with pytest.raises(ValueError, match="different moduli, p=11 and p=7"):
        tables_of(circuit("memorising", first(0.2)), other)
    with pytest.raises(ValueError, match="overlap='yes' is unknown"):
        tables_of(
            circuit("memorising", first(0.2)), circuit("generalising", first(0.9)), overlap="yes"
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"memorising": torch.zeros(P * P, P + 1)},
            r"logits have shapes \[\(121, 11\), \(121, 12\)",
        ),
        ({"generalising": torch.full((P * P, P), torch.nan)}, "generalising has NaN"),
        ({"is_train": torch.zeros(P * P, dtype=torch.bool)}, "no pair is left to train"),
        ({"is_test": first(0.5)}, "pairs are both in is_train and in is_test"),
        ({"is_train": first(0.2).long()}, r"is_train must be a mask over the 121 .* torch\.int64"),
        ({"is_test": ~first(0.2)[:50]}, r"is_test must be a mask over the 121 .* \[50\]"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_bad_tables_are_refused(changes: dict[str, Any], message: str) -> None:
    zeros = torch.zeros(P * P, P)
    good = Tables(zeros, zeros, DATA.labels, first(0.2), ~first(0.2))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(good, **changes)
