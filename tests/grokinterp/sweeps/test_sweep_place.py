"""Where a store may be: filled in place, or refused before the first step."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import grokinterp as gi


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small file system of its own on a folder; skips where that is not allowed."""
    folders: list[Path] = []

    def mount(folder: Path) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        folders.append(folder)
        return folder

    yield mount
    for folder in reversed(folders):
        subprocess.run(["umount", str(folder)], check=True)


def test_the_current_folder_is_filled_in_place(
    sweep, store, same, trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.mkdir()
    monkeypatch.chdir(store)
    before = store.stat().st_ino
    first = sweep(store=".").load()
    assert Path.cwd() == store
    assert os.stat(".").st_ino == store.stat().st_ino == before
    assert Path("done").is_dir()
    same(gi.open_sweep("."), first)
    trained.clear()
    same(sweep(store="."), first)
    assert not trained
    assert [path.name for path in store.parent.iterdir()] == [store.name]  # nothing beside it


def test_a_link_to_an_empty_folder(sweep, store, tmp_path: Path, same) -> None:
    (tmp_path / "elsewhere").mkdir()
    store.symlink_to(tmp_path / "elsewhere")
    same(sweep(), gi.open_sweep(tmp_path / "elsewhere"))
    assert store.is_symlink()


def test_a_link_to_nothing_is_refused(sweep, store, tmp_path: Path, trained) -> None:
    store.symlink_to(tmp_path / "gone")
    for use in (sweep, lambda: gi.open_sweep(store)):
        with pytest.raises(
            gi.SweepStoreError, match=f"{store} is a link to {tmp_path}/gone, which"
        ):
            use()
    assert not trained
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_an_empty_file_system_is_filled(sweep, store, mounted, same) -> None:
    mounted(store)
    (store / "lost+found").mkdir()  # as a new ext4 has
    same(sweep(), gi.open_sweep(store))
    assert (store / "lost+found").is_dir()
    same(sweep(), gi.open_sweep(store))


def test_a_folder_in_one_that_is_read_only(sweep, tmp_path: Path, mounted, trained) -> None:
    """What is writable is filled, and what is not is refused before the first step."""
    outer = mounted(tmp_path / "outer")
    store = mounted(outer / "s")
    subprocess.run(["mount", "-o", "remount,ro", str(outer)], check=True)
    with pytest.raises(gi.SweepStoreError, match=r"cannot write to the store .*Read-only"):
        sweep(store=outer / "other")
    assert not trained
    sweep(store=store)
    assert gi.open_sweep(store).done.all()


def test_what_a_failed_beginning_leaves(sweep, store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing where there was nothing, and an empty folder where there was one."""
    import zarr.storage._local as local

    def full(path: Path, value: object, exclusive: bool = False) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "_put", full)
    with pytest.raises(gi.SweepStoreError, match="cannot prepare the store"):
        sweep()
    assert not store.exists()
    store.mkdir()
    with pytest.raises(gi.SweepStoreError, match="cannot prepare the store"):
        sweep()
    assert [path.name for path in store.iterdir()] in ([], [".lock"])
    monkeypatch.undo()
    sweep()
    assert gi.open_sweep(store).done.all()


def test_files_of_others_in_a_store(first, sweep, store, same) -> None:
    """As a file manager leaves them; zarr would warn."""
    (store / ".DS_Store").touch()
    (store / "notes.txt").write_text("mine")
    (store / "figures").mkdir()
    (store / "done" / "0.0.0").unlink()
    same(sweep(), first)
    same(gi.open_sweep(store), first)
    assert (store / "notes.txt").read_text() == "mine"
