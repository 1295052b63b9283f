"""A grid of configs -> a labelled dataset, trained block by block and written as it goes."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from grokinterp._checks import check_int
from grokinterp.config import RunConfig
from grokinterp.runs import provenance
from grokinterp.sweeps.executors import run_all, threads_per_task
from grokinterp.sweeps.fingerprint import fingerprint
from grokinterp.sweeps.grid import Block, Grid
from grokinterp.sweeps.store import SweepStore, locked
from grokinterp.sweeps.summary import KEPT, Measure, MeasureError, Row, summarise
from grokinterp.training.trainer import train_many

if TYPE_CHECKING:
    import xarray as xr

Refine = Callable[["xr.Dataset"], "xr.DataArray"]


def sweep(
    base: RunConfig,
    axes: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int] = 1,
    measure: Mapping[str, Measure] | None = None,
    store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    resume: bool = True,
    *,
    refine: Refine | None = None,
    chunk: int = 8,
    device: str | None = None,
    precision: str = "float32",
    worker_timeout: float = 60.0,
    progress: bool = True,
) -> "xr.Dataset":
    """Train every combination of ``axes``, several seeds each, into one labelled dataset."""
    grid = Grid(base, axes, seeds)  # type: ignore[arg-type]
    measure = dict(measure or {})
    check_int("chunk", chunk, minimum=1)
    for name in measure:
        if name in (*KEPT, "done", "checksum", "subset", *grid.dims):
            raise ValueError(f"measure has {name!r}, which the sweep holds already; rename it")
    identity = {
        "precision": precision,
        "measure": {name: fingerprint(take) for name, take in measure.items()},
        "refine": None if refine is None else fingerprint(refine),
    }
    shape = (*(1 for _ in axes), len(grid.seeds)) if refine else grid.block_shape(chunk)
    where = None if store is None else Path(store).expanduser()
    with locked(where):
        kept = SweepStore(where, grid, shape, identity, resume=resume)
        work = partial(
            _train_block,
            measure=measure,
            device=device,
            precision=precision,
            threads=threads_per_task(executor),
        )
        started, before = time.perf_counter(), int(kept.done.sum())
        todo = [block for block in grid.blocks(kept.block) if not kept.done[block].all()]
        try:
            with tqdm(total=grid.size, initial=before, unit="run", disable=not progress) as bar:
                for block, rows in _results(executor, work, grid, todo, worker_timeout):
                    kept.write(block, rows)
                    bar.update(len(rows))
        finally:
            trained = int(kept.done.sum()) - before
            if trained:
                kept.note_session(
                    provenance(
                        device=str(device), precision=precision,
                        wall_time_s=time.perf_counter() - started, stack_size=chunk,
                    ) | {"runs": trained}
                )  # fmt: skip
        return kept.dataset()


def _results(executor, work, grid, todo, worker_timeout):
    if executor is None:
        for block in todo:
            yield block, work(list(grid.configs[block].flat))
        return
    tasks = {i: list(grid.configs[block].flat) for i, block in enumerate(todo)}
    for configs, rows in run_all(executor, work, list(tasks.values()), worker_timeout=worker_timeout):
        i = next(i for i, c in tasks.items() if c is configs)
        yield todo[i], rows


def _train_block(configs, *, measure, device, precision, threads):
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    runs = train_many(configs, device=device, precision=precision, progress=False)
    return [summarise(run, measure) for run in runs]
