"""A stack's gradients on a CPU for any architecture: autograd through the hooked model itself.

Each worker has one model, whose parameters it points at the weights and gradients of the run it is
working on. It takes whole runs, or its share of a run's examples, and goes through them in blocks
that bound its memory and are large enough to spend it on arithmetic.
"""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.config import build_model
from grokinterp.models.base import HookedModel
from grokinterp.training.dropout import Dropout, Masks
from grokinterp.training.losses import LOSSES
from grokinterp.training.minibatches import Minibatches

if TYPE_CHECKING:
    from grokinterp.training.stack import Stack

_BLOCK_BYTES = 30_000_000  # of an example's activations, times the examples worked on at once


class ModelPasses:
    """Gradients and scores of a stack's runs, one run after another on each worker."""

    def __init__(self, stack: "Stack") -> None:
        first = stack.configs[0]
        self._stack = weakref.proxy(stack)  # which owns this: a cycle would outlive training
        self._models: list[HookedModel] = [
            build_model(first).to(stack.device, stack.weights.dtype) for _ in range(stack.team.size)
        ]
        self._per_example = LOSSES[first.training.loss].per_example
        # A network with batch statistics has to see its batch as one.
        example = self._models[0].floats_per_example() * stack.weights.dtype.itemsize
        self._rows = None if stack.buffers else max(64, _BLOCK_BYTES // example)
        self._dropout_of = [Dropout.of(config) for config in stack.configs]
        self._masks: dict[tuple[int, str], Masks] = {}
        self._batches = [Minibatches(c) if c.training.batch_size else None for c in stack.configs]
        self._tokens = [data.tokens[data.is_train] for data in stack.datasets]
        self._labels = [data.labels[data.is_train] for data in stack.datasets]
        self._pairs = stack.datasets[0].tokens
        self._weights = stack.noise.weights if stack.noise.on_weights else stack.weights
        self._todo = self._deal_out(len(stack.grads))

    def gradients(self, step: int) -> None:
        """Overwrite the stack's gradients and losses with those of update ``step``."""
        stack = self._stack
        chosen = [batches.at(step) if batches else None for batches in self._batches]

        def work(worker: int) -> None:
            model = self._models[worker].train()
            for run, part in self._todo[worker]:
                self._point(model, run, self._weights[run], stack.grads[part, run])
                tokens, labels, rows = self._tokens[run], self._labels[run], chosen[run]
                if rows is not None:
                    tokens, labels = tokens[rows], labels[rows]
                stack.losses[part, run] = self._backward(
                    worker, model, run, _part(tokens, labels, part, len(stack.grads)), step
                )

        stack.team.each(work)

    def score(self) -> None:
        """Note loss and correctness of every run on all pairs."""
        stack, rows = self._stack, self._rows or len(self._pairs)

        def work(worker: int) -> None:
            model = self._models[worker].eval()
            for run, part in self._todo[worker]:
                self._point(model, run, stack.weights[run], None)
                low, high = (len(self._pairs) * i // len(stack.grads) for i in (part, part + 1))
                for start in range(low, high, rows):
                    pairs = slice(start, min(start + rows, high))
                    with torch.no_grad():
                        logits = self._forward(model, self._pairs[pairs])
                    stack.evaluation.note(run, pairs, logits)

        stack.team.each(work)

    def _backward(
        self,
        worker: int,
        model: HookedModel,
        run: int,
        part: tuple[Tensor, Tensor, int, int],
        step: int,
    ) -> Tensor:
        """Add a part's gradients to those the model points at; return its part of the loss."""
        tokens, labels, first, n_total = part
        dropout = self._dropout_of[run]
        loss = self._stack.losses.new_zeros(())
        rows = self._rows or max(1, len(tokens))
        for start in range(0, len(tokens), rows):
            block = slice(start, start + rows)
            hooks: list[Any] = []
            if dropout is not None:
                hooks = self._hooks(worker, dropout, step, first + start, len(tokens[block]))
            with torch.enable_grad(), model.hooks(fwd_hooks=hooks):
                logits = self._forward(model, tokens[block])
                share = self._per_example(logits, labels[block]).sum() / n_total
                share.backward()
            loss += share.detach()
        return loss

    def _forward(self, model: HookedModel, tokens: Tensor) -> Tensor:
        stack = self._stack
        with stack.products():
            return model.logits(tokens).to(stack.weights.dtype)

    def _hooks(
        self, worker: int, dropout: Dropout, step: int, start: int, count: int
    ) -> list[tuple[str, Callable[[Tensor, HookPoint], Tensor]]]:
        key = worker, dropout.at
        masks = self._masks.get(key)
        if masks is None or masks.rows < count:
            dtype, device = self._stack.weights.dtype, self._stack.device
            masks = self._masks[key] = Masks(count, dropout, dtype=dtype, device=device)
        return [
            (
                name,
                multiply_by(
                    masks.draw(dropout, step=step, layer=i, start=start, count=count).unflatten(
                        1, shape
                    )
                ),
            )
            for i, (name, shape) in enumerate(dropout.points)
        ]

    def _point(self, model: HookedModel, run: int, weights: Tensor, grads: Tensor | None) -> None:
        """Let a model be one run: its parameters and buffers become views of the stack's."""
        stack = self._stack
        named = stack.named(weights)
        named_grads: dict[str, Tensor] = {}
        if grads is not None:
            named_grads = stack.named(grads.zero_())
        for name, parameter in model.named_parameters():
            parameter.data = named[name]
            parameter.grad = named_grads.get(name)
        for name, buffer in stack.buffers.items():
            owner, _, leaf = name.rpartition(".")
            model.get_submodule(owner)._buffers[leaf] = buffer[run]

    def _deal_out(self, parts: int) -> list[list[tuple[int, int]]]:
        """(run, part) for each worker, largest first to whoever has least to do."""
        sizes = [len(tokens) for tokens in self._tokens]
        todo: list[list[tuple[int, int]]] = [[] for _ in self._models]
        load = [0] * len(todo)
        for run in sorted(range(len(sizes)), key=lambda run: -sizes[run]):
            for part in range(parts):
                worker = load.index(min(load))
                todo[worker].append((run, part))
                load[worker] += sizes[run] // parts
        return todo


def multiply_by(mask: Tensor) -> Callable[[Tensor, HookPoint], Tensor]:
    """A hook that multiplies by ``mask``."""
    return lambda activation, hook: activation * mask


def _part(tokens: Tensor, labels: Tensor, part: int, parts: int) -> tuple[Tensor, Tensor, int, int]:
    """One of several parts of a batch: tokens, labels, number of its first example, batch size."""
    n = len(tokens)
    low, high = n * part // parts, n * (part + 1) // parts
    return tokens[low:high], labels[low:high], low, n
