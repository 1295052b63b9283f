"""The zarr store of a sweep: written block by block, safe to kill at any moment, never mixed.

Every block of runs is one zarr chunk of every variable, written once by one process. ``done`` is
written last, and ``checksum`` covers all values of a run, so that a block which is half written,
lost or altered is noticed instead of read.
"""

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokinterp.data import SUBSETS
from grokinterp.sweeps.grid import Block, Grid, indices
from grokinterp.sweeps.summary import DESCRIPTION, KEPT, MeasureError, Row

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
BOOKKEEPING = ("done", "checksum")


class SweepStoreError(Exception):
    """A sweep's store cannot be read, written or resumed; the message says why and what to do."""


class SweepStore:
    """The open store of one sweep; :meth:`write` blocks, then :meth:`dataset`.

    Args:
        where: a folder, or None to keep everything in memory.
        grid: the runs.
        block: the shape of a block.
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
        asked = json.loads(json.dumps(grid.to_dict() | dict(identity)))
        with self._clear_errors("prepare"):
            if where is None:
                self._place: Any = zarr.storage.MemoryStore()
                self._create(self._place, block, asked)
            elif not where.exists() or not any(where.iterdir()):
                self._place = where
                where.parent.mkdir(parents=True, exist_ok=True)
                fresh = Path(tempfile.mkdtemp(prefix=f".{where.name}.", dir=where.parent))
                try:
                    self._create(fresh, block, asked)
                    fresh.chmod(0o755)
                    os.replace(fresh, where)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
            else:
                self._place = where
                self._check_same(asked, resume)
                for leftover in where.glob("*/*.partial"):  # of a write that was killed
                    leftover.unlink(missing_ok=True)
            self._group: Any = zarr.open_group(
                self._place, mode="r+", zarr_format=2, use_consolidated=False
            )
        self.block: tuple[int, ...] = tuple(self._group.attrs["block"])
        self.done = self._check_whole()

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
        return _tidy(_open(self._place))

    def _create(self, place: Any, block: Sequence[int], asked: Mapping[str, Any]) -> None:
        import xarray as xr
        import zarr

        grid = self.grid
        nothing = {"subset": np.full(len(SUBSETS), np.nan)}
        variables: dict[str, Any] = {}
        for name, dims in KEPT.items():
            blank = np.full((*grid.shape, *(len(nothing[dim]) for dim in dims)), np.nan)
            attrs = {"long_name": DESCRIPTION[name]}
            variables[name] = ((*grid.dims, *dims), blank, attrs)
        variables["checksum"] = (grid.dims, np.zeros(grid.shape, dtype=np.int64))
        variables["done"] = (grid.dims, np.zeros(grid.shape, dtype=bool))
        template = xr.Dataset(
            variables,
            coords=grid.coordinates | {"subset": list(SUBSETS)},
            attrs={
                "format": FORMAT,
                "base": json.dumps(asked["base"]),
                "identity": json.dumps(dict(asked)),
                "block": list(block),
                "measured": json.dumps({}),
                "provenance": json.dumps([]),
            },
        )
        chunks = {
            name: {"chunks": (*block, *variable.shape[len(block) :])}
            for name, variable in template.data_vars.items()
        }
        template.to_zarr(place, mode="w", zarr_format=2, consolidated=False, encoding=chunks)
        zarr.consolidate_metadata(place, zarr_format=2)

    def _check_same(self, asked: Mapping[str, Any], resume: bool) -> None:
        about = read_about(self._place)
        stored = json.loads(about["identity"])
        if stored != asked:
            raise SweepStoreError(
                f"{self.where} holds a sweep with other arguments: {_differences(stored, asked)}. "
                "Use the same arguments, or another store"
            )
        if not resume:
            raise SweepStoreError(
                f"{self.where} holds this sweep already; pass resume=True to go on with it, "
                "or choose another store"
            )

    def _check_whole(self) -> np.ndarray:
        """Which runs are done; every one of them must read back as it was written."""
        stored = self._load()
        done = np.array(stored["done"].values)
        values = {str(n): v.values for n, v in stored.data_vars.items() if n not in BOOKKEEPING}
        for index in zip(*np.nonzero(done), strict=True):
            row = {name: array[index] for name, array in values.items()}
            if _checksum(row) != int(stored["checksum"].values[index]):
                raise SweepStoreError(
                    f"{self.where} is damaged: the run with {self.grid.describe(index)} does not "
                    "read back as it was written. Remove the file "
                    f"{self._done_file(index)} and resume: that block is trained again"
                )
        return done

    def _load(self) -> "xr.Dataset":
        stored = _open(self._place)
        try:
            return stored.load()
        except Exception as error:
            for name in stored.data_vars:
                array = self._array(name)
                for block in self.grid.blocks(self.block):
                    try:
                        array[(*block, ...)]
                    except Exception as cause:
                        index = tuple(cut.start for cut in block)
                        raise SweepStoreError(
                            f"{self.where} is damaged: {name} of the runs around "
                            f"{self.grid.describe(index)} cannot be read ({cause}). Remove the "
                            f"file {self._done_file(index)} and resume: that block is "
                            "trained again"
                        ) from error
            raise

    def _done_file(self, index: Sequence[int]) -> Path:
        chunk = [int(i) // step for i, step in zip(index, self.block, strict=True)]
        return (self.where or Path("memory")) / "done" / ".".join(map(str, chunk))

    def _add_measures(self, rows: Sequence[Row], places: Sequence[tuple[int, ...]]) -> None:
        """Make arrays for measures seen for the first time; refuse shapes that changed."""
        import zarr

        known: dict[str, Any] = json.loads(str(self._group.attrs["measured"]))
        fresh = {n: v for n, v in rows[0].items() if n not in KEPT and n not in known}
        wanted = known | {n: [list(map(str, v.dims)), list(v.shape)] for n, v in fresh.items()}
        for row, index in zip(rows, places, strict=True):
            for name, (dims, shape) in wanted.items():
                if [list(map(str, row[name].dims)), list(row[name].shape)] != [dims, shape]:
                    raise MeasureError(
                        f"measure {name!r} returned shape {list(row[name].shape)} for the run with "
                        f"{self.grid.describe(index)} after {shape} for others; every run must "
                        "give the same shape (pad with NaN)"
                    )
        if not fresh:
            return
        for name, value in fresh.items():
            array = self._group.create_array(
                name,
                shape=(*self.grid.shape, *value.shape),
                chunks=(*self.block, *value.shape),
                dtype="float64",
                fill_value=np.nan,
                overwrite=True,
            )
            array.attrs["_ARRAY_DIMENSIONS"] = [*self.grid.dims, *map(str, value.dims)]
        self._group.attrs["measured"] = json.dumps(wanted)
        zarr.consolidate_metadata(self._place, zarr_format=2)

    def _array(self, name: object) -> Any:
        return self._group[str(name)]

    @contextmanager
    def _clear_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileExistsError | NotADirectoryError):
                raise SweepStoreError(
                    f"{self.where} is in the way: {error}; choose another store"
                ) from error
            done = int(self.done.sum()) if hasattr(self, "done") else 0
            raise SweepStoreError(
                f"cannot {verb} the store {self.where}: {error}. "
                f"{done} of {self.grid.size} runs are stored; mend this and resume"
            ) from error


def open_sweep(store: str | os.PathLike[str]) -> "xr.Dataset":
    """The dataset of a sweep, finished or not; runs that are not ``done`` are NaN.

    Raises:
        SweepStoreError: there is no sweep there, or it was written by a newer grokinterp.
    """
    where = Path(store).expanduser()
    read_about(where)
    return _tidy(_open(where))


@contextmanager
def locked(where: Path | None) -> Iterator[None]:
    """Keep other processes from writing to the same store meanwhile.

    The lock is a file beside the store; it is released even if this process is killed.
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
        raise SweepStoreError(f"cannot write beside {where}: {error}") from error
    try:
        yield
    finally:
        lock.release()


