"""The sweep of a size, and what is measured on each run."""

from os import PathLike
from pathlib import Path
from typing import Any

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.data_efficiency.grids import get
from analyses.phase_diagrams.sweep_job import SweepJob
from analyses.statistics.over_runs import crossings
from analyses.statistics.thresholds import TIMED_AT


def grok_step(run: gi.Run) -> float:
    """First of five consecutive evaluated steps with test accuracy of at least 99 %, else NaN."""
    return float(crossings(run.history.test_accuracy, TIMED_AT))


def learning_rate(run: gi.Run) -> float:
    """The run's learning rate."""
    return run.config.training.lr


GROK_MEASURES = {"grok_step": grok_step, "learning_rate": learning_rate}


class Job(SweepJob):
    """A sweep that also measures the time to grok and records the learning rate."""

    @property
    def measure(self) -> dict[str, Any]:
        """Functions of a finished run, by name."""
        return dict(GROK_MEASURES)


def job(out: str | PathLike[str], size: str, seeds: int = settings.SEEDS, workers: int = 1) -> Job:
    """The sweep of a size in folder ``out``, not started."""
    grid = get(size)
    store = Path(out) / "data_efficiency.zarr"
    return Job(base=grid.base, axes=grid.axes, seeds=seeds, store=store, workers=workers)
