import gc
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

import grokinterp as gi
from grokinterp.team import Team
from grokinterp.tracking import Callback
from grokinterp.training.memory import parse_bytes, run_bytes
from grokinterp.training.passes import Passes, embedding_mlps, small, transformers
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.embedding_mlps import EmbeddingMLPPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.passes.transformers import TransformerPasses
from grokinterp.training.plan import plan
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack
from grokinterp.training.trainer import train_each

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=11, corruption=0.3),
    model=gi.MLPConfig(d_mlp=20),
    training=gi.TrainConfig(steps=20, eval_every=5),
)


def seeds(count: int) -> list[gi.RunConfig]:
    return [SMALL.replace({"seed": seed}) for seed in range(count)]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(1000, 1000), ("1000", 1000), ("2 GiB", 2 * 2**30), ("1.5gb", 1.5e9), ("512 MiB", 2**29)],
)
def test_amounts_of_memory(amount: int | str, expected: float) -> None:
    assert parse_bytes(amount) == expected


def test_an_amount_of_memory_that_no_float_holds() -> None:
    assert parse_bytes("9" * 400 + " GB") == (10**400 - 1) * 10**9


@pytest.mark.parametrize("amount", ["much", "-1", 0, -5, "3 XB", True, "9" * 5000])
def test_no_amount_of_memory(amount: int | str) -> None:
    with pytest.raises(ValueError, match="memory_limit"):
        gi.train_many([SMALL], memory_limit=amount, progress=False)


def test_stacks_keep_to_the_limit_and_hold_every_run_once() -> None:
    configs = seeds(10)
    need = run_bytes(SMALL, 4)
    stacks = plan(configs, Resources(device="cpu", memory_limit=3 * need))
    assert sorted(len(stack) for stack in stacks) == [1, 3, 3, 3]
    assert sorted(i for stack in stacks for i in stack) == list(range(10))


def test_a_limit_below_one_run_stops_before_training() -> None:
    with pytest.raises(ValueError, match=r"memory_limit='10 KiB' is too low for one run.*raise it"):
        train_each([SMALL], Resources(memory_limit="10 KiB"))


def tensor_bytes() -> dict[int, int]:
    """The memory of every tensor that is alive, by its address."""
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)  # not those that torch.compile traces with
    tensors = [found for found in gc.get_objects() if type(found) in kinds]
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


