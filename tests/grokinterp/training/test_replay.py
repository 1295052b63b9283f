"""When a step is captured and when it is not, with a stand-in for CUDA; see tests/gpu for real."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch

from grokinterp.training.replay import Replay

CUDA = torch.device("cuda")


class Graph:
    """A captured function."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


class Device:
    """Stands in for ``torch.cuda``: notes captures and the debug mode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mode, self.graphs = 0, list[Graph]()
        self.is_capturing = False
        for name, value in {
            "CUDAGraph": Graph,
            "graph": self.capture,
            "device": lambda device: nullcontext(),
            "get_sync_debug_mode": lambda: self.mode,
            "set_sync_debug_mode": self.set_mode,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def set_mode(self, mode: int | str) -> None:
        self.mode = mode

    @contextmanager
    def capture(self, graph: Graph, **options: Any) -> Iterator[None]:
        self.graphs.append(graph)
        self.is_capturing = True
        try:
            yield
        finally:
            self.is_capturing = False


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def test_the_third_step_is_captured_and_replayed_from_then_on(device: Device) -> None:
    computed: list[str] = []
    replay = Replay(CUDA)
    for _ in range(6):
        replay(lambda: computed.append("captured" if device.is_capturing else "computed"))
    assert computed == ["computed", "computed", "captured"]  # capturing computes nothing
    assert [graph.replays for graph in device.graphs] == [4]  # of steps 3 to 6
    assert replay.replays
    assert replay.refusal == ""


def test_a_step_that_waits_for_the_device_is_computed_every_time(device: Device) -> None:
    computed = []

    def step() -> None:
        computed.append(device.mode)
        if device.mode == "warn":
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=1)

    replay = Replay(CUDA)
    for _ in range(5):
        replay(step)
    assert computed == [0, "warn", 0, 0, 0]  # and the user's debug mode is back
    assert device.graphs == []
    assert not replay.replays
    assert "waits for the device" in replay.refusal


def test_other_warnings_of_a_step_are_passed_on(device: Device) -> None:
    def step() -> None:
        if device.mode == "warn":
            warnings.warn("something else", UserWarning, stacklevel=1)

    replay = Replay(CUDA)
    replay(step)
    with pytest.warns(UserWarning, match="something else"):
        replay(step)
    assert replay.refusal == ""


def test_a_step_that_cannot_be_captured_is_computed_with_a_warning(device: Device) -> None:
    computed = []

    def step() -> None:
        if device.is_capturing:
            raise RuntimeError("operation not permitted\nmore of it")
        computed.append(1)

    replay = Replay(CUDA)
    replay(step)
    replay(step)
    with pytest.warns(RuntimeWarning, match=r"captured.*\(operation not permitted\)"):
        replay(step)
    replay(step)
    assert len(computed) == 4
    assert not replay.replays
