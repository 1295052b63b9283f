"""Devices that run out of memory or fail, and resources that this machine does not have."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from grokinterp.tracking import Callback
from grokinterp.training import device_errors, resources, trainer
from grokinterp.training.device_errors import halved, named_device_errors
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=7, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=6, eval_every=2),
)
SEEDS = [SMALL.replace({"seed": seed}) for seed in range(7)]


def full_at(monkeypatch: pytest.MonkeyPatch, fits: int, *, step: int) -> list[int]:
    """Let stacks of more than so many runs run out of memory at a step; returns the sizes tried."""
    tried: list[int] = []

    class Tight(Stack):
        def __init__(self, configs: Any, *args: Any, **options: Any) -> None:
            super().__init__(configs, *args, **options)
            tried.append(len(configs))

        def step(self) -> None:
            if len(self.state.configs) > fits and self.steps_done == step:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            super().step()

    monkeypatch.setattr(trainer, "Stack", Tight)
    return tried


class Heard(Callback):
    def __init__(self) -> None:
        self.updates: list[int] = []
        self.rows: list[tuple[int, int]] = []

    def on_step(self, updates: int) -> None:
        self.updates.append(updates)

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        self.rows.append((run, step))


@pytest.mark.parametrize("step", [0, 3])
def test_a_stack_that_does_not_fit_is_trained_in_halves(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = gi.train_many(SEEDS, device="cpu", precision="float64", progress=False)
    tried, heard = full_at(monkeypatch, 2, step=step), Heard()
    got = gi.train_many(SEEDS, device="cpu", precision="float64", callbacks=[heard], progress=False)
    assert tried == [7, 4, 2, 2, 2, 1]
    for one, other in zip(want, got, strict=True):
        assert one.config == other.config
        np.testing.assert_allclose(one.history.norm, other.history.norm, rtol=1e-12)
    assert sum(heard.updates) == 7 * 6  # each step once, as if nothing had been tried twice
    assert min(heard.updates) > 0
    assert sorted(heard.rows) == [(run, row) for run in range(7) for row in (0, 2, 4, 6)]


def test_halving_reaches_the_stacks_that_wait() -> None:
    assert halved([[0, 1, 2], [3, 4, 5, 6, 7], [8]]) == [[0, 1], [2], [3, 4], [5, 6], [7], [8]]


def test_a_single_run_that_does_not_fit_is_an_error_with_its_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = full_at(monkeypatch, 0, step=0)
    monkeypatch.setattr(device_errors, "free_memory", lambda place: 3 * 2**20)
    monkeypatch.setattr(device_errors, "bytes_per_run", lambda config, resources: 5 * 2**20)
    message = (
        "a single run of p=7 and MLPConfig(d_mlp=8) does not fit onto cpu: it needs about 5 MiB, "
        "and 3 MiB are free; train a smaller network"
    )
    with pytest.raises(MemoryError, match=re.escape(message)):
        gi.train_many(SEEDS[:4], device="cpu", progress=False)
    assert tried == [4, 2, 1]


def test_a_device_that_fails_in_training_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands in for the device; the trainer asks for its errors to be named."""
    asked: list[torch.device] = []

    def lost(stack: Stack) -> None:
        raise device_errors._FAILED("CUDA error: device is lost\nCompile with TORCH_USE_CUDA_DSA")

    def as_on_cuda(place: torch.device) -> AbstractContextManager[None]:
        asked.append(place)
        return device_errors.named_device_errors(torch.device("cuda:0"))

    monkeypatch.setattr(Stack, "step", lost)
    monkeypatch.setattr(trainer, "named_device_errors", as_on_cuda)
    with pytest.raises(RuntimeError, match=r"'cuda:0' failed .* device is lost\. Train"):
        gi.train(SMALL, device="cpu", progress=False)
    assert asked == [torch.device("cpu")]


@pytest.mark.parametrize("error", [ValueError("CUDA"), RuntimeError("a probe's own")])
def test_other_errors_are_left_alone(error: Exception) -> None:
    with (
        pytest.raises(type(error), match=f"^{error}$"),
        device_errors.named_device_errors(torch.device("cuda:0")),
    ):
        raise error


def test_a_mac_gpu_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"device='mps' cannot train: it has no float64.*'cpu'"):
        Resources(device="mps")


def test_more_threads_than_cores_work_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "usable_cores", lambda: 2)
    Resources(device="cpu", threads=2)
    with pytest.warns(RuntimeWarning, match="threads=3 is more than the 2 cores"):
        run = gi.train(SMALL, device="cpu", threads=3, progress=False)
    want = gi.train(SMALL, device="cpu", threads=1, progress=False)
    np.testing.assert_allclose(run.history.norm, want.history.norm, rtol=1e-5)


@pytest.mark.parametrize(
    ("found", "supported"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "avx512_f": True}, False),  # emulated
        ({"architecture": "aarch64"}, False),
        ({}, False),
    ],
)
def test_bfloat16_without_instructions_works_with_one_warning(
    found: dict[str, object],
    supported: bool,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    of_mkldnn = found.get("architecture") == "x86_64"
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: of_mkldnn)
    resources._warn_of_slow_bfloat16.cache_clear()
    for _ in range(2):
        gi.train(SMALL, device="cpu", precision="bfloat16", progress=False)
    told = [str(warning.message) for warning in recwarn]
    assert len(told) == (not supported)
    assert all("has no bfloat16 instructions" in text for text in told)


@pytest.mark.parametrize("told", ["could not create a primitive descriptor for the LSTM", "else"])
def test_a_product_that_the_cpu_does_not_have_names_the_remedy(told: str) -> None:
    named = named_device_errors(torch.device("cpu"))
    message = "LSTMs need bfloat16 instructions .* use precision='float32'"
    with pytest.raises(RuntimeError, match=message if "LSTM" in told else "^else$"), named:
        raise RuntimeError(told)
