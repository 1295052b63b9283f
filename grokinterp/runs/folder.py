"""Where runs are saved: a folder changes from one complete run to the next, or not at all.

A run is written to a hidden folder inside the run's own, which is then renamed: from that moment on
it is the run, and its files move into place one by one. A process can be killed at any point:
:func:`stored` finds the files on either side of the move, and the next save finishes it. Nothing
beside the folder is touched, so it may be a mount point, the working directory or a link.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError

ABOUT = "run.json"
FILES = ("model.safetensors", "dataset.safetensors", "history.nc")
CHECKPOINT = "checkpoint-{}.safetensors"

_HIDDEN = ".grokinterp-"  # how the names begin of what only a save knows
_UNFINISHED, _COMPLETE, _LOCK = f"{_HIDDEN}unfinished", f"{_HIDDEN}complete", f"{_HIDDEN}lock"
_PATIENCE = 60.0  # seconds that a save waits for another one to the same folder
_DERIVED = ("report.html", "figures")  # made from a run; they go when it is replaced
_NOTHING = ("lost+found", ".DS_Store")  # what a file system puts into an empty folder


class RunFolderError(Exception):
    """A run folder cannot be read or written; the message says which file and what to do."""


def folder_path(path: str | os.PathLike[str]) -> Path:
    """``path`` as a Path, "~" replaced by the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~name" of nobody
        raise RunFolderError(f"{path} is not a folder's name: {error}") from None


def stored(folder: Path, name: str) -> Path:
    """Where a file of the run in ``folder`` is, whether or not its save was killed on the way."""
    moving = folder / _COMPLETE / name
    return moving if moving.is_file() else folder / name


def stamp(folder: Path) -> object:
    """What changes when the run in ``folder`` is replaced, and with every step of that."""
    try:
        about = stored(folder, ABOUT).stat()
        left = [file.name for file in folder.glob(f"{_COMPLETE}/*")]
        return about.st_ino, about.st_mtime_ns, left
    except OSError:
        return None


def holds_run(path: str | os.PathLike[str]) -> bool:
    """Whether there is a run in the folder, damaged or not."""
    return stored(folder_path(path), ABOUT).is_file()


def check_free(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise unless a run can be saved to ``path``; to be asked before training, not after.

    The folder must be new, empty, or hold a run that may be replaced, and it must be possible to
    write to it: that is tried, and leaves nothing behind.

    Raises:
        RunFolderError: ``path`` holds a run and ``overwrite`` is False, holds something else, or
            cannot be written.
    """
    path = folder_path(path)
    with _explained(path):
        _check_contents(path, overwrite=overwrite)
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=path):
                pass
        finally:
            for folder in missing:
                with suppress(OSError):  # was never made, or is in use already
                    folder.rmdir()


@contextmanager
def filling(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder to write a run to; when the block ends, it becomes the run in ``path``.

    If the block raises, ``path`` is as it was.

    Raises:
        RunFolderError: as for :func:`check_free`, or another process has been saving to ``path``
            for a minute.
    """
    with _explained(path):
        new = not path.exists()
        _check_contents(path, overwrite=overwrite)
        path.mkdir(parents=True, exist_ok=True)
        try:
            with _alone(path):
                _move_into_place(path)  # what a killed process had completed
                _check_contents(path, overwrite=overwrite)  # another may just have saved
                for begun in path.glob(f"{_UNFINISHED}*"):  # by a process that was killed
                    shutil.rmtree(begun, ignore_errors=True)
                fresh = path / _UNFINISHED
                fresh.mkdir()
                try:
                    yield fresh
                    os.replace(fresh, path / _COMPLETE)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
                _move_into_place(path)
        finally:
            if new:
                with suppress(OSError):  # it holds the run
                    path.rmdir()


def _move_into_place(folder: Path) -> None:
    """Give a completed run its place, in steps that can be taken again after a kill."""
    complete = folder / _COMPLETE
    if (complete / ABOUT).is_file():
        kept = json.loads((complete / ABOUT).read_text())["sha256"]
        for old in [entry for entry in folder.iterdir() if _is_ours(entry.name)]:
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            elif old.name not in kept and old.name != ABOUT:
                old.unlink()
        for name in sorted(os.listdir(complete), key=lambda name: name == ABOUT):  # that one last
            os.replace(complete / name, folder / name)
    if complete.is_dir():
        shutil.rmtree(complete)


def _is_ours(name: str) -> bool:
    return name in (ABOUT, *FILES, *_DERIVED) or fnmatch(name, CHECKPOINT.format("*"))


def _is_strange(name: str) -> bool:
    return not name.startswith(_HIDDEN) and name not in _NOTHING


def _check_contents(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        if path.is_symlink():
            raise RunFolderError(
                f"{path} is a link to {os.readlink(path)}, which does not exist; make that folder "
                "or choose another one"
            )
        return
    if path.is_dir() and stored(path, ABOUT).is_file():
        if not overwrite:
            raise RunFolderError(
                f"{path} already holds a run; choose another folder or pass overwrite=True "
                "(--overwrite on the command line)"
            )
    elif not path.is_dir() or any(_is_strange(entry.name) for entry in path.iterdir()):
        raise RunFolderError(f"{path} exists and is no run folder; choose another folder")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time saves to a folder. The lock ends with the process that holds it."""
    import filelock

    try:
        with filelock.FileLock(folder / _LOCK, timeout=_PATIENCE):
            try:
                yield
            finally:
                # While it is held: who waits for it sees that it is gone, and makes a new one.
                (folder / _LOCK).unlink(missing_ok=True)
    except filelock.Timeout:
        raise RunFolderError(
            f"another process is saving to {folder}; wait for it, or choose another folder"
        ) from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the folder and the remedy, whatever the file system or a library says."""
    try:
        yield
    except RunFolderError:
        raise
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunFolderError(
            f"{path} cannot be written: {' '.join(str(reason).split())}; choose another folder, or "
            "make this one writable, with room for the run"
        ) from error
    except Exception as error:
        raise RunFolderError(f"the run cannot be saved to {path}: {error}") from error
