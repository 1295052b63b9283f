"""A store with anything in it damaged: never a wrong number, never another library's error."""

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local

import grokinterp as gi
from tests.grokinterp.sweeps.attributes import edit_attributes

BASE = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=2),
)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def garble(file: Path) -> None:
    """One bit in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def swap(file: Path) -> None:
    """With the next block, or with the same file of the next array, or the next at the top."""
    beside = sorted(other for other in file.parent.iterdir() if other.is_file())
    if file.name[0] == "." and (file.parent / ".zarray").exists():
        beside = sorted(file.parent.parent.glob(f"*/{file.name}"))
    beside = [other for other in beside if (other.name[0] == ".") == (file.name[0] == ".")]
    other = beside[(beside.index(file) + 1) % len(beside)]
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip])
@pytest.mark.parametrize(
    "chunk", ["final_loss/1.0.0.0", "m/0.0.0.0", "checksum/0.0.0", "n_test/1.0.0", "done/1.0.0"]
)
def test_damage_is_noticed_and_mended(first, sweep, store, same, trained, chunk, damage) -> None:
    file = store / chunk
    damage(file)
    if chunk.startswith("done") and damage is not truncate:
        same(sweep(), first)  # that block is simply not done
    else:
        with pytest.raises(gi.SweepStoreError, match="is damaged") as caught:
            sweep()
        assert not trained
        done = store / "done" / ".".join(file.name.split(".")[:3])
        assert f"Remove the file {done} and resume" in str(caught.value)
        done.unlink()
        same(sweep(), first)
    count = len(trained)
    assert count == (2 if chunk.partition("/")[2].startswith("1") else 4)  # one block
    same(sweep(), first)
    assert len(trained) == count


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip])
@pytest.mark.parametrize("label", ["training.lr", "seed", "subset"])
def test_lost_labels_are_written_again(first, sweep, store, same, trained, label, damage) -> None:
    damage(store / label / "0")
    same(sweep(), first)
    assert not trained


WAYS = [Path.unlink, truncate, empty, garble, swap, become_a_folder]


def measure(run: gi.Run) -> list[float]:
    return [run.config.seed, run.config.training.lr]


def small_sweep(store: Path | None, precision: str = "float32") -> xr.Dataset:
    """Two blocks of one run each."""
    how = {"device": "cpu", "precision": precision, "progress": False}
    return gi.sweep(BASE, {}, 2, {"m": measure}, store, chunk=1, **how).load()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy."""
    store = tmp_path_factory.mktemp("finished") / "s"
    small_sweep(store)
    return store


def is_right(shown: xr.Dataset, want: xr.Dataset) -> bool:
    """The same, but for runs that are said not to be done and show no number."""
    kept = want.drop_vars("done").where(shown.done).assign(done=shown.done)
    return shown.identical(kept)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_file_is_damaged_in_silence(finished: Path, tmp_path: Path, way: Callable) -> None:
    want = gi.open_sweep(finished).load()
    files, store, unnoticed = files_of(finished), tmp_path / "s", set()
    assert len(files) == 61
    shutil.copytree(finished, store)
    for file in files:
        way(store / file)
        changed = {f for f in files if not same_file(store / f, finished / f)}
        try:
            shown = gi.open_sweep(store).load()
        except gi.SweepStoreError as error:
            words = str(error)
            assert str(store) in words
            assert re.search("Remove|Restore|Call|choose another", words), words
        else:
            assert is_right(shown, want), file
            unnoticed |= {str(file) for file in changed}
        for file in changed:
            if (store / file).is_dir():
                (store / file).rmdir()
            shutil.copy(finished / file, store / file)
    assert unnoticed <= {"done/0", "done/1"}  # a block without its flag is not done, and not shown


def files_of(store: Path) -> list[Path]:
    files = [file.relative_to(store) for file in store.rglob("*") if file.is_file()]
    return sorted(file for file in files if file.name != ".lock")


