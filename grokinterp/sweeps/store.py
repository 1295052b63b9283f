"""The zarr store of a sweep: written block by block, and intact if killed at any moment.

Each block of runs is one zarr chunk of each variable, written once by one process. ``done`` is
written last. ``checksum`` covers a run's values, its grid index and its sweep, so a block that is
incomplete, lost, altered or moved raises an error. Nothing is compressed: zarr's default codec
reads past the end of a truncated file, and these numbers hardly compress.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokinterp.data import SUBSETS
from grokinterp.sweeps.grid import MOST_DIMENSIONS, Block, Grid, indices
from grokinterp.sweeps.identity import differences
from grokinterp.sweeps.place import SweepStoreError, fill, is_blank
from grokinterp.sweeps.reading import BOOKKEEPING, FORMAT, About, read_about
from grokinterp.sweeps.rows import DESCRIPTION, KEPT, MeasureError, Row
from grokinterp.sweeps.stored import Stored, add_values, open_arrays, place_sum, tidy


class SweepStore:
    """The open store of one sweep: :meth:`write` blocks, then read :meth:`dataset`.

    Args:
        where: a folder, or None to keep everything in memory.
        grid: the runs.
        block: the shape of a block; an existing store keeps its own.
        identity: arguments beside the grid (measures, precision, ...) that must be equal to resume
            a store; plain data for JSON.
        resume: whether an existing store may be continued.

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
        from zarr.storage import MemoryStore

        from grokinterp.sweeps.folder import Folder

        self.where, self.grid = where, grid
        self._place: Any = MemoryStore() if where is None else Folder(where)
        self._arrays: dict[str, Any] = {}
        self._shapes: dict[str, tuple[list[str], list[int]]] | None = None  # measure: dims, shape
        self.done = np.zeros(grid.shape, dtype=bool)
        text = json.dumps(grid.to_dict() | dict(identity))
        asked = About(
            written=FORMAT, identity=json.loads(text), text=text, block=tuple(map(int, block))
        )
        self._about = asked
        with self._clear_errors("prepare"):
            if where is None:
                self._create(self._place, asked)
            elif is_blank(where):
                fill(where, lambda folder: self._create(folder, asked))
            else:
                self._about = self._same(where, asked, resume)
            self.block = self._about.block
            self._group: Any = zarr.open_group(
                self._place, mode="r+", zarr_format=2, use_consolidated=False
            )
            if where is not None:
                self._mend_labels()
                stored = Stored(where, self._about)
                self.done = stored.done()
                self._tidy_up(where)
                stored.check_runs(self.done)

    def write(self, block: Block, rows: Sequence[Row]) -> None:
        """Store one row per run of a block (in C order), then mark the block as done.

        Raises:
            MeasureError: a measure's shape differs from that of earlier runs.
            SweepStoreError: the disk is full or the store cannot be written.
        """
        shape = [cut.stop - cut.start for cut in block]
        with self._clear_errors("write to"):
            self._add_measures(rows, list(indices(block)))
            sums = [place_sum(self._about, place) for place in indices(block)]
            for name in sorted(rows[0]):
                values = np.stack([row[name].values for row in rows])
                sums = add_values(sums, values)
                self._array(name)[(*block, ...)] = values.reshape(*shape, *values.shape[1:])
            self._array("checksum")[block] = np.array(sums, dtype=np.int64).reshape(shape)
            self._array("done")[block] = np.ones(shape, dtype=bool)
        self.done[block] = True

    def note_session(self, session: Mapping[str, Any]) -> None:
        """Add a session to the provenance: its time, machine, versions and duration."""
        import zarr

        with self._clear_errors("write to"):
            provenance: Any = json.loads(str(self._group.attrs["provenance"]))
            self._group.attrs["provenance"] = json.dumps([*provenance, dict(session)])
            zarr.consolidate_metadata(self._place, zarr_format=2)

    def dataset(self) -> xr.Dataset:
        """The runs stored so far, loaded lazily; runs that are not done are NaN."""
        return tidy(open_arrays(self._place), self.done)

    def _create(self, place: Any, asked: About) -> None:
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
                "base": json.dumps(asked.identity["base"]),
                "identity": asked.text,
                "block": list(asked.block),
                "provenance": json.dumps([]),
            },
        )
        encoding: dict[str, Any] = {str(n): {"compressors": None} for n in template.variables}
        for name, variable in template.data_vars.items():
            own = variable.shape[len(asked.block) :]
            encoding[str(name)]["chunks"] = (*asked.block, *own)
        template.to_zarr(place, mode="w", zarr_format=2, consolidated=False, encoding=encoding)
        zarr.consolidate_metadata(place, zarr_format=2)

    def _labels(self) -> dict[str, np.ndarray]:
        return self.grid.coordinates | {"subset": np.asarray(SUBSETS)}

    def _same(self, where: Path, asked: About, resume: bool) -> About:
        """The attributes of the existing store, checked to be of the same sweep."""
        about = read_about(where)
        if about.written < FORMAT:
            raise SweepStoreError(
                f"{where} was begun by an earlier grokinterp, which compared measures differently "
                f"(format {about.written}, now {FORMAT}): open_sweep can read it, but only that "
                "version can resume it. Choose another store"
            )
        if about.identity != asked.identity:
            raise SweepStoreError(
                f"{where} holds a sweep with other arguments: "
                f"{differences(about.identity, asked.identity)}"
            )
        if not resume:
            raise SweepStoreError(
                f"{where} already holds this sweep; pass resume=True to continue it, "
                "or choose another store"
            )
        return about

    def _mend_labels(self) -> None:
        """Rewrite axis labels that are lost or altered; they follow from the arguments."""
        for name, labels in self._labels().items():
            array = self._array(name)
            try:
                whole = np.array_equal(array[:], labels)
            except Exception:  # a codec may raise anything on altered bytes
                whole = False
            if not whole:
                array[:] = labels

    def _tidy_up(self, where: Path) -> None:
        """Remove the chunks of unfinished blocks, which a killed session may have left incomplete.

        Without this, zarr would read a damaged chunk before writing a block at the grid's edge.
        """
        for leftover in where.glob("**/*.partial"):
            if not leftover.is_dir():  # a measure may have such a name
                leftover.unlink(missing_ok=True)
        unfinished = {
            tuple(part.start // step for part, step in zip(block, self.block, strict=True))
            for block in self.grid.blocks(self.block)
            if not self.done[block].all()
        }
        for name in (*KEPT, *BOOKKEEPING, *self._measured()):
            for file in (where / name).iterdir():
                chunk = tuple(map(int, re.findall(r"\d+", file.name)))
                if file.name[0] != "." and chunk[: len(self.block)] in unfinished:
                    file.unlink()

    def _measured(self) -> dict[str, tuple[list[str], list[int]]]:
        """Dimensions and shape of each stored measure, without those of the grid."""
        axes = len(self.grid.dims)
        return {
            str(name): (list(map(str, variable.dims[axes:])), list(variable.shape[axes:]))
            for name, variable in open_arrays(self._place).data_vars.items()
            if name not in (*KEPT, *BOOKKEEPING)
        }

    def _add_measures(self, rows: Sequence[Row], places: Sequence[tuple[int, ...]]) -> None:
        """Make arrays for the measures before the first write; raise if shapes differ later."""
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
                        f"the run with {self.grid.describe(index)}, but {_shape(dims, shape)} for "
                        "earlier runs; every run must give the same shape (pad with NaN)"
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
                overwrite=True,  # a killed session may have left it incomplete
            )
        zarr.consolidate_metadata(self._place, zarr_format=2)

    def _check_dims(self, wanted: Mapping[str, tuple[list[str], list[int]]]) -> None:
        """Raise if the measures' dimensions do not fit into one dataset."""
        taken = {*self.grid.dims, *KEPT, *BOOKKEEPING, *wanted}
        sizes = {"subset": (len(SUBSETS), "the sweep")}
        for name, (dims, shape) in wanted.items():
            count = len(self.grid.dims) + len(dims)
            if count > MOST_DIMENSIONS:
                raise MeasureError(
                    f"measure {name!r} has {len(dims)} dimensions beside the sweep's "
                    f"{len(self.grid.dims)}, but an array has at most {MOST_DIMENSIONS}; flatten "
                    "what it returns"
                )
            for dim, size in zip(dims, shape, strict=True):
                if dim in taken or dims.count(dim) > 1:
                    raise MeasureError(
                        f"measure {name!r} has the dimension {dim!r}, a name already in use; "
                        "rename it"
                    )
                known, owner = sizes.setdefault(dim, (size, f"measure {name!r}"))
                if known != size:
                    raise MeasureError(
                        f"measure {name!r} has size {size} along {dim!r}, {owner} has {known}; "
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
            raise SweepStoreError(
                f"cannot {verb} the store {self.where}: {error}. "
                f"{int(self.done.sum())} of {self.grid.size} runs are stored; fix this, then resume"
            ) from error


def _shape(dims: Sequence[Any], shape: Sequence[int]) -> str:
    return f"({', '.join(f'{dim}: {size}' for dim, size in zip(dims, shape, strict=True))})"
