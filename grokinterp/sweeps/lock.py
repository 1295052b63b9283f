"""One process at a time writes to a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grokinterp.sweeps.reading import SweepStoreError


@contextmanager
def locked(where: Path | None) -> Iterator[None]:
    """Keep other processes from writing to the same store meanwhile.

    The lock is a file beside the store; it is released even if this process is killed.

    Raises:
        SweepStoreError: another process holds it, or it cannot be written.
    """
    if where is None:
        yield
        return
    import filelock

    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(where.parent / f".{where.name}.lock", timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise SweepStoreError(
            f"another process is writing to {where}; wait for it, or choose another store"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise SweepStoreError(
            f"cannot write beside the store {where}: {error}; choose another store"
        ) from error
    try:
        yield
    finally:
        lock.release()
