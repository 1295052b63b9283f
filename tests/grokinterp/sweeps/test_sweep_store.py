"""A sweep's store: gone on with, refused, damaged, locked, on a bad disk."""

import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local

import grokinterp as gi
from grokinterp.sweeps.identity import differences
from grokinterp.tracking import Callback
from tests.grokinterp.sweeps.attributes import edit_attributes

AXES = {"training.lr": [1e-3, 1e-2, 1e-1], "data.corruption": [0.0, 0.2]}  # of the fixture


def seed_of(run: gi.Run) -> list[int]:
    return [run.config.seed, 5]


def other_seed_of(run: gi.Run) -> list[int]:
    return [run.config.seed, 6]


def everything(dataset: xr.Dataset) -> xr.DataArray:
    return xr.ones_like(dataset.done.isel(seed=0, drop=True), dtype=bool)


def test_a_finished_sweep_is_not_trained_again(sweep, same, trained) -> None:
    first = sweep().load()
    assert len(trained) == 12
    same(sweep(chunk=1), first)  # the store keeps its blocks
    same(sweep(store=None), first)
    assert len(trained) == 24


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base": gi.RunConfig(data=gi.DataConfig(p=11))}, "base.data.p was 7, now 11"),
        ({"axes": AXES | {"training.lr": [1e-3, 2e-2, 1e-1]}}, r"axes.training.lr was .*0.02"),
        ({"axes": dict(list(AXES.items())[:1])}, "axes.data.corruption was"),
        ({"axes": dict(reversed(AXES.items()))}, "dims was"),
        ({"seeds": 3}, r"axes.seed was \[0, 1\], now \[0, 1, 2\]"),
        ({"precision": "float64"}, "precision was 'float32', now 'float64'"),
        ({"measure": {"m": other_seed_of}}, "measure.m was seed_of, now other_seed_of"),
        ({"measure": {"n": seed_of}}, "measure.m was seed_of, now None"),
        ({"refine": everything}, "refine was None, now everything"),
        ({"resume": False}, "resume=True"),
    ],
)
@pytest.mark.usefixtures("first")
def test_another_sweep_is_refused(sweep, store, contents, trained, change, named) -> None:
    before = contents(store)
    with pytest.raises(gi.SweepStoreError, match=f"{store}.*{named}"):
        sweep(**change)
    assert contents(store) == before
    assert not trained


HELPED = """
from my_helpers import helper
def f(run): return helper(run)
def refine(dataset): return (dataset.final_loss[..., 0, 0] > helper(dataset)) | True
"""


