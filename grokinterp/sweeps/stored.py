"""Read and check the arrays of a sweep's store."""

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokinterp.data import SUBSETS
from grokinterp.short_text import short
from grokinterp.sweeps.grid import cut
from grokinterp.sweeps.place import SweepStoreError, store_path
from grokinterp.sweeps.reading import BOOKKEEPING, About, read_about
from grokinterp.sweeps.rows import KEPT


def open_sweep(store: str | os.PathLike[str], *, check: bool = True) -> xr.Dataset:
    """Open the dataset of a sweep, finished or not; runs that are not ``done`` are NaN.

    Args:
        store: folder of the store; a sweep may still be writing to it.
        check: read all values once and verify their checksums, which takes seconds for tens of
            thousands of runs. False opens at once; damaged values then read as NaN, or raise an
            error of zarr or xarray when accessed.

    Raises:
        SweepStoreError: there is no sweep, something is damaged, or a newer grokinterp wrote it.

    Examples:
        >>> import grokinterp as gi
        >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 20})
        >>> axes = {"training.weight_decay": [0.0, 5.0]}
        >>> result = gi.sweep(base, axes, store="small.zarr")
        >>> opened = gi.open_sweep("small.zarr")
        >>> opened.final_accuracy.sel(subset="train").dims, bool(opened.done.all())
        (('training.weight_decay', 'seed'), True)
    """
    where = store_path(store)
    stored = Stored(where, read_about(where))
    done = stored.done()  # read first: a sweep may be writing, and blocks done by now are complete
    if check:
        stored.check_labels()
        stored.check_runs(done)
    return tidy(open_arrays(where), done)


class Stored:
    """Reads the arrays of a store; its errors say which file is damaged.

    Args:
        where: the store's folder.
        about: the store's attributes.
    """

    def __init__(self, where: Path, about: About) -> None:
        import zarr

        self.where, self.about = where, about
        self.labels: dict[str, list[Any]] = about.identity["axes"]
        self.blocks = cut([len(labels) for labels in self.labels.values()], about.block)
        self._group: Any = zarr.open_group(where, mode="r", zarr_format=2, use_consolidated=False)

    def done(self) -> np.ndarray:
        """Mask of the finished runs, [*axes, seed]. A block is done as a whole or not at all."""
        flags = self.read("done").view(np.uint8) == 1
        lengths = tuple(len(labels) for labels in self.labels.values())
        if (flags.shape, self._group["done"].chunks) != (lengths, self.about.block):
            raise SweepStoreError(
                f"{self.where} is damaged: the array in {self.where / 'done'} does not have the "
                "shape in the attributes. Restore both from a copy, or choose another store"
            )
        for block in self.blocks:
            flags[block] = flags[block].all()
        return flags

    def check_labels(self) -> None:
        """Raise if the axes' labels differ from those the sweep was begun with."""
        for name, labels in (self.labels | {"subset": list(SUBSETS)}).items():
            try:
                whole = self._group[name][:].tolist() == labels
            except Exception:  # a codec may raise anything on altered bytes
                whole = False
            if not whole:
                raise SweepStoreError(
                    f"{self.where} is damaged: the labels in {self.where / name / '0'} are not "
                    "those that it was begun with. Call gi.sweep with the same arguments, which "
                    "writes them again"
                )

    def check_runs(self, done: np.ndarray) -> None:
        """Raise if the checksum of a finished run does not match its values."""
        places: list[list[int]] = np.argwhere(done).tolist()
        sums = [place_sum(self.about, place) for place in places]
        # A store of an earlier format has fewer variables.
        kept = {name for name in KEPT if name in self._group}
        for name in sorted(kept | {*self.about.identity["measure"]}) if sums else ():
            sums = add_values(sums, self.read(name)[done])
        for place, total, written in zip(places, sums, self.read("checksum")[done], strict=True):
            if total != written:
                raise SweepStoreError(
                    f"{self.where} is damaged: the run with {self.describe(place)} does not read "
                    f"back as it was written. {self.remedy(place)}"
                )

    def read(self, name: str) -> np.ndarray:
        """All values of one array."""
        try:
            array = self._group[name]
            return np.asarray(array[...])
        except Exception as error:  # a codec may raise anything on altered bytes
            raise self._unreadable(name, error) from error

    def describe(self, place: Sequence[int]) -> str:
        """The labels of the run at ``place`` in words, for messages."""
        pairs = zip(self.labels.items(), place, strict=True)
        return ", ".join(f"{dim}={short(labels[i])}" for (dim, labels), i in pairs)

    def remedy(self, place: Sequence[int]) -> str:
        """Instructions to get the block of this run trained again, for messages."""
        return (
            f"Remove the file {self._chunk('done', place, len(place))} and resume: that block is "
            "trained again"
        )

    def _unreadable(self, name: str, error: Exception) -> SweepStoreError:
        array = self._group[name]
        for block in self.blocks:
            try:
                array[(*block, ...)]
            except Exception as cause:
                place = [part.start for part in block]
                return SweepStoreError(
                    f"{self.where} is damaged: {self._chunk(name, place, array.ndim)} cannot be "
                    f"read ({cause}). {self.remedy(place)}"
                )
        return SweepStoreError(
            f"{self.where} is damaged: the array in {self.where / name} cannot be read ({error}). "
            "Restore it from a copy, or choose another store"
        )

    def _chunk(self, name: str, place: Sequence[int], ndim: int) -> Path:
        numbers = [int(i) // step for i, step in zip(place, self.about.block, strict=True)]
        numbers += [0] * (ndim - len(numbers))
        return self.where / name / ".".join(map(str, numbers))


def place_sum(about: About, place: Iterable[int]) -> int:
    """Start value of a run's checksum: covers its sweep and its grid index, so swaps are noticed.

    Format 1 computed checksums from the values alone, so its start value is 0.
    """
    if about.written == 1:
        return 0
    return zlib.crc32(repr(list(place)).encode(), zlib.crc32(about.text.encode()))


def add_values(sums: Iterable[int], values: np.ndarray) -> list[int]:
    """Update the checksums of some runs with one more variable, ``values`` [run, ...]."""
    values = np.asarray(values, dtype=np.float64)
    rows = np.where(np.isnan(values), np.nan, values)  # zarr does not keep the sign of NaN
    return [zlib.crc32(row.tobytes(), total) for total, row in zip(sums, rows, strict=True)]


def open_arrays(place: Any) -> xr.Dataset:
    """All variables, loaded lazily; arrays not listed in ``.zmetadata`` are ignored."""
    try:
        return xr.open_zarr(place, zarr_format=2, consolidated=True, chunks=None)
    except Exception as error:  # xarray, zarr or a codec may raise anything on altered bytes
        raise SweepStoreError(
            f"{place} is damaged: its arrays are inconsistent ({error}). Restore it from a "
            "copy, or choose another store"
        ) from error


def tidy(arrays: xr.Dataset, done: np.ndarray) -> xr.Dataset:
    """The dataset for users: a fixed order of variables, NaN for runs that are not done."""
    measured = sorted({str(name) for name in arrays.data_vars} - {*KEPT, *BOOKKEEPING})
    values = arrays[[*(name for name in KEPT if name in arrays), *measured]]
    flags = arrays["done"].copy(data=done)
    return (values if done.all() else values.where(flags)).assign(done=flags)
