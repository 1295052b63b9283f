"""A sweep's store as a reader sees it, at any time."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokinterp.sweeps.summary import KEPT

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 2  # raised when a store written today could not be read by yesterday's code
BOOKKEEPING = ("done", "checksum")


class SweepStoreError(Exception):
    """A sweep's store cannot be read, written or resumed; the message says why and what to do."""


def open_sweep(store: str | os.PathLike[str]) -> "xr.Dataset":
    """The dataset of a sweep, finished or not; runs that are not ``done`` are NaN.

    Raises:
        SweepStoreError: there is no sweep there, or it was written by a newer grokinterp.
    """
    where = Path(store).expanduser()
    read_about(where)
    return tidy(open_stored(where))


def read_about(where: Path) -> dict[str, Any]:
    """The attributes of a sweep's store, checked to be one."""
    import zarr

    if not where.is_dir():
        missing = "is a file" if where.exists() else "does not exist"
        raise SweepStoreError(f"{where} {missing}; a sweep's store is a folder")
    try:
        group = zarr.open_group(where, mode="r", zarr_format=2, use_consolidated=False)
        about: dict[str, Any] = dict(group.attrs)
    except (OSError, ValueError, KeyError) as error:
        raise SweepStoreError(
            f"{where} is no sweep of grokinterp ({error}); choose another store"
        ) from error
    written = about.get("format")
    if type(written) is not int or "identity" not in about:
        raise SweepStoreError(f"{where} is no sweep of grokinterp; choose another store")
    if written > FORMAT:
        raise SweepStoreError(
            f"{where} was written in format {written}, this grokinterp reads up to {FORMAT}; "
            "upgrade grokinterp"
        )
    return about


def open_stored(place: Any) -> "xr.Dataset":
    """All variables, lazily. Only what ``.zmetadata`` lists counts, so no half-made array does."""
    import xarray as xr

    try:
        return xr.open_zarr(place, zarr_format=2, consolidated=True, chunks=None)
    except (OSError, ValueError, KeyError) as error:
        raise SweepStoreError(
            f"{place} is damaged: its metadata cannot be read ({error}). Restore .zmetadata and "
            "the labels of the axes from a copy, or choose another store"
        ) from error


def tidy(stored: "xr.Dataset") -> "xr.Dataset":
    """The variables for readers, in one order, without the numbers of half-written blocks."""
    done = stored["done"].load()  # first: what is done by now is whole
    measured = sorted({str(n) for n in stored.data_vars} - {*KEPT, *BOOKKEEPING})
    # a store of an earlier format lacks what it did not know
    values = stored[[*(name for name in KEPT if name in stored), *measured]]
    if not bool(done.all()):
        values = values.where(done)
    return values.assign(done=done)