@pytest.mark.parametrize("argument", ["measure", "refine"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_an_edited_helper_is_refused(
    sweep, store, contents, trained, tmp_path, monkeypatch, argument, interrupted
) -> None:
    """Otherwise the numbers of both would stand beside each other in one variable."""

    def arguments(value: float) -> dict:
        (tmp_path / "my_helpers.py").write_text(f"def helper(run): return {value}")
        (tmp_path / "my_measures.py").write_text(HELPED)
        importlib.invalidate_caches()
        for name in ("my_measures", "my_helpers"):
            sys.modules.pop(name, None)
        module = importlib.import_module("my_measures")
        return {"measure": {"m": module.f}} if argument == "measure" else {"refine": module.refine}

    class Stop(Callback):
        def on_finish(self, run, config, summary) -> None:
            raise KeyboardInterrupt

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            sweep(callbacks=[Stop()], **arguments(1.0))
    else:
        sweep(**arguments(1.0))
    before, _ = contents(store), trained.clear()
    with pytest.raises(gi.SweepStoreError, match=r"has changed: the code of helper\. .*restore it"):
        sweep(**arguments(2.5))
    assert contents(store) == before
    assert not trained
    sweep(**arguments(1.0))
    assert bool(trained) == interrupted


def test_an_operation_changed_behind_its_name_is_noticed(sweep, base) -> None:
    def sweep_of(constant: int) -> None:
        def rule(a: int, b: int) -> int:
            return (a + constant * b) % 7

        sweep(axes={"data.operation": ["addition", rule]})

    sweep_of(2)
    sweep_of(2)
    with pytest.raises(gi.SweepStoreError, match="the runs themselves"):
        sweep_of(3)


def test_what_is_no_store(sweep, store, contents, trained) -> None:
    with pytest.raises(gi.SweepStoreError, match="is not a grokinterp sweep: it does not exist"):
        gi.open_sweep(store)
    store.write_text("mine")
    for use in (sweep, lambda: gi.open_sweep(store)):
        with pytest.raises(gi.SweepStoreError, match=f"{store} is a file"):
            use()
    with pytest.raises(
        gi.SweepStoreError, match=r"cannot write to the store .*/s/below: .*Not a d"
    ):
        sweep(store=store / "below")
    assert store.read_text() == "mine"
    store.unlink()
    store.mkdir()
    with pytest.raises(
        gi.SweepStoreError, match=r"is not a grokinterp sweep: nothing is stored there yet"
    ):
        gi.open_sweep(store)
    (store / "thesis.txt").write_text("mine")
    for use in (sweep, lambda: gi.open_sweep(store)):
        with pytest.raises(gi.SweepStoreError, match=f"{store} is not a grokinterp sweep"):
            use()
    assert contents(store) == {"thesis.txt": b"mine"}
    (store / "run.json").write_text("{}")
    with pytest.raises(
        gi.SweepStoreError, match=r"is not a grokinterp sweep; gi.Run.load reads it$"
    ):
        gi.open_sweep(store)
    assert not trained


@pytest.mark.usefixtures("first")
def test_a_newer_format(sweep, store, contents) -> None:
    edit_attributes(store, format=3)
    before = contents(store)
    for use in (sweep, lambda: gi.open_sweep(store)):
        with pytest.raises(gi.SweepStoreError, match=r"format 3, .* up to 2; upgrade"):
            use()
    assert contents(store) == before


def test_partial_files_are_removed(first, sweep, store, same) -> None:
    (store / "done" / "0.0.0.abc.partial").write_bytes(b"1")
    (store / "abc.partial").write_bytes(b"1")
    same(sweep(), first)
    assert not list(store.rglob("*.partial"))


def test_half_written_blocks_are_not_shown(first, sweep, store, same) -> None:
    (store / "done" / "1.0.0").unlink()
    (store / "done" / "1.1.0").unlink()
    shown = gi.open_sweep(store).load()
    lost = first.isel({"training.lr": 2})
    assert shown.final_loss.isel({"training.lr": 2}).isnull().all()
    assert shown.m.isel({"training.lr": 2}).isnull().all()
    assert lost.m.notnull().all()
    xr.testing.assert_identical(
        shown.isel({"training.lr": [0, 1]}).drop_attrs(),
        first.isel({"training.lr": [0, 1]}).drop_attrs(),
    )
    same(sweep(), first)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more(sweep, store, same, monkeypatch, trained, code) -> None:
    """The message says how much is stored; that much is not trained again."""
    put = local._put
    broken = [False]

    def refuse(path: Path, value, exclusive: bool = False) -> int:
        broken[0] |= path.parent.name == "best_loss" and path.name == "1.0.0.0"
        if broken[0]:
            raise OSError(code, os.strerror(code), str(path))
        return put(path, value, exclusive)

    with monkeypatch.context() as patch:
        patch.setattr(local, "_put", refuse)
        with pytest.raises(gi.SweepStoreError, match=rf"(?s)cannot write to .*{store}.*8 of 12"):
            sweep()
    assert gi.open_sweep(store).done.sum() == 8
    trained.clear()
    result = sweep().load()
    assert len(trained) == 4
    same(sweep(store=None), result)


def test_a_disk_that_is_full_from_the_start(sweep, store, monkeypatch, trained) -> None:
    def refuse(path: Path, value, exclusive: bool = False) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(local, "_put", refuse)
        with pytest.raises(gi.SweepStoreError, match=r"cannot prepare .*0 of 12"):
            sweep()
    assert not trained
    assert not store.exists()
    sweep()


def test_a_small_real_disk(base: gi.RunConfig, tmp_path: Path) -> None:
    """The same with a file system that is really full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:

        def large(run: gi.Run) -> np.ndarray:
            return np.random.default_rng(run.config.seed).normal(size=20_000)

        with pytest.raises(gi.SweepStoreError, match=r"No space left.* of 12 runs are stored"):
            gi.sweep(base, {}, 12, {"m": large}, disk / "s", device="cpu", chunk=1, progress=False)
        stored = gi.open_sweep(disk / "s").load()
        assert 3 <= int(stored.done.sum()) <= 7  # 160 kB each
        for seed in stored.seed[stored.done]:
            want = np.random.default_rng(int(seed)).normal(size=20_000)
            np.testing.assert_array_equal(stored.m.sel(seed=seed), want)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_one_process_at_a_time(
    first, sweep, store, same, trained, forkserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its forked child, as of a pool of workers, outlives it and must not keep the lock."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "children")
    import hold_lock  # pyright: ignore[reportMissingImports]

    held = forkserver.Event()
    holder = forkserver.Process(target=hold_lock.hold, args=(str(store), held))
    holder.start()
    try:
        assert held.wait(60)
        with pytest.raises(gi.SweepStoreError, match=f"another process is writing to {store}"):
            sweep()
        same(gi.open_sweep(store), first)  # reading is always allowed
    finally:
        holder.kill()  # SIGKILL: nothing is left to release the lock
        holder.join()
        try:
            same(sweep(), first)
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
    assert not trained


def test_one_thread_at_a_time(sweep, store) -> None:
    errors = []

    class Second(Callback):
        def on_start(self, configs) -> None:
            try:
                sweep()
            except gi.SweepStoreError as error:
                errors.append(str(error))

    sweep(callbacks=[Second()])
    assert len(errors) == 1
    assert "another process" in errors[0]
    sweep()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([*range(19), 99], "axes.seed[19] was 19, now 99. Use"),
        (
            [*range(25)],
            "axes.seed had 20 entries, now 25. Train the new ones into a",
        ),
        (
            [1, *range(19)],
            "axes.seed was [0, 1, 2, 3, 4, 5, ...], now [1, 0, 1, 2, 3, 4, ...]. Use",
        ),
    ],
)
def test_a_difference_of_long_lists_is_seen(asked: list[int], words: str) -> None:
    def identity(seeds: list[int]) -> dict[str, Any]:
        return {"axes": {"seed": seeds}, "measure": {}, "refine": None}

    assert differences(identity([*range(20)]), identity(asked)).startswith(words)
