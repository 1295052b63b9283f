"""Saving a run: what a failure or a kill leaves, and several savers at a time."""

import errno
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import grokinterp as gi
from grokinterp.runs import files as run_files
from grokinterp.runs import folder as run_folder
from tests.grokinterp.saved import FILES, contents

sys.path.append(str(Path(__file__).parent.parent / "children"))
import save_again  # pyright: ignore[reportMissingImports]


class DiskFull(OSError):
    pass


def fail(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, call: int = 1) -> None:
    """Let ``owner.name`` raise on its n-th call, before it does anything."""
    real, count = getattr(owner, name), 0

    def broken(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            raise DiskFull(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)


WRITING = [
    (run_files, "save_file", 1),  # the model
    (run_files, "save_file", 2),  # the dataset
    (xr.Dataset, "to_netcdf", 1),
    (json, "dumps", 1),
    (Path, "write_text", 1),
    (os, "replace", 1),
]


@pytest.mark.parametrize("before", ["nothing", "empty", "run"])
@pytest.mark.parametrize(("owner", "name", "call"), WRITING)
def test_a_failure_leaves_the_folder_as_it_was(
    owner: Any,
    name: str,
    call: int,
    before: str,
    tiny_run: gi.Run,
    odd_run: gi.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    if before == "empty":
        folder.mkdir()
    if before == "run":
        tiny_run.save(folder)
    files = contents(folder) if folder.exists() else None
    with monkeypatch.context() as patch:
        fail(patch, owner, name, call=call)
        with pytest.raises(gi.RunFolderError, match="run cannot be written: No space left on dev"):
            odd_run.save(folder, overwrite=True)
    assert (contents(folder) if folder.exists() else None) == files
    assert os.listdir(tmp_path) == ([] if before == "nothing" else ["run"])


def test_a_disk_that_fills_up_anywhere_leaves_the_folder_as_it_was(
    folder: Path, odd_run: gi.Run
) -> None:
    """No file may grow beyond a limit: as on a full disk, C and Rust code meet it, too."""
    before, limits = contents(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 1000, 3000, 12_000):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            with pytest.raises(gi.RunFolderError, match=r"run cannot be written: .*; choose"):
                odd_run.save(folder, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert contents(folder) == before
    odd_run.save(folder, overwrite=True)


class Killed(BaseException):
    """Nothing after it may happen on disk, as after SIGKILL."""


_deadly: list[Any] = [None]  # an audit hook cannot be taken away again, only be told to do nothing


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _deadly[0] is not None:
        _deadly[0](event, args)


sys.addaudithook(_audit)


@contextmanager
def killed_at(number: int, within: Path) -> Iterator[None]:
    """Raise before the ``number``-th change to the files, and before every later one."""
    changes = {"os.mkdir", "os.rmdir", "os.remove", "os.rename"}
    seen, thread = 0, threading.get_ident()

    def die(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if event not in changes and not writes:
            return
        relative = event in ("os.remove", "os.rmdir") and args[1] != -1  # in a folder being emptied
        if threading.get_ident() == thread and (relative or str(args[0]).startswith(str(within))):
            seen += 1
            if seen >= number:
                raise Killed

    _deadly[0] = die
    try:
        yield
    finally:
        _deadly[0] = None


def kinds_of(folder: Path) -> set[str]:
    """Of which runs the files are that a reader finds; "none" without a ``run.json``."""
    about = run_folder.stored(folder, "run.json")
    if not about.is_file():
        return {"none"}
    names = json.loads(about.read_text())["sha256"]
    files = [run_folder.stored(folder, name) for name in names]
    return {json.loads(about.read_text())["kind"], *(file.read_text() for file in files)}


@pytest.mark.parametrize("number", range(1, 7))
def test_a_question_killed_between_any_two_changes_is_in_nobodys_way(
    number: int, tmp_path: Path
) -> None:
    """It makes two folders above each other and one in them, and takes all three away."""
    folder = tmp_path / "deep" / "run"
    with pytest.raises(Killed), killed_at(number, tmp_path):
        run_folder.check_free(folder, overwrite=False)
    run_folder.check_free(folder, overwrite=False)
    save_again.save(folder, "new", checkpoint=False)
    assert sorted(os.listdir(folder)) == FILES


@pytest.mark.parametrize("before", ["nothing", "empty", "run"])
def test_killed_between_any_two_changes_there_is_a_complete_run(
    before: str, tmp_path: Path
) -> None:
    """The old one first, from some moment on the new one, and the next save clears up."""
    found: list[str] = []
    for number in range(1, 100):
        folder, killed = tmp_path / str(number) / "run", False
        if before == "empty":
            folder.mkdir(parents=True)
        if before == "run":
            save_again.save(folder, "old", checkpoint=True)
            (folder / "report.html").write_text("of the old run")
        try:
            with killed_at(number, tmp_path):
                save_again.save(folder, "new", checkpoint=False)
        except Killed:
            killed = True
        (kind,) = kinds_of(folder)
        found.append(kind)
        assert run_folder.holds_run(folder) == (kind != "none")
        save_again.save(folder, "next", checkpoint=False)
        assert kinds_of(folder) == {"next"}
        assert sorted(os.listdir(folder)) == FILES
        assert os.listdir(folder.parent) == ["run"]
        if not killed:
            break
    first = "old" if before == "run" else "none"
    switch = found.index("new")
    assert found == [first] * switch + ["new"] * (len(found) - switch)
    assert min(switch, len(found) - switch) >= 5  # kills before and after the moment itself


def test_a_run_whose_save_was_killed_on_its_last_steps_is_loaded(
    folder: Path, odd_run: gi.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail(patch, os, "replace", call=3)  # the first file is in its place
        with pytest.raises(gi.RunFolderError):
            odd_run.save(folder, overwrite=True)
    assert gi.Run.load(folder).config == odd_run.config
    assert set(gi.Run.load(folder).checkpoints) == set(odd_run.checkpoints)


def test_ctrl_c_while_saving_damages_nothing(
    folder: Path, odd_run: gi.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike a kill it lets the clean-up run."""

    def press(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(xr.Dataset, "to_netcdf", press)
        with pytest.raises(KeyboardInterrupt):
            odd_run.save(folder, overwrite=True)
    assert contents(folder) == before


def test_really_killed_there_is_a_complete_run(
    tmp_path: Path, forkserver: ForkServerContext
) -> None:
    folder = tmp_path / "run"
    for delay in (0.001, 0.01, 0.02):
        ready = forkserver.Event()
        process = forkserver.Process(target=save_again.forever, args=(str(folder), ready))
        process.start()
        assert ready.wait(60)
        time.sleep(delay)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert kinds_of(folder) in ({"old"}, {"new"})
    save_again.save(folder, "next", checkpoint=False)
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(tmp_path) == ["run"]


# Several savers.


def test_savers_at_the_same_time_take_turns(tmp_path: Path) -> None:
    def save(kind: str) -> None:
        for _ in range(10):
            save_again.save(tmp_path / "run", kind, checkpoint=kind == "old")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(save, kind) for kind in ("old", "new", "old", "new")]:
            done.result()
    assert kinds_of(tmp_path / "run") in ({"old"}, {"new"})
    assert not [name for name in os.listdir(tmp_path / "run") if name.startswith(".")]


def test_the_second_of_two_savers_does_not_overwrite_unasked(
    tiny_run: gi.Run, odd_run: gi.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the folder free; the second waits, and finds a run."""
    folder, writing, go_on = tmp_path / "run", threading.Event(), threading.Event()
    real = run_files.save_file

    def slow(*args: Any, **kwargs: Any) -> None:
        writing.set()
        assert go_on.wait(60)
        real(*args, **kwargs)

    monkeypatch.setattr(run_files, "save_file", slow)
    first = threading.Thread(target=tiny_run.save, args=(folder,))
    first.start()
    assert writing.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "_PATIENCE", 0.0)
        with pytest.raises(gi.RunFolderError, match=r"another process is saving to .*run; wait"):
            odd_run.save(folder)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(odd_run.save, folder)
        go_on.set()
        first.join()
        with pytest.raises(gi.RunFolderError, match="already holds a run"):
            second.result()
    assert gi.Run.load(folder).config == tiny_run.config


def test_a_run_that_is_replaced_while_it_is_read_is_the_new_one(
    folder: Path, odd_run: gi.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a damaged one, made of files of two."""
    real, saves = run_files.read_about, [odd_run]

    def then_replaced(path: Path) -> dict[str, Any]:
        about = real(path)
        if saves:
            saves.pop().save(path, overwrite=True)
        return about

    monkeypatch.setattr(run_files, "read_about", then_replaced)
    assert gi.Run.load(folder).config == odd_run.config
