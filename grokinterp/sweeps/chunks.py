"""Choose how many runs a sweep trains and stores together."""

import math
from collections.abc import Sequence
from concurrent.futures import Executor

import torch

from grokinterp.config import RunConfig, build_model
from grokinterp.sweeps.executors import count_workers

_FEWEST, _MOST = 8, 64
_SHORTEST = 0.1  # of the work of a run of the paper's size: seconds, which may be lost
_BLOCKS_PER_WORKER = 4  # keeps all workers busy until near the end; an interrupt loses a quarter


def default_chunk(
    configs: Sequence[RunConfig], device: torch.device, executor: Executor | None
) -> int:
    """Runs per block: enough to make a stack's overhead small, few enough to finish in minutes.

    On a GPU this is 64. A CPU gains nothing from stacking large runs, so it takes 8 runs of the
    papers' size and up to 64 small ones, whose overhead per step is large. A sweep that this would
    make one block of is cut into a few, of some seconds each, so that an interrupt leaves most.
    """
    chunk, least = _MOST, 1
    if device.type == "cpu":
        of_published = _work([RunConfig()]) / _work(configs)
        chunk = min(_MOST, max(_FEWEST, math.floor(_FEWEST * of_published)))
        least = math.ceil(_SHORTEST * of_published)
    if executor is not None:
        share = len(configs) // (_BLOCKS_PER_WORKER * count_workers(executor))
        return max(1, min(chunk, share))
    return min(chunk, max(least, len(configs) // _BLOCKS_PER_WORKER))


def _work(configs: Sequence[RunConfig]) -> int:
    """Multiplications in the most expensive run, up to a constant factor."""
    models = {(config.model, config.data.p): config for config in configs}
    parameters = {
        key: sum(weight.numel() for weight in build_model(config).parameters())
        for key, config in models.items()
    }
    return max(
        parameters[config.model, config.data.p] * config.data.n_train * config.training.steps
        for config in configs
    )
