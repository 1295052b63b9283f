"""The work of one worker: train one block of a sweep and reduce its runs to rows."""

import gc
import multiprocessing
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from grokinterp.config import RunConfig
from grokinterp.models.base import HookedModel
from grokinterp.runs import Run
from grokinterp.short_text import short_repr
from grokinterp.sweeps.grid import Block
from grokinterp.sweeps.rows import Measure, MeasureError, Row, row_of
from grokinterp.sweeps.workers import end_with_driver
from grokinterp.team import available_threads, use_threads
from grokinterp.tracking import Callback
from grokinterp.training.evaluation import METRICS
from grokinterp.training.resources import Resources
from grokinterp.training.trainer import final_metrics, train_each


@short_repr
@dataclass(frozen=True, eq=False)
class BlockTask:
    """A block of runs. Together with :class:`Work` it is all that a worker needs."""

    block: Block
    configs: tuple[RunConfig, ...]  # in C order of the block
    names: tuple[str, ...]  # the runs' labels in words, for messages

    @property
    def words(self) -> str:
        """The names of the first two runs, for messages."""
        return "; ".join([*self.names[:2], *(["..."] if len(self.names) > 2 else [])])

    @property
    def steps(self) -> int:
        """Number of updates, summed over the runs."""
        return sum(config.training.steps for config in self.configs)


@short_repr
@dataclass(frozen=True, eq=False)
class Finished:
    """The result of one run, reduced to numbers."""

    row: Row
    final: Mapping[str, float]  # last metrics of the history; empty if there are no callbacks
    curves: Mapping[int, Mapping[str, float]]  # step -> metrics; empty if there are no callbacks


@short_repr
@dataclass(frozen=True)
class Work:
    """How to train a block: call it with a task. It can be pickled if the measures can."""

    measure: Mapping[str, Measure]
    resources: Resources
    keep_curves: bool
    driver: int = field(default_factory=os.getpid)  # id of the process that runs the sweep

    def __call__(self, task: BlockTask, observer: Callback | None = None) -> list[Finished]:
        """Train the runs of a task and return them reduced, in its order."""
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid == self.driver:  # a worker started before the sweep
            end_with_driver()
        done, models = self._train(task, observer)
        # A model in a reference cycle stays until a collection, which visits all objects there are.
        if any(model() is not None for model in models):
            gc.collect()
        return [done[i] for i in range(len(task.configs))]

    def _train(
        self, task: BlockTask, observer: Callback | None
    ) -> tuple[dict[int, Finished], list[weakref.ref[HookedModel]]]:
        """Results by position in the task, and their models, which are free to go."""
        done, models = {}, []
        with _one_thread_for_measures(self.resources.threads):
            for i, run in train_each(task.configs, self.resources, observer=observer):
                done[i] = self._reduce(run, task.names[i])
                models.append(weakref.ref(run.model))
        return done, models

    def _reduce(self, run: Run, name: str) -> Finished:
        try:
            row = row_of(run, self.measure)
        except MeasureError as error:
            raise MeasureError(f"{error}; in the run with {name}") from error.__cause__
        if not self.keep_curves:
            return Finished(row, {}, {})
        columns = [run.history[name].values.tolist() for name in METRICS]
        curves = {
            step: dict(zip(METRICS, values, strict=True))
            for step, *values in zip(run.history["step"].values.tolist(), *columns, strict=True)
        }
        return Finished(row, final_metrics(run), curves)


@contextmanager
def _one_thread_for_measures(threads: int | None) -> Iterator[None]:
    """Limit measures to one torch thread: workers share the cores, and training has its own."""
    before = available_threads()
    if threads is None or before == 1:
        yield
        return
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)
