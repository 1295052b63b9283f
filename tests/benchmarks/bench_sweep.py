"""What a sweep adds to training: reducing, storing, and doing it in blocks; what processes give."""

import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.data_efficiency import GROK_MEASURES
from probes import mean_ipr

BASE = gi.RunConfig(
    data=gi.DataConfig(p=47),
    model=gi.MLPConfig(d_mlp=128),
    training=gi.TrainConfig(steps=200),
)
AXES = {
    "data.train_fraction": [0.3, 0.45, 0.6, 0.75],
    "data.corruption": [0.0, 0.2, 0.4, 0.6],
    "training.weight_decay": [0.0, 5.0],
}
SEEDS = 2


def test_sweep_of_64(tmp_path: Path, compare: Callable[..., None]) -> None:
    configs = [
        BASE.replace(dict(zip(AXES, values, strict=True)) | {"seed": seed, "data.seed": seed})
        for values in itertools.product(*AXES.values())
        for seed in range(SEEDS)
    ]
    stores = itertools.count()

    def sweep() -> None:
        store = tmp_path / f"{next(stores)}.zarr"
        gi.sweep(BASE, AXES, seeds=SEEDS, measure={"ipr": mean_ipr_of}, store=store, progress=False)

    def train() -> None:
        gi.train_many(configs, progress=False)

    compare(sweep, {"train_many": train}, rounds=5)


@pytest.mark.parametrize("network", settings.NETWORKS)
def test_processes(network: str, tmp_path: Path, compare: Callable[..., None]) -> None:
    """Eight runs of a small network of the second paper, a core each for two processes.

    Their steps are bound by Python, which runs in one thread of a process at a time.
    """
    base = settings.network(network, "small").replace({"training.steps": 100})
    stores = itertools.count()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:

        def sweep(executor: ProcessPoolExecutor | None, chunk: int) -> None:
            gi.sweep(
                base,
                {},
                seeds=8,
                measure=GROK_MEASURES,
                store=tmp_path / f"{next(stores)}.zarr",
                executor=executor,
                chunk=chunk,
                progress=False,
            )

        compare(lambda: sweep(pool, 4), {"threads": lambda: sweep(None, 8)})


def mean_ipr_of(run: gi.Run) -> float:
    return mean_ipr(run.model)
