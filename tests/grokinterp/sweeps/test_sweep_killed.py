"""A sweep killed at any moment and resumed equals one that nobody disturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local

import grokinterp as gi

BASE = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=8, eval_every=4),
)


class Killed(BaseException):
    """Nothing after it may happen on disk, as after SIGKILL."""


def die_at_write(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """From the ``number``-th file on nothing is written; what is begun then stays half written."""
    put = local._put
    written: list[str] = []

    def half(path: Path, value, exclusive: bool = False) -> int:
        written.append(f"{path.parent.name}/{path.name}")
        if len(written) < number:
            return put(path, value, exclusive)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = bytes(value.as_buffer_like())
        path.with_suffix(".123.partial").write_bytes(data[: len(data) // 2])
        raise Killed

    monkeypatch.setattr(local, "_put", half)
    return written


def its_seed(run: gi.Run) -> list[float]:
    return [run.config.seed, run.config.training.lr]


def sweep(store: Path | None) -> xr.Dataset:
    axes, measure = {"training.lr": [0.01, 0.1]}, {"its_seed": its_seed}
    return gi.sweep(BASE, axes, 3, measure, store, device="cpu", chunk=3, progress=False)


def check_store(store: Path, want: xr.Dataset) -> None:
    """What is done is right, and nothing else is shown."""
    if not store.exists():
        return
    shown = gi.open_sweep(store).load()
    for name, values in shown.data_vars.items():
        if name != "done":
            xr.testing.assert_allclose(values, want[name].where(shown.done), rtol=1e-5)


def test_killed_at_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a block with a new measure, some of making the store, one at the end."""
    want = sweep(None).load()
    with monkeypatch.context() as patch:
        writes = die_at_write(patch, 10**6)
        sweep(tmp_path / "undisturbed")
    assert len(writes) > 60
    # Two files for the measure's array, .zmetadata, a chunk of each of 12 variables.
    in_blocks = writes.index("its_seed/.zarray") + 1
    points = [*range(1, in_blocks, 20), *range(in_blocks, in_blocks + 15), len(writes) - 4]
    for number in points:
        store = tmp_path / f"at {number}"
        with monkeypatch.context() as patch:
            die_at_write(patch, number)
            with pytest.raises(Killed):
                sweep(store)
        check_store(store, want)
        result = sweep(store).load()
        xr.testing.assert_allclose(result.drop_attrs(), want.drop_attrs(), rtol=1e-5)
        raw = xr.open_zarr(store).load()
        xr.testing.assert_identical(raw[list(result.data_vars)].drop_attrs(), result.drop_attrs())
        assert not list(store.rglob("*.partial"))


# A process that imports everything once and forks a sweep for each line it reads.
ZYGOTE = """
import os, sys
import numpy, torch, xarray, zarr, filelock
import grokinterp as gi
from tests_killed import BASE, AXES, measure
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        gi.sweep(BASE, AXES, 2, {"m": measure}, line.strip(), device="cpu", chunk=2,
                 progress=False)
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""
SHARED = """
import grokinterp as gi
BASE = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=16),
    training=gi.TrainConfig(steps=60, eval_every=10),
)
AXES = {"training.lr": [0.001, 0.01, 0.1], "data.corruption": [0.0, 0.1, 0.2, 0.3]}
def measure(run):
    return run.model.W_E.flatten()
"""


@pytest.mark.slow
def test_five_times_sigkill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same) -> None:
    folder, store = tmp_path / "modules", tmp_path / "s"
    folder.mkdir()
    (folder / "tests_killed.py").write_text(SHARED)
    monkeypatch.syspath_prepend(folder)
    import tests_killed  # pyright: ignore[reportMissingImports]

    random_moment = random.Random(0)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        kept = []
        for target in (0, 2, 4, 6, 9):
            zygote.stdin.write(f"{store}\n")
            zygote.stdin.flush()
            child = int(zygote.stdout.readline())
            deadline = time.monotonic() + 60
            while sum(1 for _ in store.glob("done/[0-9]*")) < target:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(random_moment.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            assert int(zygote.stdout.readline()) == signal.SIGKILL
            kept.append(int(gi.open_sweep(store).done.sum()) if store.exists() else 0)
        assert kept == sorted(kept)
        assert 18 <= kept[-1] < 24
        zygote.stdin.close()
    arguments = {"device": "cpu", "progress": False, "chunk": 2}
    measure = {"m": tests_killed.measure}
    base, axes = tests_killed.BASE, tests_killed.AXES
    want = gi.sweep(base, axes, 2, measure, **arguments).load()
    result = gi.sweep(base, axes, 2, measure, store, **arguments)
    same(result, want)
    assert len(np.unique(want.final_loss.sel(subset="train"))) == 24
    same(xr.open_zarr(store)[list(result.data_vars)], want)


def test_an_interrupted_sweep_notes_its_session_and_goes_on(tmp_path: Path, same) -> None:
    import json

    store, calls = tmp_path / "s", []

    def interrupting(run: gi.Run) -> float:
        calls.append(run)
        if len(calls) == 5:
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
