"""Gradients of all runs of a stack in one forward and backward pass, for a GPU.

``torch.func`` vectorises the hooked model over the runs, so its matrix products become batched
ones. Any hooked model can be trained this way. On a CPU the other passes are faster, also for 8
runs. The tests compare all passes with the hooked model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from grokinterp.config import RunConfig, build_model
from grokinterp.losses import LOSSES
from grokinterp.models.base import HookedModel
from grokinterp.team import Team
from grokinterp.training.dropout import Dropout, Masks, multiply_by
from grokinterp.training.memory import free_memory
from grokinterp.training.minibatches import Minibatches, batch_rows
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState

# Runs are padded to the largest batch in their bucket; a bucket has at most this share of padding.
_MOST_PADDING = 0.1
_SCORE_BYTES = 2**28, 2**31  # activations of the runs scored at once, on a CPU and on a GPU
_SCORE_SHARE = 8  # of a GPU's free memory, at most the 8th part
_COMING = 32  # steps whose mini-batches are drawn and copied to the device together


class VectorisedPasses(Passes):
    """Processes all runs at once, by vectorising the hooked model over them."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        self._state = state
        # .to() also converts tensors that are not parameters, such as a table of positions
        self._model = _Unchecked(build_model(first).to(state.device, state.dtype))
        self._per_example = LOSSES[first.training.loss].per_example
        self._dropouts = [Dropout.of(config) for config in state.configs]
        self._masks: dict[str, Masks] = {}
        # Batch statistics must not see padding.
        padding = 0.0 if state.buffers else _MOST_PADDING
        sizes = [batch_rows(config) for config in state.configs]
        self._buckets = [_Bucket(state, rows) for rows in _similar(sizes, padding)]
        self._pairs = state.datasets[0].tokens.to(state.device)
        floats = len(self._pairs) * self._model.model.floats_per_example()
        budget = _SCORE_BYTES[0]
        if state.device.type != "cpu":
            budget = min(_SCORE_BYTES[1], free_memory(state.device) // _SCORE_SHARE)
        self._scored_at_once = max(1, budget // (floats * state.dtype.itemsize))

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the device is a GPU."""
        return device.type != "cpu"

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """One: a GPU processes all examples together."""
        return 1

    @classmethod
    def bytes_per_run(cls, config: RunConfig, itemsize: int) -> int:
        """Those of its activations: each one's value, its gradient, and what autograd keeps."""
        floats = build_model(config).floats_per_example()
        return batch_rows(config) * 3 * floats * itemsize

    def repeats(self) -> bool:
        """Unless there is dropout: its masks are drawn for each step."""
        return not any(self._dropouts)

    def prepare(self, step: int) -> None:
        """Copy the mini-batches of update ``step`` to the device."""
        for bucket in self._buckets:
            bucket.prepare(step)

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""
        state = self._state
        self._model.train()
        weights = torch.stack(state.noise.weights) if state.noise.on_weights else state.weights
        for bucket in self._buckets:
            rows, masks = bucket.rows, self._draw_masks(bucket, step)
            params = state.named(weights[rows])
            buffers = {name: buffer[rows] for name, buffer in state.buffers.items()}
            # Not stored on self: that would be a reference cycle, which keeps the state alive.
            gradients = vmap(grad_and_value(self._loss))
            grads, losses = gradients(params, buffers, *bucket.batch(), masks)
            for name, kept in state.named(state.grads[0, rows]).items():
                kept.copy_(grads[name])
            state.losses[0, rows] = losses

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        state = self._state
        self._model.eval()
        for start in range(0, len(state.configs), self._scored_at_once):
            rows = slice(start, min(start + self._scored_at_once, len(state.configs)))
            buffers = {name: buffer[rows] for name, buffer in state.buffers.items()}
            score = vmap(self._forward, in_dims=(0, 0, None))
            logits = score(state.named(state.weights[rows]), buffers, self._pairs)
            state.evaluation.note(rows, slice(None), logits)

    def _forward(
        self,
        params: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        tokens: Int[Tensor, "n 2"],
    ) -> Float[Tensor, "n p"]:
        state = self._state
        named = {f"model.{name}": tensor for name, tensor in {**params, **buffers}.items()}
        with state.products():
            return functional_call(self._model, named, (tokens,)).to(state.dtype)

    def _loss(
        self,
        params: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        tokens: Int[Tensor, "n 2"],
        labels: Int[Tensor, " n"],
        share: Float[Tensor, " n"],
        masks: Mapping[str, Tensor],
    ) -> Float[Tensor, ""]:
        hooks: list[Any] = [(name, multiply_by(mask)) for name, mask in masks.items()]
        with self._model.model.hooks(fwd_hooks=hooks):
            logits = self._forward(params, buffers, tokens)
        losses = self._per_example(logits, labels)
        return losses @ share.to(losses.dtype)

    def _draw_masks(self, bucket: "_Bucket", step: int) -> dict[str, Tensor]:
        """Dropout masks [run, example, ...] by hook name; all ones for runs without dropout."""
        state, runs = self._state, range(bucket.rows.start, bucket.rows.stop)
        chosen = {run: dropout for run in runs if (dropout := self._dropouts[run]) is not None}
        if not chosen:
            return {}
        size, most = bucket.rows_each, max(other.rows_each for other in self._buckets)
        masks: dict[str, Tensor] = {}
        for run, dropout in chosen.items():
            if dropout.at not in self._masks:  # made on demand: most stacks have no dropout
                self._masks[dropout.at] = Masks(
                    most, dropout, dtype=state.dtype, device=state.device
                )
            draw = self._masks[dropout.at].draw
            for layer, (name, shape) in enumerate(dropout.points):
                if name not in masks:
                    masks[name] = state.weights.new_ones(len(runs), size, *shape)
                drawn = draw(dropout, step=step, layer=layer, start=0, count=size)
                masks[name][run - bucket.rows.start] = drawn.unflatten(1, shape)
        return masks


class _Bucket:
    """Consecutive runs with batches of similar size, padded to the largest."""

    def __init__(self, state: StackState, rows: slice) -> None:
        self.rows = rows
        configs, datasets = state.configs[rows], state.datasets[rows]
        sizes = [batch_rows(config) for config in configs]
        self.rows_each = max(sizes)
        n_train = [config.data.n_train for config in configs]
        tokens = torch.zeros(len(configs), max(n_train), 2, dtype=torch.int64)
        labels = torch.zeros(len(configs), max(n_train), dtype=torch.int64)
        share = torch.zeros(len(configs), self.rows_each, dtype=state.dtype)
        for i, (data, n) in enumerate(zip(datasets, n_train, strict=True)):
            tokens[i, :n] = data.tokens[data.is_train]
            labels[i, :n] = data.labels[data.is_train]
            share[i, : sizes[i]] = 1 / sizes[i]
        self._tokens, self._labels, self._share = (
            x.to(state.device) for x in (tokens, labels, share)
        )
        in_batches = configs[0].training.batch_size is not None
        self._batches = [Minibatches(config) for config in configs] if in_batches else []
        # The examples of the batch at hand, and those of several steps, copied together.
        self._chosen = torch.zeros(
            len(configs), self.rows_each, dtype=torch.int64, device=state.device
        )
        self._coming = torch.zeros(0, *self._chosen.shape, dtype=torch.int64)
        self._first = 0  # step of the first of these

    def prepare(self, step: int) -> None:
        """Draw the mini-batches of update ``step``."""
        if not self._batches:
            return
        if not 0 <= step - self._first < len(self._coming):
            coming = torch.zeros(_COMING, *self._chosen.shape, dtype=torch.int64)
            for i, rows in enumerate(coming):
                for row, batches in zip(rows, self._batches, strict=True):
                    row[: batches.size] = batches.at(step + i)
            self._coming, self._first = coming.to(self._chosen.device), step
        self._chosen.copy_(self._coming[step - self._first])

    def batch(
        self,
    ) -> tuple[Int[Tensor, "run n 2"], Int[Tensor, "run n"], Float[Tensor, "run n"]]:
        """Tokens, labels and loss weights (0 for padding) of the batch that was prepared."""
        if not self._batches:
            return self._tokens, self._labels, self._share
        tokens = self._tokens.gather(1, self._chosen[..., None].expand(-1, -1, 2))
        return tokens, self._labels.gather(1, self._chosen), self._share


class _Unchecked(nn.Module):
    """The model without token validation, which reads values and so fails under vmap."""

    def __init__(self, model: HookedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.logits(tokens)


def _similar(sizes: list[int], most_padding: float) -> list[slice]:
    """Split runs (ordered by size) into slices that need at most ``most_padding`` padding."""
    starts = [0]
    for i, size in enumerate(sizes):
        low, high = sorted((sizes[starts[-1]], size))
        if low < (1 - most_padding) * high:
            starts.append(i)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(sizes)], strict=True)]
