"""A sweep killed at any moment and resumed equals one that nobody disturbed."""

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local

import grokinterp as gi
from grokinterp.sweeps import place

BASE = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=8, eval_every=4),
)


class Killed(BaseException):
    """Nothing after it may happen on disk, as after SIGKILL."""


def die_at_write(
    monkeypatch: pytest.MonkeyPatch, number: int, folder: Path, left: Path
) -> list[str]:
    """The ``number``-th file stays half written; ``left`` is the folder as it is at that moment.

    What an exception does on its way out, SIGKILL does not.
    """
    put = local._put
    written: list[str] = []
    one_at_a_time = threading.RLock()  # zarr writes files in several threads

    def die() -> NoReturn:
        if not left.exists():
            shutil.copytree(folder, left)
        raise Killed

    def half(path: Path, value: Any, exclusive: bool = False) -> int:
        with one_at_a_time:
            return write(path, value, exclusive)

    def write(path: Path, value: Any, exclusive: bool) -> int:
        written.append(f"{path.parent.name}/{path.name}")
        if len(written) < number:
            return put(path, value, exclusive)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = bytes(value.as_buffer_like())
        path.with_suffix(".123.partial").write_bytes(data[: len(data) // 2])
        die()

    def moved(source: Path, target: Path) -> None:
        written.append(f"move {target.name}")
        if len(written) >= number:
            die()
        os.replace(source, target)

    monkeypatch.setattr(local, "_put", half)
    monkeypatch.setattr(place, "os", SimpleNamespace(**vars(os) | {"replace": moved}))
    return written


def its_seed(run: gi.Run) -> list[float]:
    return [run.config.seed, run.config.training.lr]


def sweep(store: Path | None) -> xr.Dataset:
    axes, measure = {"training.lr": [0.01, 0.1]}, {"its_seed": its_seed}
    return gi.sweep(BASE, axes, 1, measure, store, device="cpu", chunk=1, progress=False)


def check_store(store: Path, want: xr.Dataset) -> None:
    """What is done is right, and nothing else is shown."""
    if not (store / ".zmetadata").exists():
        with pytest.raises(gi.SweepStoreError, match="is not a grokinterp sweep"):
            gi.open_sweep(store)
        return
    shown = gi.open_sweep(store).load()
    for name, values in shown.data_vars.items():
        if name != "done":
            xr.testing.assert_allclose(values, want[name].where(shown.done), rtol=1e-5)


@pytest.mark.slow
def test_killed_at_every_kind_of_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is made, a measure added, a block or a session written."""
    want = sweep(None).load()
    with monkeypatch.context() as patch:
        writes = die_at_write(patch, 10**6, tmp_path / "s", tmp_path / "left")
        sweep(tmp_path / "s")
    last = len(writes) - 1 - writes[::-1].index("s/.zattrs")
    kinds = [
        ".new/.zgroup", "n_test/.zattrs", ".new/.zmetadata", "move .zmetadata",
        "its_seed/.zarray", "its_seed/.zattrs", "s/.zgroup", "s/.zattrs", "s/.zmetadata",
        "final_accuracy/0.0.0", "its_seed/0.0.0", "checksum/0.0", "done/0.0",
        "final_accuracy/1.0.0", "done/1.0",
    ]  # fmt: skip
    points = [*(writes.index(kind) + 1 for kind in kinds), last + 1]
    points += [writes.index("move .zmetadata") - 4]  # a few others have been moved
    for number in points:
        began, store = tmp_path / f"began {number}", tmp_path / f"left {number}"
        with monkeypatch.context() as patch:
            die_at_write(patch, number, began, store)
            with pytest.raises(Killed):
                sweep(began)
        check_store(store, want)
        result = sweep(store).load()
        xr.testing.assert_allclose(result.drop_attrs(), want.drop_attrs(), rtol=1e-5)
        raw = xr.open_zarr(store).load()
        xr.testing.assert_identical(raw[list(result.data_vars)].drop_attrs(), result.drop_attrs())
        assert not [*store.rglob("*.partial"), *store.glob(".new")]


SHARED = """
import gc
import grokinterp as gi
gc.freeze()
BASE = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=16),
    training=gi.TrainConfig(steps=60, eval_every=10),
)
AXES = {"training.lr": [0.001, 0.01, 0.1], "data.corruption": [0.0, 0.1, 0.2, 0.3]}
def measure(run):
    return run.model.W_E.flatten()
def sweep(store):
    return gi.sweep(BASE, AXES, 2, {"m": measure}, store, device="cpu", chunk=2, progress=False)
"""


@pytest.mark.slow
def test_five_times_sigkill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same, forkserver
) -> None:
    folder, store = tmp_path / "modules", tmp_path / "s"
    folder.mkdir()
    (folder / "tests_killed.py").write_text(SHARED)
    monkeypatch.syspath_prepend(folder)
    import tests_killed  # pyright: ignore[reportMissingImports]

    random_moment = random.Random(0)
    kept = []
    for target in (0, 2, 4, 6, 9):
        process = forkserver.Process(target=tests_killed.sweep, args=(store,))
        process.start()
        deadline = time.monotonic() + 60
        while sum(1 for _ in store.glob("done/[0-9]*")) < target:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(random_moment.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        kept.append(int(gi.open_sweep(store).done.sum()) if (store / ".zmetadata").exists() else 0)
    assert kept == sorted(kept)
    assert 18 <= kept[-1] < 24
    want = tests_killed.sweep(None).load()
    result = tests_killed.sweep(store)
    same(result, want)
    assert len(np.unique(want.final_loss.sel(subset="train"))) == 24
    same(xr.open_zarr(store)[list(result.data_vars)], want)


def test_an_interrupted_sweep_notes_its_session_and_goes_on(tmp_path: Path, same) -> None:
    import json

    store, calls = tmp_path / "s", 0

    def interrupting(run: gi.Run) -> float:
        nonlocal calls  # what it counts itself is no change of the measure
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return run.config.seed

    arguments = {"measure": {"m": interrupting}, "device": "cpu", "chunk": 3, "progress": False}
    axes = {"training.lr": [0.01, 0.1]}
    with pytest.raises(KeyboardInterrupt):
        gi.sweep(BASE, axes, 3, store=store, **arguments)
    (session,) = json.loads(gi.open_sweep(store).attrs["provenance"])
    assert session["runs"] == 3
    assert session["versions"]["torch"]
    result = gi.sweep(BASE, axes, 3, store=store, **arguments)
    assert [s["runs"] for s in json.loads(result.attrs["provenance"])] == [3, 3]
    same(result, gi.sweep(BASE, axes, 3, **arguments))
