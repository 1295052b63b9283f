"""A grid of configs -> a labelled dataset, trained block by block and written as it goes."""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grokinterp._checks import check_int, check_number, warn_user
from grokinterp._short import short
from grokinterp.config import RunConfig
from grokinterp.runs import provenance
from grokinterp.sweeps.axis import Values
from grokinterp.sweeps.chunks import default_chunk
from grokinterp.sweeps.executors import check_executor, check_sendable, run_all, threads_per_task
from grokinterp.sweeps.fingerprint import fingerprint
from grokinterp.sweeps.grid import Grid, indices, seed_list
from grokinterp.sweeps.place import SweepStoreError, is_blank, locked, store_path
from grokinterp.sweeps.reading import BOOKKEEPING, read_about
from grokinterp.sweeps.rows import KEPT, Measure, check_name
from grokinterp.sweeps.store import SweepStore
from grokinterp.sweeps.work import BlockTask, Finished, Work
from grokinterp.tracking import Callback
from grokinterp.tracking.dispatch import Dispatch
from grokinterp.tracking.progress import ProgressBar
from grokinterp.training.divergence import DivergenceWarning
from grokinterp.training.plan import plan
from grokinterp.training.resources import Resources
from grokinterp.training.zero_loss import REMEDY, SHARE, ZeroLossWarning

if TYPE_CHECKING:
    import xarray as xr

Refine = Callable[["xr.Dataset"], "xr.DataArray"]


