"""Saving a run: which folders are taken."""

import dataclasses
import errno
import os
from pathlib import Path

import pytest

import grokinterp as gi
from grokinterp.runs import folder as run_folder
from tests.grokinterp.saved import FILES, contents


def test_a_run_is_not_overwritten_unasked(folder: Path, odd_run: gi.Run) -> None:
    before = contents(folder)
    with pytest.raises(gi.RunFolderError, match=r"already holds a run.*overwrite=True") as caught:
        odd_run.save(folder)
    assert str(folder) in str(caught.value)
    assert contents(folder) == before
    assert os.listdir(folder.parent) == ["run"]


def test_overwriting_replaces_the_run_and_what_was_made_from_it(
    folder: Path, odd_run: gi.Run, tiny_run: gi.Run
) -> None:
    (folder / "report.html").write_text("of the old run")
    (folder / "figures").mkdir()
    (folder / "figures" / "pruning.html").write_text("of the old run")
    odd_run.save(folder, overwrite=True)
    assert gi.Run.load(folder).config == odd_run.config
    kept = [f"checkpoint-{name}.safetensors" for name in odd_run.checkpoints]
    assert sorted(os.listdir(folder)) == sorted([*FILES, *kept])
    tiny_run.save(folder, overwrite=True)  # its checkpoints go, too
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(folder.parent) == ["run"]


def test_overwriting_leaves_what_is_no_runs(folder: Path, odd_run: gi.Run) -> None:
    odd_run.save(folder / "child")
    (folder / "notes.txt").write_text("mine")
    before = contents(folder / "child")
    odd_run.save(folder, overwrite=True)
    assert gi.Run.load(folder).config == odd_run.config
    assert contents(folder / "child") == before
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_replaced(
    overwrite: bool, tiny_run: gi.Run, tmp_path: Path
) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    for path in (thesis, thesis / "chapter.txt"):
        with pytest.raises(
            gi.RunFolderError, match="exists and is not a run folder; choose another"
        ):
            tiny_run.save(path, overwrite=overwrite)
    assert (thesis / "chapter.txt").read_text() == "years of work"
    assert os.listdir(tmp_path) == ["thesis"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_empty_folder_is_filled_in_place(
    overwrite: bool, tiny_run: gi.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory, whose name is "."; nothing beside it is touched."""
    here = tmp_path / "here"
    (here / "lost+found").mkdir(parents=True)  # as a freshly made file system has
    inode = here.stat().st_ino
    monkeypatch.chdir(here)
    tiny_run.save(".", overwrite=overwrite)
    assert gi.Run.load(".").config == tiny_run.config
    assert here.stat().st_ino == inode
    assert os.listdir(tmp_path) == ["here"]
    tiny_run.save(".", overwrite=True)
    assert here.stat().st_ino == inode
    assert sorted(os.listdir(here)) == [*FILES[:2], "lost+found", *FILES[2:]]


def test_a_link_to_a_folder_stays_a_link(tiny_run: gi.Run, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run"
    link.symlink_to("disk")
    tiny_run.save(link)
    tiny_run.save(link, overwrite=True)
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path / "disk")) == FILES


@pytest.mark.parametrize("ask", ["check", "save"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("link", r"link is a link to nowhere, which does not exist; make that folder"),
        ("loop", r"loop is a link to loop, which does not exist"),
        ("file/run", r"file/run cannot be written: Not a directory; choose another folder"),
        ("x" * 300, r"x cannot be written: File name too long; choose another folder"),
        ("a\0b", r"cannot be saved to .*: embedded null"),
        ("~nobody-of-this-name/run", r"~nobody-of-this-name/run is not a valid folder name"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_training(
    ask: str,
    path: str,
    message: str,
    tiny_run: gi.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    Path("file").touch()
    attempt = tiny_run.save if ask == "save" else run_folder.check_free
    with pytest.raises(gi.RunFolderError, match=message):
        attempt(path, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "loop"]


def test_asking_tries_to_write_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder.check_free(tmp_path / "deep" / "run", overwrite=False)
    assert os.listdir(tmp_path) == []
    (tmp_path / "empty").mkdir()
    run_folder.check_free(tmp_path / "empty", overwrite=False)
    assert os.listdir(tmp_path) == ["empty"]

    def refuse(path: object, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)  # the tests may run as root, who may write anywhere
    for name in ("empty", "new"):
        with pytest.raises(gi.RunFolderError, match=f"{name} cannot be written: Read-only file"):
            run_folder.check_free(tmp_path / name, overwrite=False)


def test_what_could_not_be_loaded_is_not_saved(
    tiny_run: gi.Run, odd_run: gi.Run, tmp_path: Path
) -> None:
    wrong = {
        "labels differs": {"dataset": gi.make_dataset(gi.DataConfig(p=11, train_fraction=0.6))},
        "tokens differs": {"dataset": odd_run.dataset},
        "has no train_loss": {"history": tiny_run.history.drop_vars("train_loss")},
        "not one of the 40 steps": {"diverged_at": 41},
        "a run ends only once": {"diverged_at": 3, "interrupted_at": 3},
        "not JSON serializable": {"provenance": {"note": object()}},
    }
    for message, parts in wrong.items():
        with pytest.raises(gi.RunFolderError, match=message):
            dataclasses.replace(tiny_run, **parts).save(tmp_path / "run")
        assert os.listdir(tmp_path) == []
