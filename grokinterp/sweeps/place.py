"""Where a sweep's store is: a folder that is filled in place, by one process at a time."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grokinterp._short import short

LISTED = ".zmetadata"  # the last file of a new store; what it does not list is not there
_LOCK, _NEW = ".lock", ".new"
_NOBODYS = {_LOCK, _NEW, "lost+found"}  # an empty file system has the last one


class SweepStoreError(Exception):
    """A sweep's store cannot be read, written or resumed; the message says why and what to do."""


def store_path(store: str | os.PathLike[str]) -> Path:
    """The store's folder, wherever the process goes meanwhile."""
    text = os.fspath(store) if isinstance(store, str | os.PathLike) else store
    if not isinstance(text, str):
        raise TypeError(f"store must be the path of a folder, got {short(store)}")
    if not text:
        raise ValueError("store is an empty text; name a folder, '.' for the current one")
    try:
        if "\0" in text:
            raise RuntimeError("it has a null character")
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # or the home of a user who is not there
        raise ValueError(f"store={short(text)} is no path: {error}") from None


def is_blank(where: Path) -> bool:
    """Whether a store can be made there: nothing, an empty folder, or a store only begun.

    Raises:
        SweepStoreError: there is something that is no folder.
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
        raise SweepStoreError(f"cannot look into {where}: {error}; choose another store") from error
    return names <= _NOBODYS or (_NEW in names and LISTED not in names)


@contextmanager
def locked(where: Path | None) -> Iterator[None]:
    """Keep other processes from writing to the same store meanwhile.

    The lock is a file in the folder, which is made if need be; it is released even if this process
    is killed.

    Raises:
        SweepStoreError: another process holds it, or it cannot be written.
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
        if made and set(os.listdir(where)) <= {_LOCK}:
            (where / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                where.rmdir()
        lock.release()


def fill(where: Path, make: Callable[[Path], None]) -> None:
    """Make a store in an empty folder, or finish what a killed process began there.

    Everything is made in a folder inside and then moved up, the file that lists it last: until then
    there is no store for readers.

    Args:
        where: blank, and locked.
        make: makes a store in a folder that it is given.
    """
    fresh = where / _NEW
    if not (fresh / LISTED).exists():  # then nothing of it has been moved
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            make(fresh)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    for file in sorted(fresh.iterdir(), key=lambda file: file.name == LISTED):
        os.replace(file, where / file.name)
    fresh.rmdir()