def sweep(
    base: RunConfig,
    axes: Mapping[str, Values],
    seeds: int | Sequence[int] = 1,
    measure: Mapping[str, Measure] | None = None,
    store: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    resume: bool = True,
    *,
    refine: Refine | None = None,
    chunk: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    memory_limit: int | str | None = None,
    callbacks: Sequence[Callback] = (),
    worker_timeout: float = 60.0,
    progress: bool = True,
) -> "xr.Dataset":
    """Train every combination of ``axes``, some seeds each, into one labelled dataset.

    Runs are trained in blocks of ``chunk`` and reduced to numbers; a block is stored as soon as it
    is finished. Killed at any moment and called again with the same arguments, a sweep goes on
    where it was and gives the same result.

    Args:
        base: what the axes leave alone.
        axes: dotted config path -> its values: ``{"training.weight_decay": [0.0, 5.0]}``; or a
            name of your own -> settings by their labels, each a mapping of dotted paths to values,
            for what differs in several fields at once: ``{"setting": {"plain": {}, "decayed":
            {"training.weight_decay": 5.0, "training.lr": 1e-3}}}``. The labels are the coordinate.
        seeds: how many runs per cell, or their seeds. A seed draws weights and noise (``seed``)
            and split and corruption (``data.seed``), the latter unless an axis sets ``data.seed``
            or ``data.protocol`` is "published", which fixes the data.
        measure: name -> function of a :class:`~grokinterp.Run`, whose number, array or DataArray
            becomes a variable. Every run must give the same shape; of a DataArray the dimensions'
            names are kept, and their labels not.
        store: folder of a zarr store, readable at any time with :func:`open_sweep`. None: memory.
            A store is gone on with only by the same ``measure`` and ``refine``: their code and
            whatever it refers to by name, that is helpers, globals, enclosed variables, defaults
            and attributes of objects, also inside these. Code of installed packages counts by name;
            the provenance has the versions of the main ones. Not seen are files and environment
            variables that are read when a function is called, what it looks up under names made
            then (``getattr``, ``eval``), what its arguments bring along, and values that cannot be
            pickled. A function that changes its own globals or lists is another one afterwards.
        executor: any ``concurrent.futures.Executor``: threads, processes, or Dask's
            ``client.get_executor()``. None: this process, with all of torch's threads. With
            CUDA, processes must be spawned, not forked.
        resume: go on with a store that is there; False refuses it.
        refine: trains part of the grid only: given the dataset so far, it returns a boolean
            DataArray over the axes, the cells to train next; asked again until it wants none that
            is not done.
        chunk: runs trained and stored together, at most; a crash loses this much. None: 8 runs
            of the papers' size and up to 64 small ones, or 64 on CUDA. With ``refine`` a block is
            one cell with all its seeds.
        device: where to train; None takes CUDA if there is one.
        precision: as for :func:`~grokinterp.train_many`.
        memory_limit: as for :func:`~grokinterp.train_many`, per block.
        callbacks: told about finished runs, numbered in C order of the grid; of runs that an
            earlier session finished they hear nothing.
        worker_timeout: seconds to wait for a Dask cluster that has no workers.
        progress: show one progress bar for all runs, in a terminal or a notebook.

    Returns:
        Dataset over the axes and "seed", read from the store when looked at: ``final_accuracy``,
        ``best_accuracy``, ``final_loss`` and ``best_loss`` by "subset"; ``final_norm``,
        ``largest_norm``, ``largest_zero_loss_share``, ``n_changed``, ``n_test``, ``diverged_at``
        (-1: never), the measures, and ``done``. Runs not trained are NaN. ``attrs["provenance"]``
        says how each session trained.

    Warns:
        DivergenceWarning: some losses became NaN or infinite; once, for all runs of the sweep.
        ZeroLossWarning: in some runs half of the training examples, or more, came to a loss of
            exactly 0; once, for all runs of the sweep.

    Raises:
        SweepStoreError: the store belongs to another sweep, is damaged, in use, or not writable.
        MeasureError: a measure failed; what was finished before is stored.
        SweepExecutorError: no workers, or they died; what was finished is stored.
    """
    grid = Grid(base, axes, seed_list(seeds))
    measure = _check_measures({} if measure is None else measure, grid)
    if refine is not None and not callable(refine):
        raise TypeError(f"refine must be a function of a dataset, got {short(refine)}")
    resources = Resources(device=device, precision=precision, memory_limit=memory_limit)
    check_executor(executor, resources.place)
    resources = dataclasses.replace(resources, threads=threads_per_task(executor))
    plan(list(grid.configs.flat), resources)  # refuses what cannot be trained
    place = resources.place
    check_number("worker_timeout", worker_timeout, minimum=0.0, below=1e9, strict=True)
    tell = Dispatch(callbacks, list(grid.configs.flat))
    if chunk is None:
        chunk = default_chunk(list(grid.configs.flat), place, executor)
    check_int("chunk", chunk, minimum=1)
    block = (*(1 for _ in grid.axes), len(grid.seeds)) if refine else grid.block_shape(chunk)
    identity = {
        "precision": precision,
        "measure": {name: fingerprint(take) for name, take in measure.items()},
        "refine": None if refine is None else fingerprint(refine),
    }
    work = Work(
        measure=measure,
        resources=resources,
        keep_curves=bool(callbacks),
    )
    check_sendable(executor, work)
    where = None if store is None else store_path(store)
    if where is not None and not is_blank(where):
        read_about(where)  # a folder of something else is not written to, not even a lock
    with locked(where):
        kept = SweepStore(where, grid, block, identity, resume=resume)
        started, before = time.perf_counter(), int(kept.done.sum())

        def note_session() -> None:
            if trained := int(kept.done.sum()) - before:
                wall_time_s, size = time.perf_counter() - started, math.prod(kept.block)
                about = provenance(
                    device=str(place), precision=precision, wall_time_s=wall_time_s, stack_size=size
                )
                about |= {"runs": trained, "executor": type(executor).__name__}
                kept.note_session(about)

        try:
            _train(kept, work, executor, refine, tell, worker_timeout, progress)
        except BaseException:
            with contextlib.suppress(SweepStoreError):  # the first error says more
                note_session()
            raise
        note_session()
    result = kept.dataset()
    _warn_of_divergence(grid, result)
    _warn_of_zero_loss(grid, result)
    return result


def _train(
    kept: SweepStore,
    work: Work,
    executor: Executor | None,
    refine: Refine | None,
    tell: Dispatch,
    worker_timeout: float,
    progress: bool,
) -> None:
    """Train what is wanted and not there yet."""
    grid = kept.grid
    tasks = _tasks(kept, refine)

    bar = ProgressBar(wanted=progress)
    numbers = np.arange(grid.size).reshape(grid.shape)
    steps = sum(task.steps for task in tasks)
    with tell, contextlib.ExitStack() as at_end:
        bar.show(steps, runs=grid.size, trained=int(kept.done.sum()))
        at_end.callback(bar.on_end)
        while tasks:
            results = _results(executor, work, tasks, worker_timeout, bar)
            with contextlib.closing(results):  # on an error, cancel what has not begun
                for task, finished in results:
                    kept.write(task.block, [run.row for run in finished])
                    if executor is not None:
                        bar.on_step(task.steps)
                    tell.on_step(task.steps)
                    done = zip(numbers[task.block].flat, task.configs, finished, strict=True)
                    for number, config, run in done:
                        for step, metrics in run.curves.items():
                            tell.on_evaluation(int(number), step, metrics)
                        tell.on_finish(int(number), config, run.final)
                        bar.on_finish(int(number), config, run.final)
            tasks = _tasks(kept, refine) if refine else []
            bar.expect(sum(task.steps for task in tasks))


