"""All runs of a stack in one forward and backward pass, for a GPU.

The hooked model itself is vectorised over the runs (``torch.func``): its matrix products become
batched ones, and whatever can be hooked can be trained. On a CPU the hand-written passes of
``shares`` are faster; both are held to the hooked model by tests.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from transformer_lens.hook_points import HookPoint

from grokinterp.config import build_model
from grokinterp.models.mlp import HookedMLP
from grokinterp.training.dropout import Dropout, Masks
from grokinterp.training.losses import LOSSES

if TYPE_CHECKING:
    from grokinterp.training.stack import Stack

# Runs are padded to the largest training set among them, so only similar ones go together.
_MOST_PADDING = 0.1
_SCORED_AT_ONCE = 16  # runs


class BatchedPasses:
    """Gradients and scores of a stack's runs by vectorising over them."""

    def __init__(self, stack: "Stack") -> None:
        first = stack.configs[0]
        self._stack = weakref.proxy(stack)  # which owns this: a cycle would outlive training
        model = build_model(first).to(stack.device)
        self._model, self._layers = _Unchecked(model), first.model.n_layers
        self._per_example = LOSSES[first.training.loss].per_example
        self._dropouts = [Dropout.of(config) for config in stack.configs]
        self._width = first.model.d_mlp
        self._masks: Masks | None = None
        self._buckets = [
            _Bucket(stack, rows) for rows in _similar([c.data.n_train for c in stack.configs])
        ]
        self._gradients = vmap(grad_and_value(self._loss))
        self._logits = vmap(self._forward, in_dims=(0, None))
        self._pairs = stack.datasets[0].tokens.to(stack.device)

    def gradients(self, step: int) -> None:
        """Overwrite the stack's gradients and losses with those of update ``step``."""
        stack = self._stack
        weights = torch.stack(stack.noise.weights) if stack.noise.on_weights else stack.weights
        for bucket in self._buckets:
            rows, masks = bucket.rows, self._draw_masks(bucket, step)
            params = stack.named(weights[rows])
            grads, losses = self._gradients(
                params, bucket.tokens, bucket.labels, bucket.share, masks
            )
            for name, kept in stack.named(stack.grads[0, rows]).items():
                kept.copy_(grads[name])
            stack.losses[0, rows] = losses

    def score(self) -> None:
        """Note loss and correctness of every run on all pairs."""
        stack = self._stack
        for start in range(0, len(stack.configs), _SCORED_AT_ONCE):
            rows = slice(start, min(start + _SCORED_AT_ONCE, len(stack.configs)))
            logits = self._logits(stack.named(stack.weights[rows]), self._pairs)
            stack.evaluation.note(rows, slice(None), logits)

    def _forward(
        self, params: Mapping[str, Tensor], tokens: Int[Tensor, "n 2"]
    ) -> Float[Tensor, "n p"]:
        stack = self._stack
        named = {f"model.{name}": weight for name, weight in params.items()}
        low = stack.matmul_dtype != stack.weights.dtype
        with torch.autocast(
            stack.device.type, stack.matmul_dtype if low else torch.bfloat16, enabled=low,
            cache_enabled=False,
        ):  # fmt: skip
            return functional_call(self._model, named, (tokens,)).to(stack.weights.dtype)

    def _loss(
        self,
        params: Mapping[str, Tensor],
        tokens: Int[Tensor, "n 2"],
        labels: Int[Tensor, " n"],
        share: Float[Tensor, " n"],
        masks: Mapping[str, Tensor],
    ) -> Float[Tensor, ""]:
        hooks: list[Any] = [(name, _multiply_by(mask)) for name, mask in masks.items()]
        with self._model.model.hooks(fwd_hooks=hooks):
            logits = self._forward(params, tokens)
        return self._per_example(logits, labels) @ share

    def _draw_masks(self, bucket: "_Bucket", step: int) -> dict[str, Tensor]:
        """Dropout masks [run, example, neuron] by hook name; ones for runs without."""
        stack, runs = self._stack, range(bucket.rows.start, bucket.rows.stop)
        chosen = {run: dropout for run in runs if (dropout := self._dropouts[run]) is not None}
        if not chosen:
            return {}
        size = bucket.tokens.shape[1]
        if self._masks is None:  # most stacks have no dropout and need no such buffers
            most = max(other.tokens.shape[1] for other in self._buckets)
            self._masks = Masks(
                most, self._width, self._layers, dtype=stack.weights.dtype, device=stack.device
            )
        masks: dict[str, Tensor] = {}
        for layer in range(self._layers):
            for run, dropout in chosen.items():
                name = f"layers.{layer}.hook_{dropout.at}"
                if name not in masks:
                    masks[name] = stack.weights.new_ones(len(runs), size, self._width)
                drawn = self._masks.draw(dropout, step=step, layer=layer, start=0, count=size)
                masks[name][run - bucket.rows.start] = drawn
        return masks


class _Bucket:
    """Some neighbouring runs with similar training sets, padded to the largest."""

    def __init__(self, stack: "Stack", rows: slice) -> None:
        self.rows = rows
        datasets = stack.datasets[rows]
        sizes = [int(data.is_train.sum()) for data in datasets]
        shape = (len(datasets), max(sizes))
        tokens = torch.zeros(*shape, 2, dtype=torch.int64)
        labels = torch.zeros(shape, dtype=torch.int64)
        share = torch.zeros(shape, dtype=stack.weights.dtype)
        for i, (data, size) in enumerate(zip(datasets, sizes, strict=True)):
            tokens[i, :size] = data.tokens[data.is_train]
            labels[i, :size] = data.labels[data.is_train]
            share[i, :size] = 1 / size
        self.tokens, self.labels, self.share = (x.to(stack.device) for x in (tokens, labels, share))


class _Unchecked(nn.Module):
    """The model without the check of its tokens, which would look at values inside a vmap."""

    def __init__(self, model: HookedMLP) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.logits(tokens)


def _similar(sizes: list[int]) -> list[slice]:
    """Cut runs ordered by size where padding would cost more than ``_MOST_PADDING``."""
    starts = [0]
    for i, size in enumerate(sizes):
        low, high = sorted((sizes[starts[-1]], size))
        if low < (1 - _MOST_PADDING) * high:
            starts.append(i)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def _multiply_by(mask: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    return lambda activation, hook: activation * mask
