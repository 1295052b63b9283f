"""Gradients of small MLPs on a CPU: many runs at once, with one set of groups per core.

One run's operations are so short that half of the time would go to calling them. A group has as
many runs as keep its activations in cache.

CPU time of the gradients, divided by that of one run after another (``by_hand``), float32, 8 to 64
runs, half of the pairs, on a core without matrix units and 1 MiB of its own cache:

    neurons    64    128    256    500
    p = 23           0.50
    p = 31   0.44   0.61   0.70   0.78
    p = 47   0.67   0.76   0.85
    p = 59   0.82   0.89   0.90   0.97
    p = 97   0.97   0.87   0.97

Scores of all pairs take 0.37 of the time at p = 31, as much at p = 59, and more from p = 67 on.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.training.passes.batched import BatchedPasses
from grokinterp.training.passes.deal import shares_per_run
from grokinterp.training.passes.operands import ByBags, FirstLayer

# Activations of a layer of a group on all pairs: enough to make the cost of calls small, few enough
# for the cache.
_GROUP_BYTES = 2**21
_SCORED_BYTES = 2**20  # of float64 logits whose losses are computed together
_SMALL = 2**18  # most activations of an update, per layer and run


class SmallRunsPasses(BatchedPasses):
    """Each worker puts groups of small runs through ``BatchedKernel``."""

    class_major = True  # a CPU finds largest logits and sums over classes faster

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether this is a CPU, and the run a small MLP without norm, dropout, mini-batches."""
        return device.type == "cpu" and cls.covers(config) and cls._is_small(config)

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """See :func:`~grokinterp.training.passes.deal.shares_per_run`."""
        return shares_per_run(configs, workers)

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """None: indices take no more than :func:`~grokinterp.training.memory.run_bytes` counts."""
        return 0

    @classmethod
    def _is_small(cls, config: RunConfig) -> bool:
        return config.data.n_train * config.model.d_mlp <= _SMALL

    def _group_bytes(self) -> int:
        return _GROUP_BYTES

    def _note(self, rows: slice, pairs: slice, logits: Float[Tensor, "run pair p"]) -> None:
        runs, n, p = logits.shape
        most = _SCORED_BYTES // (8 * p)  # pairs at once
        for run, pair in itertools.product(range(0, runs, max(1, most // n)), range(0, n, most)):
            some = logits[run : run + max(1, most // n), pair : pair + most]
            own = slice(rows.start + run, rows.start + run + len(some))
            start = pairs.start + pair
            super()._note(own, slice(start, start + some.shape[1]), some)

    def _first_layer(self, entries: Int[Tensor, "run example 2"], rows: int) -> FirstLayer:
        return ByBags(entries, rows)
