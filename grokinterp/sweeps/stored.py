"""The arrays of a sweep's store, none of which is believed before it is checked."""

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokinterp._short import short
from grokinterp.data import SUBSETS
from grokinterp.sweeps.grid import cut
from grokinterp.sweeps.place import SweepStoreError, store_path
from grokinterp.sweeps.reading import BOOKKEEPING, About, read_about
from grokinterp.sweeps.rows import KEPT

if TYPE_CHECKING:
    import xarray as xr


def open_sweep(store: str | os.PathLike[str], *, check: bool = True) -> "xr.Dataset":
    """The dataset of a sweep, finished or not; runs that are not ``done`` are NaN.

    Args:
        store: its folder; a sweep may be writing to it.
        check: read everything once, to see that it is what was written; this takes seconds for
            tens of thousands of runs. False opens at once, and whatever is damaged is NaN or an
            error of another library when it is looked at.

    Raises:
        SweepStoreError: there is no sweep, something is damaged, or it was written by a newer
            grokinterp.
    """
    where = store_path(store)
    stored = Stored(where, read_about(where))
    done = stored.done()  # before all else: what is done by now is whole
    if check:
        stored.check_labels()
        stored.check_runs(done)
    return tidy(open_arrays(where), done)


class Stored:
    """Reads the arrays of a store, and names what is damaged.

    Args:
        where: the folder.
        about: its attributes.
    """

    def __init__(self, where: Path, about: About) -> None:
        import zarr

        self.where, self.about = where, about
        self.labels: dict[str, list[Any]] = about.identity["axes"]
        self.blocks = cut([len(labels) for labels in self.labels.values()], about.block)
        self._group: Any = zarr.open_group(where, mode="r", zarr_format=2, use_consolidated=False)

    def done(self) -> np.ndarray:
        """Which runs are finished. A block is done as a whole or not at all."""
        flags = self.read("done").view(np.uint8) == 1
        lengths = tuple(len(labels) for labels in self.labels.values())
        if (flags.shape, self._group["done"].chunks) != (lengths, self.about.block):
            raise SweepStoreError(
                f"{self.where} is damaged: the array in {self.where / 'done'} has not the shape "
                "that the attributes say. Restore both from a copy, or choose another store"
            )
        for block in self.blocks:
            flags[block] = flags[block].all()
        return flags

    def check_labels(self) -> None:
        """Raise if the labels of the axes are not those that the sweep was begun with."""
        for name, labels in (self.labels | {"subset": list(SUBSETS)}).items():
            try:
                whole = self._group[name][:].tolist() == labels
            except Exception:  # whatever a codec makes of altered bytes
                whole = False
            if not whole:
                raise SweepStoreError(
                    f"{self.where} is damaged: the labels in {self.where / name / '0'} are not "
                    "those that it was begun with. Call gi.sweep with the same arguments, which "
                    "writes them again"
                )

    def check_runs(self, done: np.ndarray) -> None:
        """Raise if a run that is done does not read back as it was written."""
        places: list[list[int]] = np.argwhere(done).tolist()
        sums = [place_sum(self.about, place) for place in places]
        # A store of an earlier format lacks what it did not know.
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
        """All of an array."""
        try:
            array = self._group[name]
            return np.asarray(array[...])
        except Exception as error:  # whatever a codec makes of altered bytes
            raise self._unreadable(name, error) from error

    def describe(self, place: Sequence[int]) -> str:
        """A run's place in words."""
        pairs = zip(self.labels.items(), place, strict=True)
        return ", ".join(f"{dim}={short(labels[i])}" for (dim, labels), i in pairs)

    def remedy(self, place: Sequence[int]) -> str:
        """How to have the block with this run trained again."""
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
    """Where a run's checksum begins: with its sweep and its place, so that neither can be swapped.

    Stores of format 1 had checksums of the values alone.
    """
    if about.written == 1:
        return 0
    return zlib.crc32(repr(list(place)).encode(), zlib.crc32(about.text.encode()))


def add_values(sums: Iterable[int], values: np.ndarray) -> list[int]:
    """Runs' checksums with one more variable, whose first axis are the runs."""
    values = np.asarray(values, dtype=np.float64)
    rows = np.where(np.isnan(values), np.nan, values)  # zarr keeps no NaN's sign
    return [zlib.crc32(row.tobytes(), total) for total, row in zip(sums, rows, strict=True)]


def open_arrays(place: Any) -> "xr.Dataset":
    """All variables, lazily. Only what ``.zmetadata`` lists counts, so no half-made array does."""
    import xarray as xr

    try:
        return xr.open_zarr(place, zarr_format=2, consolidated=True, chunks=None)
    except Exception as error:  # xarray's, zarr's or a codec's, whatever the bytes make of them
        raise SweepStoreError(
            f"{place} is damaged: its arrays do not fit together ({error}). Restore it from a "
            "copy, or choose another store"
        ) from error


def tidy(arrays: "xr.Dataset", done: np.ndarray) -> "xr.Dataset":
    """The variables for readers, in one order, without the numbers of runs that are not done."""
    measured = sorted({str(name) for name in arrays.data_vars} - {*KEPT, *BOOKKEEPING})
    values = arrays[[*(name for name in KEPT if name in arrays), *measured]]
    flags = arrays["done"].copy(data=done)
    return (values if done.all() else values.where(flags)).assign(done=flags)
