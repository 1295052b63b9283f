"""The benchmark of GPUs, which has a device once: nothing that fails stops what comes after it."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

from tests.benchmarks.checkout import ROOT, commit
from tests.benchmarks.gpu import __main__ as command
from tests.benchmarks.gpu import worker
from tests.benchmarks.gpu.results import Results
from tests.benchmarks.gpu.stage import OutOfTime, Stage, Task
from tests.benchmarks.gpu.stages import _diagram, _TimeLimit
from tests.gpu.parity import KINDS, Gap


def called(monkeypatch: pytest.MonkeyPatch, out: Path, module: str) -> dict[str, Any]:
    """What the command writes if ``module`` does the work."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["gpu", str(out)])
    command.main(module)
    return json.loads((out / "gpu.json").read_text())


@pytest.mark.slow
def test_a_new_process_goes_on_after_one_that_ends_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = called(monkeypatch, tmp_path, "tests.children.gpu_worker")
    assert found["parity"] == {
        "first": {"value": 1},
        "crashes": {"error": "the process ended with 11"},
        "hangs": {"error": "the process ended with -9"},
        "loses the device": {"error": "the task's own"},
        "last": {"value": 1},
    }
    assert "running" not in found


def test_a_process_that_cannot_begin_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = called(monkeypatch, tmp_path, "tests.children.not_there")
    assert found["error"] == "the process ended with 1"


@pytest.mark.slow
def test_no_more_processes_are_started_when_the_device_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = called(monkeypatch, tmp_path, "tests.children.gpu_worker_without_device")
    assert found["error"] == "3 processes in a row ended without a result"
    assert found["parity"] == {f"task {i}": {"error": "no device"} for i in range(3)}


def test_a_sweep_ends_when_there_is_no_time_for_another_block(tmp_path: Path) -> None:
    stage = Stage("fig3a", "cpu", "toy", tmp_path, time.time() + 600, {})
    limit = _TimeLimit(stage)
    limit.on_step(1)  # took no time
    limit._left = stage.left + 590  # as if the next block had taken 590 s, of which 600 are left
    limit.on_step(1)
    limit._left = stage.left + 610
    with pytest.raises(OutOfTime):
        limit.on_step(1)


@pytest.mark.slow
@pytest.mark.parametrize("error", [OutOfTime(), RuntimeError("CUDA error: lost")])
def test_a_diagram_is_stored_as_far_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def after_a_block(limit: _TimeLimit, updates: int) -> None:
        raise error

    monkeypatch.setattr(_TimeLimit, "on_step", after_a_block)
    monkeypatch.setattr("grokinterp.sweeps.chunks._MOST", 6)  # runs in a block
    found = _diagram(0, Stage("fig3a", "cpu", "toy", tmp_path, time.time() + 600, {}))
    assert (found["runs"], found["of"], sum(found["phases"].values())) == (6, 18, 6)
    assert ("error" in found) == isinstance(error, RuntimeError)
    with xr.open_dataset(tmp_path / "fig3a.nc", engine="h5netcdf") as diagram:
        assert diagram.done.sum() == diagram.mean_ipr.notnull().sum() == 6


def test_it_fits_into_eight_minutes() -> None:
    assert sum(command.BUDGET.values()) + command.GRACE < 480


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """``do(tasks, device)`` does these tasks as a stage and returns what the file then holds."""

    def all_of(tasks: dict[str, Task], device: str = "cpu", seconds: float = 600) -> dict[str, Any]:
        def listed(stage: Stage) -> Iterator[tuple[str, Task]]:
            yield from tasks.items()
            raise LookupError("in the list itself")

        monkeypatch.setitem(worker.STAGES, "parity", listed)
        results = Results(tmp_path / "gpu.json")
        end = time.time() + seconds
        stage = Stage("parity", device, "toy", tmp_path, end, results.stage("parity"))
        worker.do(stage, results)
        found = json.loads((tmp_path / "gpu.json").read_text())["parity"]
        found.pop("seconds")
        return found

    return all_of


def fail() -> None:
    raise ValueError("no good")


def fail_like_cuda() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def wait_longer() -> None:
    raise OutOfTime


def test_a_task_that_fails_does_not_stop_the_next(do: Callable[..., dict[str, Any]]) -> None:
    tasks = {"first": fail, "second": lambda: 2.0, "third": wait_longer, "last": lambda: {"x": 4}}
    assert do(tasks) == {
        "first": {"error": "ValueError: no good"},
        "second": 2.0,
        "last": {"x": 4},
        "not done": ["third"],
        "error": "LookupError: in the list itself",
    }


