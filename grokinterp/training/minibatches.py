"""The training examples of each update."""

import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.config import RunConfig
from grokinterp.randomness import stream


class Minibatches:
    """The batches of one run.

    Each epoch is a new permutation of the training set, drawn from the run's seed and cut into
    batches. An incomplete last batch is dropped, as in the authors' code.

    Args:
        config: the run's config.
    """

    def __init__(self, config: RunConfig) -> None:
        self.n_train = config.data.n_train
        self.size = batch_rows(config)
        self._seed, self._epoch = config.seed, -1
        self._order = torch.empty(0, dtype=torch.int64, device="cpu")

    def at(self, step: int) -> Int[Tensor, " batch"]:
        """Indices into the training pairs (in data-set order) of the batch of update ``step``.

        The first update is step 0.
        """
        if self.size == self.n_train:  # a full batch is not shuffled
            return torch.arange(self.n_train, device="cpu")
        epoch, place = divmod(step, self.n_train // self.size)
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(stream(self._seed, "batches", epoch) >> 1)
            self._order, self._epoch = torch.randperm(self.n_train, generator=rng), epoch
        return self._order[place * self.size : (place + 1) * self.size]


def batch_rows(config: RunConfig) -> int:
    """Examples per update: the batch size, but at most the number of training pairs."""
    return min(config.training.batch_size or config.data.n_train, config.data.n_train)
