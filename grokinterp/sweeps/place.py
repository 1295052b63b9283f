"""The folder of a sweep's store: its path, its lock and its first filling."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grokinterp.short_text import short

LISTED = ".zmetadata"  # written last in a new store; an array that it does not list is ignored
_LOCK, _NEW = ".lock", ".new"
_NOBODYS = {_LOCK, _NEW, "lost+found"}  # an empty file system contains lost+found


class SweepStoreError(Exception):
    """A sweep's store cannot be read, written or resumed. The message says why and what to do.

    Examples:
        >>> import grokinterp as gi
        >>> try:
        ...     sweep = gi.open_sweep("nowhere.zarr")
        ... except gi.SweepStoreError as error:
        ...     print(str(error).split(": ")[-1])
        it does not exist
    """


def store_path(store: str | os.PathLike[str]) -> Path:
    """The store's folder as an absolute path, so that a later ``os.chdir`` does not matter."""
    text = os.fspath(store) if isinstance(store, str | os.PathLike) else store
    if not isinstance(text, str):
        raise TypeError(f"store must be the path of a folder, got {short(store)}")
    if not text:
        raise ValueError("store is an empty string; name a folder ('.' is the current one)")
    try:
        if "\0" in text:
            raise RuntimeError("it has a null character")
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # also "~name" for an unknown user
        raise ValueError(f"store={short(text)} is not a valid path: {error}") from None


def is_blank(where: Path) -> bool:
    """Whether a new store can be made there: a free path, an empty folder, or a half-made store.

    Raises:
        SweepStoreError: the path is not a folder, or it cannot be read.
    """
    try:
        if where.is_symlink() and not where.exists():
            raise SweepStoreError(
                f"{where} is a link to {os.readlink(where)}, which does not exist; make that "
                "folder, or choose another store"
            )
        if not where.exists():
            return True
        if not where.is_dir():
            raise SweepStoreError(f"{where} is a file; a sweep's store is a folder")
        names = set(os.listdir(where))
    except OSError as error:  # no permission, a name too long
        raise SweepStoreError(f"cannot read {where}: {error}; choose another store") from error
    return names <= _NOBODYS or (_NEW in names and LISTED not in names)


@contextmanager
def locked(where: Path | None) -> Iterator[None]:
    """Context manager that keeps other processes from writing to the same store.

    The lock is a file in the folder, which is created if needed. The lock is released even if this
    process is killed.

    Raises:
        SweepStoreError: another process holds the lock, or it cannot be written.
    """
    if where is None:
        yield
        return
    import filelock

    made = not where.exists()
    try:
        where.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(where / _LOCK, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise SweepStoreError(
            f"another process is writing to {where}; wait for it, or choose another store"
        ) from error
    except (OSError, NotImplementedError) as error:
        if made:
            with suppress(OSError):
                where.rmdir()
        raise SweepStoreError(
            f"cannot write to the store {where}: {error}; choose another store"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # somebody may have moved the folder away
            if made and set(os.listdir(where)) <= {_LOCK}:
                (where / _LOCK).unlink(missing_ok=True)
                where.rmdir()
        lock.release()


def fill(where: Path, make: Callable[[Path], None]) -> None:
    """Make a store in an empty folder, or finish one that a killed process began.

    The store is made in a subfolder and then moved up. ``.zmetadata`` moves last; until then
    readers see no store.

    Args:
        where: the folder; blank (see :func:`is_blank`) and locked.
        make: function that makes a store in a given folder.
    """
    fresh = where / _NEW
    if not (fresh / LISTED).exists():  # nothing has been moved yet
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            make(fresh)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    for file in sorted(fresh.iterdir(), key=lambda file: file.name == LISTED):
        os.replace(file, where / file.name)
    fresh.rmdir()
