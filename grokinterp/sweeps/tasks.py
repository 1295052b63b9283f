"""What a worker does: train one block of a sweep and reduce its runs to rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from grokinterp.config import RunConfig
from grokinterp.sweeps.grid import Block
from grokinterp.sweeps.summary import Measure, MeasureError, Row, summarise
from grokinterp.team import use_threads
from grokinterp.training.evaluation import METRICS
from grokinterp.training.trainer import Bar, final_metrics, train_each


@dataclass(frozen=True, eq=False)
class Task:
    """A block of runs; everything a worker needs travels in it and in :class:`Work`."""

    block: Block
    configs: tuple[RunConfig, ...]  # in C order of the block
    names: tuple[str, ...]  # their places in words, for messages

    @property
    def steps(self) -> int:
        """Updates of all its runs."""
        return sum(config.training.steps for config in self.configs)


@dataclass(frozen=True, eq=False)
class Finished:
    """One run, reduced."""

    row: Row
    final: Mapping[str, float]  # the last metrics of the history
    curves: Mapping[int, Mapping[str, float]]  # step -> metrics, if somebody listens


@dataclass(frozen=True)
class Work:
    """How blocks are trained: call it with a task. Can be pickled if the measures can."""

    measure: Mapping[str, Measure]
    device: str | torch.device | None
    precision: str
    memory_limit: int | str | None
    threads: int | None  # None: all that torch may use
    keep_curves: bool

    def __call__(self, task: Task, bar: "Bar | None" = None) -> list[Finished]:
        """The runs of a task, reduced, in its order."""
        if self.threads is not None:
            use_threads(1)  # for the measures; training brings its own threads
        done: dict[int, Finished] = {}
        for i, run in train_each(
            task.configs,
            device=self.device,
            precision=self.precision,
            memory_limit=self.memory_limit,
            threads=self.threads,
            bar=bar,
        ):
            try:
                row = summarise(run, self.measure)
            except MeasureError as error:
                raise MeasureError(f"{error}; in the run with {task.names[i]}") from error.__cause__
            curves: dict[int, dict[str, float]] = {}
            if self.keep_curves:
                kept = run.history[list(METRICS)].to_dataframe()
                curves = kept.to_dict(orient="index")
            done[i] = Finished(row, final_metrics(run), curves)
        return [done[i] for i in range(len(task.configs))]
