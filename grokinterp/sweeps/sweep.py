"""Train a grid of configs into a labelled dataset, block by block, storing each when it is done."""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import torch
import xarray as xr

from grokinterp.checks import check_int, check_number, warn_user
from grokinterp.config import RunConfig
from grokinterp.runs import provenance
from grokinterp.short_text import short
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

Refine = Callable[[xr.Dataset], xr.DataArray]


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
) -> xr.Dataset:
    """Train every combination of ``axes``, for one or more seeds, into one labelled dataset.

    Runs are trained in blocks of ``chunk`` and reduced to numbers; each block is stored as soon as
    it is finished. If the sweep is killed, calling it again with the same arguments continues it
    and gives the same result.

    Args:
        base: config with the fields that the axes do not change.
        axes: dotted config path -> its values: ``{"training.weight_decay": [0.0, 5.0]}``. To change
            several fields along one axis, any other name -> mapping of labels to settings, each a
            mapping of dotted paths to values: ``{"setting": {"plain": {}, "decayed":
            {"training.weight_decay": 5.0, "training.lr": 1e-3}}}``. The labels are the coordinate.
        seeds: number of runs per cell, or a list of seeds. A seed sets the initial weights and the
            training noise (``seed``), and the split and corruption (``data.seed``). The latter is
            left alone if an axis sets it or if ``data.protocol`` is "published".
        measure: name -> function of a :class:`~grokinterp.Run` that returns a number, an array or
            a DataArray, which becomes a variable. It must have the same shape for every run. A
            DataArray keeps the names of its dimensions, but not their labels.
        store: folder of a zarr store, readable at any time with :func:`open_sweep`. None: memory.
            Only a sweep with the same ``measure`` and ``refine`` can resume a store. Compared are
            their code and everything it refers to by name: helpers, globals, enclosed variables,
            defaults and attributes of objects. Installed packages are compared by name only; the
            provenance records the versions of the main ones. Not compared are files and environment
            variables read at call time, names looked up at call time (``getattr``, ``eval``), what
            a function reaches through its arguments, and values that cannot be pickled. A function
            that changes its own globals or lists no longer compares as equal.
        executor: any ``concurrent.futures.Executor``: threads, processes, or Dask's
            ``client.get_executor()``. None: this process, with all of torch's threads. With
            CUDA, processes must be spawned, not forked.
        resume: continue an existing store; False raises if there is one.
        refine: function for training only part of the grid. Given the dataset so far, it returns a
            boolean DataArray over the axes: the cells to train next. It is called again until all
            the cells it returns are done.
        chunk: most runs to train and store together, and most runs that a crash can lose. None: 64
            on CUDA; on a CPU 8 runs of the papers' size and up to 64 small ones. With ``refine`` a
            block is one cell with all its seeds.
        device: where to train; None takes CUDA if available.
        precision: as for :func:`~grokinterp.train_many`.
        memory_limit: as for :func:`~grokinterp.train_many`, per block.
        callbacks: notified of each finished run, with its number in C order of the grid. Not called
            for runs that an earlier session finished.
        worker_timeout: seconds to wait for a Dask cluster that has no workers.
        progress: show one progress bar for all runs, in a terminal or a notebook.

    Returns:
        Dataset over the axes and "seed", read lazily from the store: ``final_accuracy``,
        ``best_accuracy``, ``final_loss`` and ``best_loss`` by "subset"; ``final_norm``,
        ``largest_norm``, ``largest_zero_loss_share``, ``n_changed``, ``n_test``, ``diverged_at``
        (-1: never), the measures, and ``done``. Runs not trained are NaN. ``attrs["provenance"]``
        records device, versions and duration of each session.

    Warns:
        DivergenceWarning: some losses became NaN or infinite; one warning for the whole sweep.
        ZeroLossWarning: in some runs at least half of the training examples reached a loss of
            exactly 0; one warning for the whole sweep.

    Raises:
        SweepStoreError: the store belongs to another sweep, is damaged, in use, or not writable.
        MeasureError: a measure failed; runs finished before it are stored.
        SweepExecutorError: no workers, or they died; finished runs are stored.

    Examples:
        >>> import grokinterp as gi
        >>> base = gi.RunConfig().replace({"data.p": 7, "training.steps": 20})
        >>> axes = {"training.weight_decay": [0.0, 5.0], "data.corruption": [0.0, 0.2, 0.4]}
        >>> norm = {"norm": lambda run: run.model.W_U.norm().item()}
        >>> result = gi.sweep(base, axes, seeds=2, measure=norm, store="small.zarr")
        >>> dict(result.norm.sizes), bool(result.done.all())
        ({'training.weight_decay': 2, 'data.corruption': 3, 'seed': 2}, True)
        >>> again = gi.sweep(base, axes, seeds=2, measure=norm, store="small.zarr")
        >>> again.norm.equals(result.norm)  # nothing was trained again
        True
    """
    grid = Grid(base, axes, seed_list(seeds))
    measure = _check_measures({} if measure is None else measure, grid)
    if refine is not None and not callable(refine):
        raise TypeError(f"refine must be a function of a dataset, got {short(refine)}")
    resources = Resources(device=device, precision=precision, memory_limit=memory_limit)
    check_executor(executor, resources.place)
    resources = dataclasses.replace(resources, threads=threads_per_task(executor))
    plan(list(grid.configs.flat), resources)  # raises if a run cannot be trained
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
        read_about(where)  # raises before a lock is written into an unrelated folder
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
            with contextlib.suppress(SweepStoreError):  # do not hide the first error
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
    """Train the wanted runs that are not stored yet."""
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
            with contextlib.closing(results):  # on an error, cancels the blocks not begun
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
    """The blocks to train next."""
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
    """Mask of the cells that ``refine`` asks for, in the order of the grid's axes."""
    axes = list(grid.axes)
    wanted = f"refine must return a boolean DataArray over {axes}"
    if not isinstance(asked, xr.DataArray):
        raise TypeError(f"{wanted}, got {type(asked).__name__}")
    if set(asked.dims) != set(axes):
        raise ValueError(
            f"{wanted}, got dimensions {list(asked.dims)}; "
            'reduce the others, for example by asked.any("seed")'
        )
    if asked.dtype != bool:
        raise TypeError(f"{wanted}, got {asked.dtype}; return a comparison, such as x > 0.5")
    asked = asked.transpose(*axes)
    for path in axes:
        labels = grid.coordinates[path]
        here = asked[path].values if path in asked.coords else labels
        if asked.sizes[path] != len(labels) or not np.array_equal(here, labels):
            raise ValueError(
                f"{wanted}, with the labels {short(labels.tolist())} along {path!r} in that order, "
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


def _warn_of_divergence(grid: Grid, result: xr.Dataset) -> None:
    if (diverged := result["diverged_at"].values >= 0).any():
        warn_user(
            f"{diverged.sum()} of {grid.size} runs diverged (NaN or infinite loss): "
            f"{_first(grid, diverged)}. They stopped at step diverged_at. A smaller training.lr "
            "usually helps",
            DivergenceWarning,
        )


def _warn_of_zero_loss(grid: Grid, result: xr.Dataset) -> None:
    if (vanished := result["largest_zero_loss_share"].values >= SHARE).any():
        warn_user(
            f"in {vanished.sum()} of {grid.size} runs at least {SHARE:.0%} of the training "
            f"examples reached a loss of exactly 0: {_first(grid, vanished)}. {REMEDY}",
            ZeroLossWarning,
        )


def _first(grid: Grid, where: np.ndarray) -> str:
    """The labels of the first three runs in a mask, for messages."""
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
