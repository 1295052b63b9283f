"""The training examples of each update."""

import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.randomness import stream


class Minibatches:
    """The order in which one run goes through its training set.

    Every epoch is a new permutation, drawn from the run's seed, cut into batches; the last one is
    dropped unless it is whole, as in the authors' code.

    Args:
        config: the run's.
    """

    def __init__(self, config: RunConfig) -> None:
        self.n_train = config.data.n_train
        self.size = batch_rows(config)
        self._seed, self._epoch = config.seed, -1
        self._order = torch.empty(0, dtype=torch.int64, device="cpu")

    def at(self, step: int) -> Int[Tensor, " batch"]:
        """Indices of the batch's examples among the training pairs, in the data set's order.

        ``step`` counts the updates made before this one.
        """
        if self.size == self.n_train:  # the full batch has no order
            return torch.arange(self.n_train, device="cpu")
        epoch, place = divmod(step, self.n_train // self.size)
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(stream(self._seed, "batches", epoch) >> 1)
            self._order, self._epoch = torch.randperm(self.n_train, generator=rng), epoch
        return self._order[place * self.size : (place + 1) * self.size]


def batch_rows(config: RunConfig) -> int:
    """Examples per update: the batch size, or all training pairs if there are no more."""
    return min(config.training.batch_size or config.data.n_train, config.data.n_train)
