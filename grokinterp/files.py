"""Write files atomically: they appear complete or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Context manager: gives a temporary path to write to, which becomes ``path`` at the end.

    If the block fails, for instance on a full disk, the temporary file is removed and an existing
    file at ``path`` stays unchanged. Missing parent folders are made.
    """
    path = Path(os.path.realpath(Path(path).expanduser()))  # of a link, the target is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".unfinished-{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_netcdf(data: xr.Dataset, file: Path) -> None:
    """Write a dataset as netCDF.

    The file is made in memory first: on a full disk the HDF5 library would end the process. How a
    part of the dataset was stored before is forgotten: words joined to shorter ones that came from
    a file would be cut to the length of these.
    """
    file.write_bytes(data.drop_encoding().to_netcdf(engine="h5netcdf"))
