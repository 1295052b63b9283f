"""A stack's gradients on a CPU: each worker takes whole runs, or its share of a run's examples."""

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokinterp.training.dropout import Dropout
from grokinterp.training.mlp_kernel import Batch, MLPKernel

if TYPE_CHECKING:
    from grokinterp.training.stack import Stack

# With fewer runs than this per worker, whole runs would leave some workers idle.
_FEW_RUNS = 4


def parts_per_run(runs: int, workers: int) -> int:
    """Into how many shares each run's examples are cut, so that all workers have as much to do."""
    return 1 if runs % workers == 0 or runs >= _FEW_RUNS * workers else workers


@dataclass(frozen=True, eq=False)
class _Share:
    """One worker's part of one run: some training examples and some pairs to score."""

    run: int
    part: int
    train: Batch
    pairs: slice
    scored: Batch


class SharedPasses:
    """Gradients and scores of a stack's runs, by the hand-written passes of ``mlp_kernel``."""

    def __init__(self, stack: "Stack") -> None:
        first = stack.configs[0]
        self._stack = weakref.proxy(stack)  # which owns this: a cycle would outlive training
        self._kernels = [
            MLPKernel(
                first.model, first.data.p, first.training.loss, dtype=stack.weights.dtype,
                matmul_dtype=stack.matmul_dtype, device=stack.device,
            )
            for _ in range(stack.team.size)
        ]  # fmt: skip
        self._weights_of = [stack.named(row) for row in stack.weights]
        self._noisy_weights_of = [stack.named(row) for row in stack.noise.weights]
        self._dropout_of = [Dropout.of(config) for config in stack.configs]
        self._grads_of = [[stack.named(row) for row in part] for part in stack.grads]
        self._todo = self._deal_out(len(stack.grads))

    def gradients(self, step: int) -> None:
        """Overwrite the stack's gradients and losses with those of update ``step``."""

        def work(worker: int) -> None:
            for share in self._todo[worker]:
                self._stack.losses[share.part, share.run] = self._kernels[worker].gradients(
                    self._noisy_weights_of[share.run], self._grads_of[share.part][share.run],
                    share.train, self._dropout_of[share.run], step,
                )  # fmt: skip

        self._stack.team.each(work)

    def score(self) -> None:
        """Note loss and correctness of every run on all pairs."""

        def work(worker: int) -> None:
            for share in self._todo[worker]:
                start = share.pairs.start
                weights = self._weights_of[share.run]
                for logits in self._kernels[worker].logits(weights, share.scored):
                    rows = slice(start, start + len(logits))
                    self._stack.evaluation.note(share.run, rows, logits)
                    start = rows.stop

        self._stack.team.each(work)

    def _deal_out(self, parts: int) -> list[list[_Share]]:
        """Shares for each worker, largest first to whoever has least to do."""
        kernel, stack = self._kernels[0], self._stack
        shares = []
        for run, data in enumerate(stack.datasets):
            tokens, labels = data.tokens.to(stack.device), data.labels.to(stack.device)
            train = data.is_train.to(stack.device)
            n_train = int(data.is_train.sum())
            examples, answers = tokens[train].tensor_split(parts), labels[train].tensor_split(parts)
            start = 0
            for part in range(parts):
                pairs = slice(len(labels) * part // parts, len(labels) * (part + 1) // parts)
                batch = kernel.batch(examples[part], answers[part], n_train, start)
                start += batch.size
                scored = kernel.batch(tokens[pairs], labels[pairs])
                shares.append(_Share(run, part, batch, pairs, scored))
        todo: list[list[_Share]] = [[] for _ in range(stack.team.size)]
        for share in sorted(shares, key=lambda share: -share.train.size):
            min(todo, key=lambda dealt: sum(s.train.size for s in dealt)).append(share)
        return todo
