"""Save runs to folders safely: a folder always holds the complete old run or the complete new one.

A run is written to a hidden subfolder, which is then renamed. From that moment the folder counts as
the new run, and its files move up one by one. A process may be killed at any point: :func:`stored`
finds files before and after the move, and the next save finishes it. Nothing outside the folder is
touched, so it may be a mount point, the working directory or a link.
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

_HIDDEN = ".grokinterp-"  # prefix of the files that exist only during a save
_UNFINISHED, _COMPLETE, _LOCK = f"{_HIDDEN}unfinished", f"{_HIDDEN}complete", f"{_HIDDEN}lock"
_PATIENCE = 60.0  # seconds to wait for another save to the same folder
_DERIVED = ("report.html", "figures")  # made from a run, so deleted when the run is replaced
_NOTHING = ("lost+found", ".DS_Store")  # may be in a folder that counts as empty


class RunFolderError(Exception):
    """A run folder cannot be read or written. The message names the file and the remedy.

    Examples:
        >>> import grokinterp as gi
        >>> try:
        ...     run = gi.Run.load("nowhere")
        ... except gi.RunFolderError as error:
        ...     print(error)
        nowhere/run.json is missing; nowhere is not a run folder (it does not exist)
    """


def folder_path(path: str | os.PathLike[str]) -> Path:
    """``path`` as a Path, with "~" replaced by the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~name" for an unknown user
        raise RunFolderError(f"{path} is not a valid folder name: {error}") from None


def stored(folder: Path, name: str) -> Path:
    """Path of a file of the run in ``folder``, also if a save was killed while moving files."""
    moving = folder / _COMPLETE / name
    return moving if moving.is_file() else folder / name


def stamp(folder: Path) -> object:
    """A value that changes when the run in ``folder`` is replaced, and at each step of doing so."""
    try:
        about = stored(folder, ABOUT).stat()
        left = [file.name for file in folder.glob(f"{_COMPLETE}/*")]
        return about.st_ino, about.st_mtime_ns, left
    except OSError:
        return None


def holds_run(path: str | os.PathLike[str]) -> bool:
    """Whether the folder contains a run, damaged or not."""
    return stored(folder_path(path), ABOUT).is_file()


def check_free(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise unless a run can be saved to ``path``. Meant to be called before training.

    The folder must be new, empty, or hold a run that may be replaced. Writing to it is tried, and
    leaves nothing behind.

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
                with suppress(OSError):  # was never made, or another process uses it
                    folder.rmdir()


@contextmanager
def filling(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Context manager: gives an empty folder to write a run to, which becomes the run in ``path``.

    If the block raises, ``path`` stays unchanged.

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
                _move_into_place(path)  # finish the save of a killed process
                _check_contents(path, overwrite=overwrite)  # another process may just have saved
                for begun in path.glob(f"{_UNFINISHED}*"):  # left by a killed process
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
                with suppress(OSError):  # fails if the run was saved, as it should
                    path.rmdir()


def _move_into_place(folder: Path) -> None:
    """Move the files of a completed run up; safe to repeat if the process was killed meanwhile."""
    complete = folder / _COMPLETE
    if (complete / ABOUT).is_file():
        kept = json.loads((complete / ABOUT).read_text())["sha256"]
        for old in [entry for entry in folder.iterdir() if _is_ours(entry.name)]:
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            elif old.name not in kept and old.name != ABOUT:
                old.unlink()
        for name in sorted(os.listdir(complete), key=lambda name: name == ABOUT):  # run.json last
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
                f"{path} is a link to {os.readlink(path)}, which does not exist; make that folder, "
                "or choose another one"
            )
        return
    strange = not path.is_dir() or any(_is_strange(entry.name) for entry in path.iterdir())
    # Looked for last: another process may be moving its run into place, run.json at the end.
    if path.is_dir() and (stored(path, ABOUT).is_file() or (path / ABOUT).is_file()):
        if not overwrite:
            raise RunFolderError(
                f"{path} already holds a run; choose another folder or pass overwrite=True "
                "(--overwrite on the command line)"
            )
    elif strange:
        raise RunFolderError(f"{path} exists and is not a run folder; choose another folder")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time save to a folder. A killed process releases its lock."""
    import filelock

    try:
        with filelock.FileLock(folder / _LOCK, timeout=_PATIENCE):
            try:
                yield
            finally:
                # Removed while held: a waiting process notices and makes a new lock file.
                (folder / _LOCK).unlink(missing_ok=True)
    except filelock.Timeout:
        raise RunFolderError(
            f"another process is saving to {folder}; wait for it, or choose another folder"
        ) from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn any error into one that names the folder and the remedy."""
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