def test_tasks_that_have_results_are_not_done_again(do: Callable[..., dict[str, Any]]) -> None:
    do({"first": fail, "second": lambda: 2.0})
    again = do({"first": lambda: 1.0, "second": fail, "third": lambda: 3.0})
    assert again["first"] == {"error": "ValueError: no good"}
    assert (again["second"], again["third"]) == (2.0, 3.0)


def test_tasks_for_which_there_is_no_time_are_listed(do: Callable[..., dict[str, Any]]) -> None:
    found = do({"first": fail, "second": fail}, seconds=-1.0)
    assert found["not done"] == ["first", "second"]
    assert "first" not in found


def test_a_process_ends_if_its_device_has_failed(
    do: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "_has_failed", lambda: True)
    monkeypatch.setattr(worker.torch.cuda, "empty_cache", fail_like_cuda)
    monkeypatch.setattr(worker.os, "_exit", lambda status: sys.exit(status))
    with pytest.raises(SystemExit) as ended:
        do({"first": lambda: 1.0, "second": fail, "third": lambda: 3.0}, device="cuda")
    assert ended.value.code == command.AGAIN
    found = Results(tmp_path / "gpu.json")
    assert found.stage("parity")["second"] == {"error": "ValueError: no good"}
    assert "third" not in found.stage("parity")
    assert found.running is None


@pytest.mark.parametrize(
    ("gap", "precision", "excess"),
    [
        (Gap(1e-11, 1e-11, 0), "float64", []),
        (Gap(1e-9, 1e-11, 1), "float64", ["curves", "phases"]),
        (Gap(math.nan, 1e-9, 0), "float64", ["curves", "weights"]),
        (Gap(3e-3, 5e-3, 1), "float32", ["weights", "phases"]),
        (Gap(3e-3, 5e-3, 1), "bfloat16", ["weights"]),
        (Gap(3e-3, 3e-3, 4), "tf32", []),
    ],
)
def test_what_is_too_far_from_the_cpu(gap: Gap, precision: str, excess: list[str]) -> None:
    assert gap.excess(precision, Gap(1e-3, 1e-3, 0)) == excess


def test_the_commit_says_whether_files_have_changed(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert commit(tmp_path) == ""
    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    head = commit(tmp_path)
    assert len(head) == 40
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == f"{head} with changes"


@pytest.mark.slow
def test_it_runs_on_a_cpu(tmp_path: Path) -> None:
    words = [str(tmp_path), "--size", "toy", "--device", "cpu", "--time", "10"]
    command = [sys.executable, "-m", "tests.benchmarks.gpu", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=1500)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["about"]["commit"] == commit()
    assert "running" not in found
    stages = {name: found.pop(name) for name in ("parity", "timings", "paper2", "fig3a")}
    assert [stage.pop("not done") for stage in stages.values()] == [[], [], [], []]
    assert min(stage.pop("seconds") for stage in stages.values()) > 0

    parity = stages["parity"]
    for kind in KINDS:
        assert not parity.pop(f"{kind}, graph")["replayed"]
        exact = {"curves": 0.0, "weights": 0.0, "phases": 0, "too large": []}
        assert parity.pop(f"{kind}, float64") == exact
        assert 0 < parity.pop(f"{kind}, float32")["weights"] < 1e-5  # 5 steps of 1e-7 each
        low = parity.pop(f"{kind}, bfloat16")
        if kind == "lstm" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            assert "LSTMs need bfloat16 instructions" in low["error"]
            continue
        assert 1e-5 < low["weights"] < 0.1
        assert low == {**low.pop("on the CPU in bfloat16"), "too large": []}
    assert parity == {}

    timings = stages["timings"]
    assert {"stack", "products", "plain loop of one run, float32", "rounds"} == {
        *timings["stack of 4, bfloat16"]
    }
    times = [time for one in timings.values() for time in one.values()]
    assert min(times) > 0
    assert max(times) < math.inf

    trained = stages["paper2"]["transformer"]
    assert (trained["runs"], trained["steps"], trained["of"]) == (9, 20, 20)
    with xr.open_dataset(tmp_path / "paper2.nc", engine="h5netcdf") as curves:
        assert {*curves.run.values} == {*trained["test accuracy"]}
        assert curves.test_accuracy.notnull().all()
    with xr.open_dataset(tmp_path / "fig3a.nc", engine="h5netcdf") as diagram:
        assert diagram.done.all()
        for seed in diagram.seed.values:
            counted = stages["fig3a"][f"seed {seed}"]["phases"]
            stored = diagram.phase.sel(seed=seed).values.flatten().tolist()
            assert {name: stored.count(name) for name in counted} == counted
            assert sum(counted.values()) == 18
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "fig3a.nc", "paper2.nc"}