def _tasks(kept: SweepStore, refine: Refine | None) -> list[BlockTask]:
    """The blocks to train now."""
    grid = kept.grid
    wanted = np.ones(grid.shape[:-1], dtype=bool)
    if refine is not None:
        wanted = _wanted(refine(kept.dataset().load()), grid)
    return [
        BlockTask(
            block,
            tuple(grid.configs[block].flat),
            tuple(grid.describe(index) for index in indices(block)),
        )
        for block in grid.blocks(kept.block)
        if wanted[block[:-1]].any() and not kept.done[block].all()
    ]


def _wanted(asked: Any, grid: Grid) -> np.ndarray:
    """The cells that ``refine`` asks for, in the order of the grid."""
    import xarray as xr

    axes = list(grid.axes)
    wanted = f"refine must return a boolean DataArray over {axes}"
    if not isinstance(asked, xr.DataArray):
        raise TypeError(f"{wanted}, got {type(asked).__name__}")
    if set(asked.dims) != set(axes):
        raise ValueError(
            f"{wanted}, got dimensions {list(asked.dims)}; "
            'reduce the others, as in asked.any("seed")'
        )
    if asked.dtype != bool:
        raise TypeError(f"{wanted}, got {asked.dtype}; compare with something")
    asked = asked.transpose(*axes)
    for path in axes:
        labels = grid.coordinates[path]
        here = asked[path].values if path in asked.coords else labels
        if asked.sizes[path] != len(labels) or not np.array_equal(here, labels):
            raise ValueError(
                f"{wanted}, with the labels {short(labels.tolist())} along {path!r} in this order, "
                f"got {short(here.tolist())}"
            )
    return asked.values


def _results(
    executor: Executor | None,
    work: Work,
    tasks: Sequence[BlockTask],
    worker_timeout: float,
    observer: Callback,
) -> Generator[tuple[BlockTask, list[Finished]], None, None]:
    if executor is not None:
        yield from run_all(
            executor,
            work,
            tasks,
            worker_timeout=worker_timeout,
            describe=lambda task: task.words,
        )
        return
    for task in tasks:
        yield task, work(task, observer)


def _warn_of_divergence(grid: Grid, result: "xr.Dataset") -> None:
    if (diverged := result["diverged_at"].values >= 0).any():
        warn_user(
            f"{diverged.sum()} of {grid.size} runs diverged, their loss is NaN or infinite: "
            f"{_first(grid, diverged)}. They stopped there; diverged_at says when. A smaller "
            "training.lr usually helps",
            DivergenceWarning,
        )


def _warn_of_zero_loss(grid: Grid, result: "xr.Dataset") -> None:
    if (vanished := result["largest_zero_loss_share"].values >= SHARE).any():
        warn_user(
            f"in {vanished.sum()} of {grid.size} runs at least {SHARE:.0%} of the training "
            f"examples came to a loss of exactly 0: {_first(grid, vanished)}. {REMEDY}",
            ZeroLossWarning,
        )


def _first(grid: Grid, where: np.ndarray) -> str:
    """The first of some runs in words."""
    places = np.argwhere(where)
    return "; ".join([*map(grid.describe, places[:3]), *(["..."] if len(places) > 3 else [])])


def _check_measures(measure: Mapping[str, Measure], grid: Grid) -> dict[str, Measure]:
    if not isinstance(measure, Mapping):
        raise TypeError(f"measure must map names to functions of a Run, got {short(measure)}")
    for name, take in measure.items():
        check_name("measure", name, (*KEPT, *BOOKKEEPING, "subset", *grid.dims))
        if not callable(take):
            raise TypeError(f"measure {short(name)} must be a function of a Run, got {short(take)}")
    return dict(measure)
