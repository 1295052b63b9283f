"""Train a grid of configs into a labelled dataset on disk: resumable, on any executor."""

from grokinterp.sweeps.executors import SweepExecutorError
from grokinterp.sweeps.place import SweepStoreError
from grokinterp.sweeps.rows import MeasureError
from grokinterp.sweeps.stored import open_sweep
from grokinterp.sweeps.sweep import sweep

__all__ = ["MeasureError", "SweepExecutorError", "SweepStoreError", "open_sweep", "sweep"]