def read_about(where: Any) -> dict[str, Any]:
    """The attributes of a sweep's store, checked to be one."""
    import zarr

    try:
        group = zarr.open_group(where, mode="r", zarr_format=2, use_consolidated=False)
        about: dict[str, Any] = dict(group.attrs)
    except (OSError, ValueError, KeyError) as error:
        raise SweepStoreError(f"{where} is no sweep: {error}") from error
    written = about.get("format")
    if not isinstance(written, int) or "identity" not in about:
        raise SweepStoreError(f"{where} is no sweep of grokinterp; choose another store")
    if written > FORMAT:
        raise SweepStoreError(
            f"{where} was written in format {written}, this grokinterp reads up to {FORMAT}; "
            "upgrade grokinterp"
        )
    return about


def _open(place: Any) -> "xr.Dataset":
    import xarray as xr

    return xr.open_zarr(place, zarr_format=2, consolidated=False, chunks=None)


def _tidy(stored: "xr.Dataset") -> "xr.Dataset":
    """The variables for readers, in one order."""
    measured = sorted({str(n) for n in stored.data_vars} - {*KEPT, *BOOKKEEPING})
    return stored[[*KEPT, *measured, "done"]]


def _checksum(row: Mapping[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(row):
        total = zlib.crc32(np.ascontiguousarray(row[name], dtype=np.float64).tobytes(), total)
    return total


def _differences(stored: object, asked: object, path: str = "") -> str:
    """Where two plain structures differ, as 'path: then -> now'."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        keys = sorted(stored.keys() | asked.keys())
        found = [
            _differences(stored.get(key), asked.get(key), f"{path}.{key}" if path else str(key))
            for key in keys
            if stored.get(key) != asked.get(key) and (key != "runs" or len(keys) == 1)
        ]
        return "; ".join(found[:5]) or "the runs themselves"
    return f"{path} was {stored!r}, now {asked!r}"
