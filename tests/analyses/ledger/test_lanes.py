"""Several sources at once: processes of their own, none in another's folder, none lost."""

import os
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.ledger import running
from analyses.ledger.lanes import done, with_output_in
from analyses.ledger.results import load
from grokinterp.team import available_threads
from tests.analyses.ledger.toys import source

FEW_SECONDS = 60.0  # what a busy machine may need to start a process


def meet(folder: Path, own: str, other: str) -> tuple[int, int]:
    """Return only if ``other`` runs at the same time."""
    (folder / own).touch()
    until = time.monotonic() + FEW_SECONDS
    while not (folder / other).exists():
        assert time.monotonic() < until, f"{other} never began"
        time.sleep(0.05)
    return os.getpid(), torch.get_num_threads()


def alone(file: Path) -> None:
    """Fail if another call has the file."""
    file.touch(exist_ok=False)
    time.sleep(1)
    file.unlink()


def die() -> None:
    os._exit(3)


def wait_long() -> None:
    time.sleep(600)


def results(
    calls: dict[str, tuple[Any, ...]],
    *,
    lanes: int = 2,
    after: dict[str, list[str]] | None = None,
    **apart: str,
) -> dict[str, Any]:
    """What calls return, or their error; those with the same word in ``apart`` never overlap."""
    found = done(
        list(calls),
        calls.__getitem__,
        after=lambda name: (after or {}).get(name, []),
        apart=lambda name: apart.get(name, name),
        lanes=lanes,
    )
    return {name: future.exception() or future.result() for name, future in found}


def test_one_lane_is_this_process(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("broken")

    calls: dict[str, tuple[Any, ...]] = {"pid": (os.getpid,), "bad": (fail,), "after": (int, "3")}
    found = results(calls, lanes=1)
    assert (found["pid"], found["after"]) == (os.getpid(), 3)
    assert isinstance(found["bad"], ValueError)
    asked: list[str] = []
    left_out: Callable[[str], None] = asked.append
    assert not list(done(["a", "b"], left_out, after=lambda _: (), apart=str, lanes=1))
    assert asked == ["a", "b"]


@pytest.mark.slow
def test_two_lanes_run_at_the_same_time_and_share_the_threads(tmp_path: Path) -> None:
    found = results({"a": (meet, tmp_path, "a", "b"), "b": (meet, tmp_path, "b", "a")})
    pids, threads = zip(*found.values(), strict=True)
    assert len({*pids, os.getpid()}) == 3
    assert set(threads) == {max(1, available_threads() // 2)}


def test_a_task_waits_for_those_that_it_is_computed_from() -> None:
    """Also for one that is listed behind it, and not for what is not among the tasks."""
    calls: dict[str, tuple[Any, ...]] = {"c": (int, "3"), "a": (int, "1"), "b": (int, "2")}
    found = results(calls, lanes=1, after={"c": ["a", "b"], "b": ["x"]})
    assert list(found) == ["a", "b", "c"]


@pytest.mark.slow
def test_a_task_waits_for_one_that_is_running(tmp_path: Path) -> None:
    file = tmp_path / "file"
    calls = {"part": (alone, file), "whole": (file.exists,), "other": (int, "2")}
    assert results(calls, after={"whole": ["part"]}) == {"other": 2, "part": None, "whole": False}


@pytest.mark.slow
def test_tasks_of_one_folder_take_turns(tmp_path: Path) -> None:
    calls = dict.fromkeys("ab", (alone, tmp_path / "folder"))
    assert list(results(calls, a="one", b="one").values()) == [None] * 2


@pytest.mark.slow
def test_a_process_that_dies_costs_what_was_running_and_no_more() -> None:
    found = results({"dies": (die,), "next": (int, "2"), "last": (int, "3")}, dies="x", next="x")
    assert isinstance(found["dies"], BrokenExecutor)
    assert found["next"] == 2
    assert found["last"] == 3 or isinstance(found["last"], BrokenExecutor)


@pytest.mark.slow
def test_an_interrupt_ends_the_processes() -> None:
    def interrupted() -> None:
        calls = {"long": (wait_long,), "short": (int, "1")}
        for _ in done(list(calls), calls.__getitem__, after=lambda _: (), apart=str, lanes=2):
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begin < FEW_SECONDS


def test_output_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_output_in(tmp_path / "new" / "one.log", print, "a bar")
    assert (tmp_path / "new" / "one.log").read_text() == "a bar\n"
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_sources_at_once_are_stored_as_one_by_one(tmp_path: Path) -> None:
    said: list[str] = []
    todo, work = [source(), source("two")], tmp_path / "work"
    told = running.run_all(todo, tmp_path, work, entries=[], say=said.append, processes=2)
    assert told == running.Outcome(late=(), faults=())
    assert (work / "one.log").exists()
    assert sorted(line.split(",")[0].split(" stored")[0] for line in said) == [
        "[1/2] one", "[1/2] one", "[2/2] two", "[2/2] two",
    ]  # fmt: skip
    assert all(load(tmp_path, one) is not None for one in todo)
