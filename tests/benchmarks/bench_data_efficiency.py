"""The data-efficiency grid as one sweep against one run at a time, from a sample of its runs.

Fewer steps than a run has, but enough for drawing data and weights not to count for much.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import grokinterp as gi
from analyses.efficiency.data_efficiency import GROK_MEASURES
from analyses.efficiency.data_efficiency.grids import get
from grokinterp.sweeps.grid import Grid

FACTORS = ("full-batch Adam", "small batches", "dropout")
FRACTIONS, SEEDS, STEPS = (0.2, 0.5, 0.8), 3, 60


def test_sample_of_the_small_grid(tmp_path: Path, compare: Callable[..., None]) -> None:
    grid = get("small")
    base = grid.base.replace({"training.steps": STEPS})
    axes = {
        "setting": {factor: grid.changes(factor) for factor in FACTORS},
        "data.train_fraction": FRACTIONS,
    }
    configs = list(Grid(base, axes, range(SEEDS)).configs.flat)
    stores = itertools.count()

    def sweep() -> None:
        store = tmp_path / f"{next(stores)}.zarr"
        gi.sweep(base, axes, SEEDS, measure=GROK_MEASURES, store=store, progress=False)

    def one_at_a_time() -> None:
        for config in configs:
            run = gi.train(config, progress=False)
            for measure in GROK_MEASURES.values():
                measure(run)

    compare(sweep, {"one run at a time": one_at_a_time}, rounds=3)
