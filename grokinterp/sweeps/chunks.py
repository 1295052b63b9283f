"""How many runs a sweep trains and stores together."""

import math
from collections.abc import Sequence
from concurrent.futures import Executor

import torch

from grokinterp.config import RunConfig, build_model
from grokinterp.sweeps.executors import count_workers

_FEWEST, _MOST = 8, 64
_BLOCKS_PER_WORKER = 4  # so that all are busy until the end


def default_chunk(
    configs: Sequence[RunConfig], device: torch.device, executor: Executor | None
) -> int:
    """Large enough that what a stack costs beside its runs is small, at most minutes of work.

    A CPU gains nothing from stacking large runs: 8 of the papers' size. Small ones wait for each
    other at every step, and up to 64 go together, as on a GPU.
    """
    chunk = _MOST
    if device.type == "cpu":
        fits = _FEWEST * _work([RunConfig()]) / _work(configs)
        chunk = min(_MOST, max(_FEWEST, math.floor(fits)))
    if executor is not None:
        share = len(configs) // (_BLOCKS_PER_WORKER * count_workers(executor))
        chunk = max(1, min(chunk, share))
    return chunk


def _work(configs: Sequence[RunConfig]) -> int:
    """Multiplications of the heaviest run, up to a factor."""
    models = {(config.model, config.data.p): config for config in configs}
    parameters = {
        key: sum(weight.numel() for weight in build_model(config).parameters())
        for key, config in models.items()
    }
    return max(
        parameters[config.model, config.data.p] * config.data.n_train * config.training.steps
        for config in configs
    )
