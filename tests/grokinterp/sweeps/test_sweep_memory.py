"""A sweep frees a block's networks when it is done with them, and pays for that only if it must."""

import gc
import weakref
from collections.abc import Iterator

import pytest

import grokinterp as gi
from grokinterp.sweeps import work

RUNS = 3
alive: list[weakref.ref[object]] = []


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The collections that a sweep asks for, while there are no others."""
    asked: list[int] = []

    class CountedGC:
        @staticmethod
        def collect() -> int:
            asked.append(1)
            return gc.collect()

    monkeypatch.setattr(work, "gc", CountedGC)
    alive.clear()
    gc.disable()
    yield asked
    gc.enable()


def count_earlier_models(run: gi.Run) -> int:
    """A measure: the models of earlier blocks that still exist."""
    count = sum(model() is not None for model in alive)
    alive.append(weakref.ref(run.model))
    return count


def count_and_entangle(run: gi.Run) -> int:
    """The same, and puts the model into a reference cycle."""
    run.model.__dict__["itself"] = run.model
    return count_earlier_models(run)


@pytest.mark.parametrize(
    "model",
    [
        gi.MLPConfig(d_mlp=8),
        gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8),
        gi.LSTMConfig(d_embed=6, d_hidden=7),
    ],
    ids=lambda config: type(config).__name__,
)
def test_networks_go_without_a_garbage_collection(
    base: gi.RunConfig, model: object, collections: list[int]
) -> None:
    """A collection takes longer than a small run: it visits every object of the process."""
    config = base.replace({"model": model, "training.steps": 1})
    measure = {"alive": count_earlier_models}
    found = gi.sweep(config, {}, RUNS, measure, chunk=1, device="cpu", progress=False)
    assert found["alive"].values.tolist() == [0] * RUNS
    assert not collections


def test_networks_in_reference_cycles_go_too(base: gi.RunConfig, collections: list[int]) -> None:
    measure = {"alive": count_and_entangle}
    found = gi.sweep(base, {}, RUNS, measure, chunk=1, device="cpu", progress=False)
    assert found["alive"].values.tolist() == [0] * RUNS
    assert len(collections) == RUNS
