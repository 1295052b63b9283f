"""Callbacks: what training reports while it runs, and the bookkeeping that trackers share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from grokinterp._checks import check_int
from grokinterp.config import RunConfig


class Callback:
    """Told about training, in the process that called it; override the methods you need.

    ``run`` is a number: the run's place in the configs that :meth:`on_start` was given. One
    callback may follow several trainings, one after another.
    """

    def on_start(self, configs: Sequence[RunConfig]) -> None:
        """Called once, before anything is trained."""

    def on_step(self, updates: int) -> None:
        """Some updates are done: after a step of a stack, one for each of its runs.

        Steps that diverged runs no longer need count as done, and in a sweep all updates of a block
        are reported at once. The sum over all calls is the number of steps of all runs.
        """

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """The scores of a run after ``step`` updates; NaN where a subset is empty.

        Steps of one run arrive in order. Runs of a stack take turns; in a sweep all steps of a run
        arrive once it is finished.
        """

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """A run has ended, possibly by diverging; ``summary`` holds its final numbers."""

    def on_end(self) -> None:
        """Called once at the end, also after an error; some runs may never have finished."""


class RunTracker(Callback, ABC):
    """Gives every run a log of its own, without holding hundreds of logs open.

    At most ``live`` logs are open at a time. The rows of other runs wait in memory until a log is
    closed or their run finishes; :meth:`on_end` writes what is still waiting.
    """

    def __init__(self, live: int) -> None:
        check_int("live", live, minimum=1)
        self.live = live
        self.settings: list[dict[str, Any]] = []  # per run: dotted path -> value
        self.names: list[str] = []
        self._logs: dict[int, Any] = {}
        self._waiting: dict[int, list[tuple[int, dict[str, float]]]] = {}

    def on_start(self, configs: Sequence[RunConfig]) -> None:
        """Name the runs."""
        self.settings = [flatten(config) for config in configs]
        self.names = run_names(self.settings)
        self._logs, self._waiting = {}, {}

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """Write a row, or keep it. Numbers that are not finite are left out, as gaps in a curve."""
        row = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._waiting.setdefault(run, []).append((step, row))
        if run in self._logs or len(self._logs) < self.live:
            self._write_waiting(run)

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """Write what is waiting and the summary, and close the log."""
        self._finish(run, {name: float(value) for name, value in summary.items()})

    def on_end(self) -> None:
        """Close the logs of unfinished runs, marked as unfinished; one's failure spares others."""
        with ExitStack() as stack:
            for run in sorted({*self._logs, *self._waiting}, reverse=True):
                stack.callback(self._finish, run, None)

    @abstractmethod
    def open(self, run: int) -> Any:
        """A new log for a run."""

    @abstractmethod
    def write(self, log: Any, step: int, row: Mapping[str, float]) -> None:
        """Add the finite numbers of a step."""

    @abstractmethod
    def close(self, log: Any, summary: Mapping[str, float] | None) -> None:
        """Close a log; ``summary`` is None when its run never finished, and may hold NaN."""

    def _write_waiting(self, run: int) -> None:
        if run not in self._logs:
            self._logs[run] = self.open(run)
        for step, row in self._waiting.pop(run, ()):
            self.write(self._logs[run], step, row)

    def _finish(self, run: int, summary: Mapping[str, float] | None) -> None:
        self._write_waiting(run)
        self.close(self._logs.pop(run), summary)


def flatten(config: RunConfig) -> dict[str, Any]:
    """A config as dotted path -> value; of a user's own operation table, its name."""
    flat: dict[str, Any] = {}
    for section, fields in config.to_dict().items():
        if not isinstance(fields, Mapping):
            flat[section] = fields
            continue
        for name, value in fields.items():
            # A table's p * p labels would drown everything else.
            flat[f"{section}.{name}"] = value["name"] if isinstance(value, Mapping) else value
    return flat


def run_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every run's number and the settings that differ between runs: "07 training.lr=0.01"."""
    paths = dict.fromkeys(path for flat in settings for path in flat)
    varied = [p for p in paths if len({repr(flat.get(p)) for flat in settings}) > 1]
    width = len(str(len(settings) - 1))
    return [
        " ".join([f"{run:0{width}}", *(f"{p}={flat[p]}" for p in varied if p in flat)])
        for run, flat in enumerate(settings)
    ]
