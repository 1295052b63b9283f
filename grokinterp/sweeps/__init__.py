"""A grid of configs -> a labelled dataset on disk, resumable, on any executor."""

from grokinterp.sweeps.store import open_sweep as open_sweep
from grokinterp.sweeps.sweep import sweep as sweep
