"""The zarr store of a sweep: written block by block, safe to kill at any moment, never mixed.

Every block of runs is one zarr chunk of every variable, written once by one process. ``done`` is
written last, and ``checksum`` covers all values of a run, so that a block which is half written,
lost or altered is noticed instead of read. Nothing is compressed: the usual codec reads on past the
end of a truncated file, and numbers that differ in every run hardly shrink.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokinterp.data import SUBSETS
from grokinterp.sweeps.grid import Block, Grid, indices
from grokinterp.sweeps.identity import differences
from grokinterp.sweeps.reading import (
    BOOKKEEPING,
    FORMAT,
    SweepStoreError,
    open_stored,
    read_about,
    tidy,
)
from grokinterp.sweeps.summary import DESCRIPTION, KEPT, MeasureError, Row

if TYPE_CHECKING:
    import xarray as xr


class SweepStore:
    """The open store of one sweep; :meth:`write` blocks, then :meth:`dataset`.

    Args:
        where: a folder, or None to keep everything in memory.
        grid: the runs.
        block: the shape of a block; a store that is there keeps its own.
        identity: what else two sweeps must share to be one (measures, precision ...), for JSON.
        resume: whether an existing store may be gone on with.

    Raises:
        SweepStoreError: the store belongs to another sweep, is damaged or cannot be written.
    """

    def __init__(
        self,
        where: Path | None,
        grid: Grid,
        block: Sequence[int],
        identity: Mapping[str, Any],
        *,
        resume: bool,
    ) -> None:
        import zarr
        import zarr.storage

        self.where, self.grid = where, grid
        self._place: Any = zarr.storage.MemoryStore() if where is None else where
        self._arrays: dict[str, Any] = {}
        self._shapes: dict[str, tuple[list[str], list[int]]] | None = None  # of the measures
        self.done = np.zeros(grid.shape, dtype=bool)
        asked = json.loads(json.dumps(grid.to_dict() | dict(identity)))
        with self._clear_errors("prepare"):
            if where is None:
                self._create(self._place, block, asked)
            elif not where.exists() or (where.is_dir() and not any(where.iterdir())):
                fresh = where.parent / f".{where.name}.new"
                shutil.rmtree(fresh, ignore_errors=True)  # of a sweep that was killed here
                try:
                    self._create(fresh, block, asked)
                    os.replace(fresh, where)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
            else:
                self._check_same(asked, resume)
            self._group: Any = zarr.open_group(
                self._place, mode="r+", zarr_format=2, use_consolidated=False
            )
            self.block: tuple[int, ...] = tuple(self._group.attrs["block"])
            if where is not None:
                self._mend_labels()
                self.done = self._read("done").astype(bool)
                self._tidy_up(where)
                self._check_whole()

    def write(self, block: Block, rows: Sequence[Row]) -> None:
        """Store the rows of a block's runs (in C order); the block counts as done at the end.

        Raises:
            MeasureError: a measure's shape differs from that of runs before.
            SweepStoreError: the disk is full or the store cannot be written.
        """
        shape = [cut.stop - cut.start for cut in block]
        with self._clear_errors("write to"):
            self._add_measures(rows, list(indices(block)))
            for name in rows[0]:
                values = np.stack([row[name].values for row in rows])
                self._array(name)[(*block, ...)] = values.reshape(*shape, *values.shape[1:])
            plain = ({name: value.values for name, value in row.items()} for row in rows)
            sums = np.array([_checksum(row) for row in plain], dtype=np.int64)
            self._array("checksum")[block] = sums.reshape(shape)
            self._array("done")[block] = np.ones(shape, dtype=bool)
        self.done[block] = True

    def note_session(self, session: Mapping[str, Any]) -> None:
        """Add to the provenance: when, where, with which versions and for how long it trained."""
        import zarr

        with self._clear_errors("write to"):
            provenance: Any = json.loads(str(self._group.attrs["provenance"]))
            self._group.attrs["provenance"] = json.dumps([*provenance, dict(session)])
            zarr.consolidate_metadata(self._place, zarr_format=2)

    def dataset(self) -> "xr.Dataset":
        """What is stored so far, loaded lazily; runs that are not done are NaN."""
        return tidy(open_stored(self._place))

    def _create(self, place: Any, block: Sequence[int], asked: Mapping[str, Any]) -> None:
        import xarray as xr
        import zarr

        grid = self.grid
        variables: dict[str, Any] = {}
        for name, dims in KEPT.items():
            blank = np.full((*grid.shape, *(len(SUBSETS) for _ in dims)), np.nan)
            attrs = {"long_name": DESCRIPTION[name]}
            variables[name] = ((*grid.dims, *dims), blank, attrs)
        variables["checksum"] = (grid.dims, np.zeros(grid.shape, dtype=np.int64))
        variables["done"] = (grid.dims, np.zeros(grid.shape, dtype=bool))
        template = xr.Dataset(
            variables,
            coords=self._labels(),
            attrs={
                "format": FORMAT,
                "base": json.dumps(asked["base"]),
                "identity": json.dumps(dict(asked)),
                "block": list(block),
                "provenance": json.dumps([]),
            },
        )
        encoding: dict[str, Any] = {str(n): {"compressors": None} for n in template.variables}
        for name, variable in template.data_vars.items():
            encoding[str(name)]["chunks"] = (*block, *variable.shape[len(block) :])
        template.to_zarr(place, mode="w", zarr_format=2, consolidated=False, encoding=encoding)
        zarr.consolidate_metadata(place, zarr_format=2)

    def _labels(self) -> dict[str, np.ndarray]:
        return self.grid.coordinates | {"subset": np.asarray(SUBSETS)}

    def _check_same(self, asked: Mapping[str, Any], resume: bool) -> None:
        about = read_about(self._place)
        if about["format"] < FORMAT:
            raise SweepStoreError(
                f"{self.where} was begun by an earlier grokinterp, which compared measures in "
                f"another way (format {about['format']}, now {FORMAT}): open_sweep reads it, but "
                "only that version can go on with it. Choose another store"
            )
        stored = json.loads(about["identity"])
        if stored != asked:
            raise SweepStoreError(
                f"{self.where} holds a sweep with other arguments: {differences(stored, asked)}"
            )
        if not resume:
            raise SweepStoreError(
                f"{self.where} holds this sweep already; pass resume=True to go on with it, "
                "or choose another store"
            )

    def _mend_labels(self) -> None:
        """Write the axes' labels again where they are lost or altered; the arguments have them."""
        for name, labels in self._labels().items():
            array = self._array(name)
            try:
                whole = np.array_equal(array[:], labels)
            except Exception:  # whatever a codec makes of altered bytes
                whole = False
            if not whole:
                array[:] = labels

    def _check_whole(self) -> None:
        """Every run that is done must read back as it was written."""
        names = {str(name) for name in open_stored(self._place).data_vars}
        values = {name: self._read(name) for name in names - {"done"}}
        sums = values.pop("checksum")
        for index in zip(*np.nonzero(self.done), strict=True):
            row = {name: array[index] for name, array in values.items()}
            if _checksum(row) != int(sums[index]):
                raise SweepStoreError(
                    f"{self.where} is damaged: the run with {self.grid.describe(index)} does not "
                    f"read back as it was written. {self._remedy(index)}"
                )

    def _read(self, name: str) -> np.ndarray:
        array = self._array(name)
        try:
            return array[...]
        except Exception as error:  # whatever a codec makes of altered bytes
            for block in self.grid.blocks(self.block):
                try:
                    array[(*block, ...)]
                except Exception as cause:
                    index = tuple(cut.start for cut in block)
                    file = self._chunk_file(name, index, array.ndim)
                    raise SweepStoreError(
                        f"{self.where} is damaged: {file} cannot be read ({cause}). "
                        f"{self._remedy(index)}"
                    ) from error
            raise

    def _remedy(self, index: Sequence[int]) -> str:
        return (
            f"Remove the file {self._chunk_file('done', index, len(index))} and resume: that block "
            "is trained again"
        )

    def _chunk_file(self, name: str, index: Sequence[int], ndim: int) -> Path:
        chunk = [int(i) // step for i, step in zip(index, self.block, strict=True)]
        chunk += [0] * (ndim - len(chunk))
        return (self.where or Path("memory")) / name / ".".join(map(str, chunk))

    def _tidy_up(self, where: Path) -> None:
        """Remove what a killed session had begun to write: no reader may take it for a result.

        A damaged chunk goes too, which zarr would read before it writes a block at the grid's edge.
        """
        for leftover in where.glob("**/*.partial"):
            leftover.unlink(missing_ok=True)
        unfinished = {
            tuple(cut.start // step for cut, step in zip(block, self.block, strict=True)): block
            for block in self.grid.blocks(self.block)
            if not self.done[block].all()
        }
        for block in unfinished.values():
            self.done[block] = False
        for name in (*KEPT, *BOOKKEEPING, *self._measured()):
            for file in (where / name).iterdir():
                chunk = tuple(map(int, re.findall(r"\d+", file.name)))
                if file.name[0] != "." and chunk[: len(self.block)] in unfinished:
                    file.unlink()

    def _measured(self) -> dict[str, tuple[list[str], list[int]]]:
        """The stored measures' own dimensions and shapes, without the grid's."""
        axes = len(self.grid.dims)
        return {
            str(name): (list(map(str, variable.dims[axes:])), list(variable.shape[axes:]))
            for name, variable in open_stored(self._place).data_vars.items()
            if name not in (*KEPT, *BOOKKEEPING)
        }

    def _add_measures(self, rows: Sequence[Row], places: Sequence[tuple[int, ...]]) -> None:
        """Make arrays for measures seen for the first time; refuse shapes that changed."""
        measured = [name for name in rows[0] if name not in KEPT]
        if not measured:
            return
        if self._shapes is None:
            self._shapes = self._measured()
        fresh = not self._shapes
        wanted = self._shapes or {
            name: (list(map(str, rows[0][name].dims)), list(rows[0][name].shape))
            for name in measured
        }
        for row, index in zip(rows, places, strict=True):
            for name, (dims, shape) in wanted.items():
                if list(row[name].shape) != shape or list(map(str, row[name].dims)) != dims:
                    raise MeasureError(
                        f"measure {name!r} returned {_shape(row[name].dims, row[name].shape)} for "
                        f"the run with {self.grid.describe(index)} after {_shape(dims, shape)} for "
                        "others; every run must give the same shape (pad with NaN)"
                    )
        if fresh:
            self._check_dims(wanted)
            self._make_arrays(wanted)
            self._shapes = wanted

    def _make_arrays(self, wanted: Mapping[str, tuple[list[str], list[int]]]) -> None:
        import zarr

        for name, (dims, shape) in wanted.items():
            self._group.create_array(
                name,
                shape=(*self.grid.shape, *shape),
                chunks=(*self.block, *shape),
                dtype="float64",
                fill_value=np.nan,
                compressors=None,
                attributes={"_ARRAY_DIMENSIONS": [*self.grid.dims, *dims]},
                overwrite=True,  # a killed session may have begun it
            )
        zarr.consolidate_metadata(self._place, zarr_format=2)

    def _check_dims(self, wanted: Mapping[str, tuple[list[str], list[int]]]) -> None:
        """Refuse dimensions that would not fit into one dataset."""
        taken = {*self.grid.dims, *KEPT, *BOOKKEEPING, *wanted}
        sizes = {"subset": (len(SUBSETS), "the sweep")}
        for name, (dims, shape) in wanted.items():
            for dim, size in zip(dims, shape, strict=True):
                if dim in taken or dims.count(dim) > 1:
                    raise MeasureError(
                        f"measure {name!r} has the dimension {dim!r}, a name that is taken; "
                        "rename it"
                    )
                known, owner = sizes.setdefault(dim, (size, f"measure {name!r}"))
                if known != size:
                    raise MeasureError(
                        f"measure {name!r} has {size} along {dim!r}, {owner} has {known}; "
                        "rename one of the two dimensions"
                    )

    def _array(self, name: str) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._group[name]
        return self._arrays[name]

    @contextmanager
    def _clear_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileExistsError | NotADirectoryError):
                raise SweepStoreError(
                    f"{self.where} is in the way: {error}; choose another store"
                ) from error
            raise SweepStoreError(
                f"cannot {verb} the store {self.where}: {error}. "
                f"{int(self.done.sum())} of {self.grid.size} runs are stored; mend this and resume"
            ) from error


def _checksum(row: Mapping[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(row):
        value = np.ascontiguousarray(row[name], dtype=np.float64)
        value = np.where(np.isnan(value), np.nan, value)  # zarr keeps no NaN's sign
        total = zlib.crc32(value.tobytes(), total)
    return total


def _shape(dims: Sequence[Any], shape: Sequence[int]) -> str:
    return f"({', '.join(f'{dim}: {size}' for dim, size in zip(dims, shape, strict=True))})"
