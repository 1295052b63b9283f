"""Many runs of one architecture, trained together: their weights, and a step of all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset, make_dataset
from grokinterp.team import Team
from grokinterp.training.dropout import Dropout
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.mlp_kernel import Batch, MLPKernel
from grokinterp.training.noise import Noise
from grokinterp.training.optimizer import StackedAdamW

# Precision of weights and activations, and of the matrix products' operands.
PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
}


@dataclass(frozen=True, eq=False)
class _Share:
    """One worker's part of one run: some training examples and some pairs to score."""

    run: int
    part: int
    train: Batch
    pairs: slice
    scored: Batch


class Stack:
    """The weights of many runs of one architecture, and the means to take a step with all.

    Weights, gradients and moments are [run, parameter]; named tensors are views into the rows.
    """

    def __init__(
        self, configs: Sequence[RunConfig], device: torch.device, precision: str, team: Team
    ) -> None:
        dtype, matmul_dtype = PRECISIONS[precision]
        self.configs, self.team, self.device = configs, team, device
        drawn = {data: make_dataset(data) for data in {config.data for config in configs}}
        self.datasets: list[Dataset] = [drawn[config.data] for config in configs]
        models = [build_model(config) for config in configs]
        self.shapes = {name: weight.shape for name, weight in models[0].named_parameters()}
        self.weights = torch.stack(
            [torch.cat([w.detach().flatten() for w in model.parameters()]) for model in models]
        ).to(device, dtype)
        # With fewer runs than workers each run's examples are dealt out to several.
        parts = math.ceil(team.size / len(configs))
        self.grads = torch.zeros(parts, *self.weights.shape, dtype=dtype, device=device)
        self.losses = torch.zeros(parts, len(configs), dtype=dtype, device=device)
        self.noise = Noise(configs, self.weights)
        self._weights_of = [self.named(row) for row in self.weights]
        self._noisy_weights_of = [self.named(row) for row in self.noise.weights]
        self._dropout_of = [Dropout.of(config) for config in configs]
        self._grads_of = [[self.named(row) for row in part] for part in self.grads]
        first = configs[0]
        self._kernels = [
            MLPKernel(
                first.model, first.data.p, first.training.loss,
                dtype=dtype, matmul_dtype=matmul_dtype, device=device,
            )
            for _ in range(team.size)
        ]  # fmt: skip
        self.evaluation = Evaluation(self.datasets, first.training.loss, dtype=dtype, device=device)
        self.optimizer = StackedAdamW(self.weights, [config.training for config in configs])
        self.alive = torch.ones(len(configs), dtype=torch.bool, device=device)
        self.diverged_at = torch.full((len(configs),), -1, device=device)
        self._todo = self._deal_out(parts)

    def named(self, rows: Float[Tensor, "*stack n"]) -> dict[str, Tensor]:
        """Views of the weights by name, any leading axes kept."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        pieces = rows.split(sizes, dim=-1)
        return {
            name: piece.unflatten(-1, shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def step(self) -> None:
        """One full-batch update of every run that is still alive."""
        if self.noise.on_weights:
            self.team.each(self._perturb)
        self.team.each(self._gradients)
        self.note_divergence(self.losses.sum(dim=0), self.optimizer.steps_done)
        self.optimizer.begin_step()
        self.team.each(self._update)

    def evaluate(self) -> Float[Tensor, "run metric"]:
        """Scores of every run at its current weights, in the order of ``METRICS``."""
        self.team.each(self._score)
        return self.evaluation.metrics()

    def note_divergence(self, loss: Float[Tensor, " run"], step: int) -> None:
        """Freeze runs whose loss after ``step`` updates is NaN or infinite; no host copy."""
        finite = loss.isfinite()
        self.diverged_at.masked_fill_(self.alive & ~finite, step)
        self.alive &= finite

    def _deal_out(self, parts: int) -> list[list[_Share]]:
        """Shares for each worker, largest first to whoever has least to do."""
        kernel = self._kernels[0]
        shares = []
        for run, data in enumerate(self.datasets):
            tokens = data.tokens.to(self.device)
            labels = data.labels.to(self.device)
            train = data.is_train.to(self.device)
            n_train = int(data.is_train.sum())
            examples, answers = tokens[train].tensor_split(parts), labels[train].tensor_split(parts)
            start = 0
            for part in range(parts):
                pairs = slice(len(labels) * part // parts, len(labels) * (part + 1) // parts)
                batch = kernel.batch(examples[part], answers[part], n_train, start)
                start += batch.size
                scored = kernel.batch(tokens[pairs], labels[pairs])
                shares.append(_Share(run, part, batch, pairs, scored))
        todo: list[list[_Share]] = [[] for _ in range(self.team.size)]
        for share in sorted(shares, key=lambda share: -share.train.size):
            min(todo, key=lambda dealt: sum(s.train.size for s in dealt)).append(share)
        return todo

    def _columns(self, worker: int) -> slice:
        """The worker's share of the parameters."""
        width, size = self.weights.shape[1], self.team.size
        return slice(width * worker // size, width * (worker + 1) // size)

    def _perturb(self, worker: int) -> None:
        self.noise.perturb(self.optimizer.steps_done, self._columns(worker))

    def _gradients(self, worker: int) -> None:
        for share in self._todo[worker]:
            self.losses[share.part, share.run] = self._kernels[worker].gradients(
                self._noisy_weights_of[share.run], self._grads_of[share.part][share.run],
                share.train, self._dropout_of[share.run], self.optimizer.steps_done,
            )  # fmt: skip

    def _update(self, worker: int) -> None:
        columns = self._columns(worker)
        parts = self.grads[:, :, columns]
        grads = parts[0] if len(parts) == 1 else parts.sum(dim=0)
        # The optimizer has counted this step already; noise, like dropout, numbers from 0.
        noise = self.noise.of_update(self.optimizer.steps_done - 1, columns)
        self.optimizer.update(grads, self.alive, columns, noise)

    def _score(self, worker: int) -> None:
        for share in self._todo[worker]:
            self.evaluation.score(
                share.run, share.pairs, self._kernels[worker],
                self._weights_of[share.run], share.scored,
            )  # fmt: skip
