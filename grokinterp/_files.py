"""Files that appear whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside ``path`` to write to; the file takes its place when the block is left.

    If the block fails, as on a full disk, what it has written is removed, and a file that was at
    ``path`` stays as it was. Folders above it are made.
    """
    path = Path(os.path.realpath(Path(path).expanduser()))  # a link stays, its target is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".unfinished-{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_netcdf(data: "xr.Dataset", file: Path) -> None:
    """Write a dataset as netCDF.

    It is made in memory and then written: on a full disk the HDF5 library ends the process.
    """
    file.write_bytes(data.to_netcdf(engine="h5netcdf"))