def stack_bytes(config: gi.RunConfig, passes: type[Passes], runs: int) -> int:
    """What a stack of so many runs holds after its first step and evaluation."""
    configs = [config.replace({"seed": seed, "data.seed": seed}) for seed in range(runs)]
    before = tensor_bytes()
    with torch.no_grad(), Team(1) as team:
        stack = Stack(configs, Resources(device="cpu"), team, passes=passes)
        stack.step()
        stack.evaluate()
        held = tensor_bytes()
    return sum(size for address, size in held.items() if address not in before)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, SmallRunsPasses),
        ({"data.train_fraction": 0.9}, SmallRunsPasses),
        ({"model.d_mlp": 400}, SmallRunsPasses),
        ({"data.p": 31}, SmallRunsPasses),
        ({"data.train_fraction": 0.9}, HandWrittenPasses),
        ({"data.p": 31}, HandWrittenPasses),
        ({"model": gi.TransformerConfig(d_model=32, n_heads=2, d_mlp=64)}, TransformerPasses),
        ({"model": gi.EmbeddingMLPConfig(d_embed=16, hidden=(64, 64))}, EmbeddingMLPPasses),
    ],
)
def test_the_estimate_of_memory_is_what_a_run_adds_to_a_stack(
    changes: dict[str, object], passes: type[Passes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted without the finished model: a sixth of what its weights take.

    Nor the buffers of a group of runs, which has one here. Small MLPs need fewer indices.
    """
    for ways in (small, embedding_mlps, transformers):
        monkeypatch.setattr(ways, "_GROUP_BYTES", 1)
    config = SMALL.replace(changes)
    added = (stack_bytes(config, passes, 10) - stack_bytes(config, passes, 4)) / 6
    assert added < run_bytes(config, 4) < 1.4 * added


def test_runs_are_the_same_in_chunks() -> None:
    configs = seeds(5)
    whole = gi.train_many(configs, precision="float64", progress=False)
    limit = 2 * run_bytes(SMALL, 8)
    pieces = gi.train_many(configs, precision="float64", memory_limit=limit, progress=False)
    assert [run.provenance["stack_size"] for run in pieces] == [2, 2, 2, 2, 1]
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one.history.norm, other.history.norm, rtol=1e-9)


def test_runs_are_handed_out_as_their_stack_finishes() -> None:
    limit = run_bytes(SMALL, 4)
    given = train_each(seeds(3), Resources(memory_limit=limit))
    first, run = next(given)
    assert (first, run.config.seed) == (0, 0)


class Notes(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def on_start(self, configs: Sequence[gi.RunConfig]) -> None:
        self.seen.append(("start", len(configs)))

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        self.seen.append(("row", run, step, metrics["test_accuracy"]))

    def on_finish(self, run: int, config: gi.RunConfig, summary: Mapping[str, float]) -> None:
        self.seen.append(("finish", run, config.seed, summary["test_accuracy"]))

    def on_end(self) -> None:
        self.seen.append(("end",))


def test_callbacks_hear_of_every_row_and_run() -> None:
    notes = Notes()
    runs = gi.train_many(seeds(2), callbacks=[notes], progress=False)
    assert notes.seen[0] == ("start", 2)
    assert notes.seen[-1] == ("end",)
    for i, run in enumerate(runs):
        rows = [seen[2:] for seen in notes.seen if seen[:2] == ("row", i)]
        expected = zip(run.history.step.values, run.history.test_accuracy.values, strict=True)
        assert rows == [(int(step), float(value)) for step, value in expected]
        assert ("finish", i, i, float(run.history.test_accuracy[-1])) in notes.seen


def test_callbacks_end_even_if_training_fails() -> None:
    notes = Notes()

    def broken(model: gi.HookedMLP) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gi.train(SMALL, callbacks=[notes], probes={"broken": broken}, progress=False)
    assert notes.seen[-1] == ("end",)


@pytest.mark.usefixtures("no_type_checker")
def test_a_callback_must_be_one() -> None:
    with pytest.raises(TypeError, match=r"callbacks must be instances.*Callback, got 3"):
        gi.train(SMALL, callbacks=[3], progress=False)  # pyright: ignore[reportArgumentType]


def test_tf32_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match=r"tf32.*CUDA.*float32"):
        gi.train(SMALL, device="cpu", precision="tf32", progress=False)


def test_trainings_can_run_side_by_side() -> None:
    want = gi.train(SMALL, precision="float64", progress=False)
    got: list[gi.Run] = []
    threads = [
        threading.Thread(
            target=lambda: got.append(gi.train(SMALL, precision="float64", progress=False))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in got:
        torch.testing.assert_close(run.model.W_U, want.model.W_U, rtol=1e-9, atol=1e-12)


def test_a_run_that_no_memory_holds_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 * 4000 * 30,000 + 30,000 * 4000 weights, six times over in float32, are 8.0 GiB."""
    wide = SMALL.replace({"data.p": 4000, "model.d_mlp": 30_000})
    available = SimpleNamespace(available=2**33)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    monkeypatch.setattr("grokinterp.training.memory.build_model", None)
    with pytest.raises(
        ValueError, match=r"p=4000 and MLPConfig\(d_mlp=30000\) needs about 9.* 8.0"
    ):
        plan([wide], Resources(device="cpu", memory_limit=None))
    assert plan([wide], Resources(device="cpu", memory_limit="16 GiB")) == [[0]]
    available.available = 2**34
    assert plan([wide], Resources(device="cpu", memory_limit=None)) == [[0]]
