"""The callback interface of training, and a base class for experiment trackers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from grokinterp.checks import check_int
from grokinterp.config import RunConfig


class Callback:
    """Methods that training calls, in the user's process. Override those you need.

    ``run`` is the run's index in the configs passed to :meth:`on_start`. A callback may be used for
    several trainings, one after another.
    """

    def on_start(self, configs: Sequence[RunConfig]) -> None:
        """Called once, before anything is trained."""

    def on_step(self, updates: int) -> None:
        """Called when ``updates`` more updates are done: per step of a stack, one for each run.

        The sum over all calls is the number of steps of all runs: steps that a diverged run skips
        count as done. A sweep reports all updates of a block at once.
        """

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """Called with the scores of a run after ``step`` updates; NaN for an empty subset.

        The steps of one run arrive in order. Runs of a stack are interleaved; in a sweep all steps
        of a run arrive when it has finished.
        """

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """Called when a run has ended or diverged; ``summary`` holds its final scores."""

    def on_end(self) -> None:
        """Called once at the end, also after an error, when some runs may be unfinished."""


class RunTracker(Callback, ABC):
    """Base class for trackers with one log per run, of which at most ``live`` are open at a time.

    The rows of the other runs wait in memory until a log is closed or their run finishes;
    :meth:`on_end` writes the remaining ones.
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
        """Write a row, or keep it for later. Non-finite numbers are left out (gaps in a curve)."""
        row = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._waiting.setdefault(run, []).append((step, row))
        if run in self._logs or len(self._logs) < self.live:
            self._write_waiting(run)

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """Write the waiting rows and the summary, then close the log."""
        self._finish(run, {name: float(value) for name, value in summary.items()})

    def on_end(self) -> None:
        """Close all logs of unfinished runs, marked as unfinished, even if closing one fails."""
        with ExitStack() as stack:
            for run in sorted({*self._logs, *self._waiting}, reverse=True):
                stack.callback(self._finish, run, None)

    @abstractmethod
    def open(self, run: int) -> Any:
        """Open a new log for a run."""

    @abstractmethod
    def write(self, log: Any, step: int, row: Mapping[str, float]) -> None:
        """Write the scores of a step; ``row`` holds only finite numbers."""

    @abstractmethod
    def close(self, log: Any, summary: Mapping[str, float] | None) -> None:
        """Close a log. ``summary`` may contain NaN; it is None if the run did not finish."""

    def _write_waiting(self, run: int) -> None:
        if run not in self._logs:
            self._logs[run] = self.open(run)
        for step, row in self._waiting.pop(run, ()):
            self.write(self._logs[run], step, row)

    def _finish(self, run: int, summary: Mapping[str, float] | None) -> None:
        self._write_waiting(run)
        self.close(self._logs.pop(run), summary)


def flatten(config: RunConfig) -> dict[str, Any]:
    """A config as dotted path -> value; an operation table is represented by its name."""
    flat: dict[str, Any] = {}
    for section, fields in config.to_dict().items():
        if not isinstance(fields, Mapping):
            flat[section] = fields
            continue
        for name, value in fields.items():
            # Not the table's p * p labels.
            flat[f"{section}.{name}"] = value["name"] if isinstance(value, Mapping) else value
    return flat


def run_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """One name per run, its number and the settings that vary: "07 training.lr=0.01"."""
    paths = dict.fromkeys(path for flat in settings for path in flat)
    varied = [p for p in paths if len({repr(flat.get(p)) for flat in settings}) > 1]
    width = len(str(len(settings) - 1))
    return [
        " ".join([f"{run:0{width}}", *(f"{p}={flat[p]}" for p in varied if p in flat)])
        for run, flat in enumerate(settings)
    ]