def same_file(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("first", range(len(WAYS)))
def test_a_sweep_refuses_or_mends_what_is_damaged(
    finished: Path, tmp_path: Path, first: int
) -> None:
    """Every file in one of the ways; together the tests go through all of them."""
    want = gi.open_sweep(finished).load()
    for i, file in enumerate(files_of(finished)[first :: len(WAYS)]):
        store = tmp_path / f"{i}"
        shutil.copytree(finished, store)
        way = WAYS[(i + first) % len(WAYS)]
        way(store / file)
        try:
            result = small_sweep(store)
        except gi.SweepStoreError as error:
            words = str(error)
            assert str(store) in words
        else:
            xr.testing.assert_allclose(result.drop_attrs(), want.drop_attrs())
            assert result.done.all()
            gi.open_sweep(store)  # mended


def test_blocks_have_a_place_and_a_sweep(finished: Path, tmp_path: Path) -> None:
    """Two whole blocks swapped, or one of another sweep, have checksums of their own."""
    store, other = tmp_path / "s", tmp_path / "other"
    shutil.copytree(finished, store)
    blocks = [
        path
        for path in store.rglob("0*")
        if (path.parent / path.name.replace("0", "1", 1)).exists()
    ]
    assert len(blocks) == 13
    for one in blocks:
        swap(one)
    expected = r"the run with seed=0 does not read back .* Remove the file .*/done/0 and resume"
    for use in (gi.open_sweep, small_sweep):
        with pytest.raises(gi.SweepStoreError, match=expected):
            use(store)

    small_sweep(other, precision="float64")
    for one in blocks:
        shutil.copy(other / one.relative_to(store), finished.parent / "copied")
        shutil.copy(finished.parent / "copied", one)
    with pytest.raises(gi.SweepStoreError, match=expected):
        gi.open_sweep(store)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", "1", "'format' is invalid"),
        ("block", [2], "done does not have the shape"),
        ("block", [1, 1], "'identity' is invalid"),
        ("block", "1", "'block' is invalid"),
        ("identity", "{}", r"\.zattrs cannot be used \('axes'\)"),
        ("identity", None, r"\.zattrs cannot be used"),
        ("base", "{}", "'base' is invalid"),
        ("provenance", "5", "provenance"),
    ],
)
def test_attributes_that_do_not_fit(
    finished: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    """Also where both places have them."""
    store = tmp_path / "s"
    shutil.copytree(finished, store)
    edit_attributes(store, **{name: value})
    for use in (gi.open_sweep, small_sweep):
        with pytest.raises(gi.SweepStoreError, match=f"is damaged.*{message}"):
            use(store)


def test_an_edited_label_or_value_in_the_identity(finished: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    shutil.copytree(finished, store)
    about = json.loads((store / ".zattrs").read_text())
    edit_attributes(store, identity=about["identity"].replace("float32", "float64"))
    with pytest.raises(gi.SweepStoreError, match="does not read back as it was written"):
        gi.open_sweep(store)


def test_without_a_check_it_is_only_opened(finished: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    shutil.copytree(finished, store)
    flip(store / "final_loss" / "0.0")
    with pytest.raises(gi.SweepStoreError, match="does not read back"):
        gi.open_sweep(store)
    shown, want = gi.open_sweep(store, check=False), gi.open_sweep(finished)
    assert shown.done.equals(want.done)
    assert shown.drop_vars("final_loss").identical(want.drop_vars("final_loss"))
    assert not shown.final_loss.equals(want.final_loss)


@pytest.mark.slow
def test_a_reader_meets_no_damage_while_a_sweep_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks after every file that is written."""
    want, store, put = small_sweep(None), tmp_path / "s", local._put
    seen: list[int] = []
    one_at_a_time = threading.Lock()

    def watched(path: Path, value: Any, exclusive: bool = False) -> int:
        with one_at_a_time:
            written = put(path, value, exclusive)
            if not (store / ".zmetadata").exists():
                with pytest.raises(gi.SweepStoreError, match="nothing is stored there yet"):
                    gi.open_sweep(store)
            else:
                shown = gi.open_sweep(store).load()
                assert ("m" in shown) or not shown.done.any()
                there = want[list(shown.data_vars)].drop_attrs()
                assert is_right(shown.drop_attrs(), there)
                seen.append(int(shown.done.sum()))
            return written

    monkeypatch.setattr(local, "_put", watched)
    small_sweep(store)
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2}


def test_a_store_of_the_first_format_is_read_and_not_gone_on_with(
    finished: Path, tmp_path: Path
) -> None:
    """Its checksums were those of the values alone."""
    import zlib

    store = tmp_path / "s"
    shutil.copytree(finished, store)
    raw = xr.open_zarr(store).load()
    names = sorted({str(name) for name in raw.data_vars} - {"done", "checksum"})
    for seed in (0, 1):
        total = 0
        for name in names:
            total = zlib.crc32(raw[name].values[seed].astype(np.float64).tobytes(), total)
        np.array([total], dtype=np.int64).tofile(store / "checksum" / str(seed))
    edit_attributes(store, format=1)
    assert gi.open_sweep(store).load().equals(gi.open_sweep(finished).load())
    with pytest.raises(
        gi.SweepStoreError, match=r"earlier grokinterp.*format 1.*open_sweep can read"
    ):
        small_sweep(store)
    flip(store / "m" / "1.0")
    with pytest.raises(gi.SweepStoreError, match="does not read back"):
        gi.open_sweep(store)
