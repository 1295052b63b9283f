"""The sweep of a preset with a user's options: what is left, how long it takes, training it.

Examples:
    >>> from pathlib import Path
    >>> from analyses import presets, sweep_job
    >>> preset = presets.get("fig3a")
    >>> base, axes = sweep_job.settle(preset, "tiny", changes={"training.steps": 10}, values=[0.0])
    >>> job = sweep_job.SweepJob(base=base, axes=axes, store=Path("small.zarr"))
    >>> left = job.estimate()  # before anything is trained
    >>> left.runs, left.steps
    (9, 90)
"""

import json
import math
import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run import row_ipr
from analyses.phase_diagrams.measures import MEASURES, PER_NEURON
from analyses.phase_diagrams.presets import Preset
from analyses.phase_diagrams.refine import Refinement
from grokinterp.json_files import differences
from grokinterp.short_text import short_repr
from grokinterp.sweeps.axis import Values
from grokinterp.sweeps.chunks import default_chunk
from grokinterp.sweeps.estimate import Duration, estimate
from grokinterp.sweeps.executors import threads_per_task
from grokinterp.sweeps.grid import Grid, seed_list
from grokinterp.training.plan import plan
from grokinterp.training.resources import Resources
from probes import task_basis
from probes.neuron_weights import has_neuron_weights


@short_repr
@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """A sweep that can be started or resumed; :meth:`run` trains it and writes the store.

    Bad options raise an error when the job is created.
    """

    base: gi.RunConfig
    axes: Mapping[str, Values]
    seeds: int = 1
    store: Path
    workers: int = 1  # processes; with 1, this process trains, with all of torch's threads
    per_neuron: bool = False  # store every neuron's IPR, not only the mean
    adaptive: bool = False  # train only the cells where phases meet
    resources: Resources = field(default_factory=Resources)
    chunk: int | None = None  # runs trained and stored together; None: chosen by their size

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        plan(list(self.grid.configs.flat), self.resources)  # raises if something cannot be trained

    @cached_property
    def grid(self) -> Grid:
        """All runs."""
        return Grid(self.base, self.axes, seed_list(self.seeds))

    @property
    def refinement(self) -> Refinement | None:
        """The rule that chooses the cells to train; None if all are trained."""
        return Refinement() if self.adaptive else None

    @property
    def measure(self) -> dict[str, Any]:
        """The IPR and the dead neurons of a network with one hidden layer, else the tables' IPR.

        Empty if the task has no periodic basis.
        """
        data = self.base.data
        if has_neuron_weights(gi.build_model(self.base)):
            return PER_NEURON if self.per_neuron else MEASURES
        try:
            task_basis(data.operation, data.p)
        except ValueError:
            return {}
        return row_ipr.ROW_MEASURES

    @property
    def done(self) -> np.ndarray:
        """The mask of the runs in the store, in the grid's shape.

        Raises:
            SweepStoreError: the store holds another sweep.
        """
        if not self.store.exists():
            return np.zeros(self.grid.shape, dtype=bool)
        stored, grid = gi.open_sweep(self.store), self.grid
        different = list(differences(json.loads(stored.attrs["base"]), self.base.to_dict()))
        for dim, labels in grid.coordinates.items():
            if dim not in stored.coords or not np.array_equal(stored[dim].values, labels):
                different.append(f"the values of {dim}")
        if different or set(stored.done.dims) != set(grid.dims):
            raise gi.SweepStoreError(
                f"{self.store} holds another sweep: {', '.join(different) or 'its axes'} "
                "differ. Use the options with which it was started, or another --out"
            )
        return stored.done.transpose(*grid.dims).values

    def estimate(self) -> Duration:
        """The estimated time of all runs that are not in the store, even if ``adaptive``."""
        configs = list(self.grid.configs.flat)
        with _processes(self.workers) as executor:  # processes start with the first task
            threads = threads_per_task(executor)
            chunk = self.chunk or default_chunk(configs, self.resources.place, executor)
        per_block = len(self.grid.seeds)
        if not self.adaptive:  # the same blocks as in grokinterp.sweep
            per_block = math.prod(self.grid.block_shape(chunk))
        return estimate(
            list(self.grid.configs[~self.done]),
            measure=self.measure,
            per_block=per_block,
            workers=self.workers,
            resources=replace(self.resources, threads=threads),
        )

    def run(self, *, progress: bool = True) -> xr.Dataset:
        """Train the runs that are not in the store; an interrupt keeps those that are finished.

        Like :func:`grokinterp.sweep`, it warns of diverged runs once, at the end.
        """
        with _processes(self.workers) as executor:
            return gi.sweep(
                self.base,
                self.axes,
                seeds=self.seeds,
                measure=self.measure,
                store=self.store,
                executor=executor,
                refine=self.refinement,
                chunk=self.chunk,
                device=self.resources.device,
                precision=self.resources.precision,
                memory_limit=self.resources.memory_limit,
                progress=progress,
            )


def settle(
    preset: Preset,
    size: str,
    *,
    changes: Mapping[str, object],
    values: Sequence[float] | None,
) -> tuple[gi.RunConfig, dict[str, Sequence[Any]]]:
    """The common settings and the axes of a preset, with a user's changes.

    Args:
        preset: one of ``presets.PRESETS``.
        size: one of ``presets.SIZES``.
        changes: new values of common settings, by dotted path.
        values: of the panel axis, instead of the preset's.

    Raises:
        ValueError: a change is to an axis.
    """
    axes: dict[str, Sequence[Any]] = dict(preset.axes(size))
    for path in changes:
        if path in axes:
            remedy = "use --panels" if path == preset.panel else "choose another --size"
            raise ValueError(f"--set {path}: this is an axis of the sweep; {remedy}")
    if values is not None:
        axes[preset.panel] = tuple(values)
    return preset.config(size).replace(changes), axes


@contextmanager
def _processes(count: int) -> Iterator[Executor | None]:
    """Worker processes, which an interrupt stops at once; None if ``count`` is 1."""
    if count == 1:
        yield None
        return
    others = set(multiprocessing.active_children())
    # Spawned, because forking a process while torch's threads run can deadlock the child.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=spawn, initializer=_begin_worker)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # unfinished blocks will be trained again
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles interrupts
