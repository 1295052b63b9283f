"""Gradients of any architecture on a CPU: autograd through the hooked model, run by run.

Each worker has one model, whose parameters become views of the current run's weights and gradients.
It processes whole runs, or its share of a run's examples, in blocks: small enough to bound memory,
large enough to keep overhead low.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.config import RunConfig, build_model
from grokinterp.losses import LOSSES
from grokinterp.models.base import HookedModel
from grokinterp.team import Team
from grokinterp.training.dropout import Dropout, Masks, multiply_by
from grokinterp.training.minibatches import Minibatches
from grokinterp.training.passes.deal import deal, share_of, shares_per_run
from grokinterp.training.passes.protocol import Passes
from grokinterp.training.state import StackState, buffers_of

_BLOCK_BYTES = 30_000_000  # activations of all examples in a block


class RunByRunPasses(Passes):
    """Each worker takes one run after another, by autograd through the hooked model."""

    def __init__(self, state: StackState, team: Team) -> None:
        first = state.configs[0]
        self._state, self._team = state, team
        self._models: list[HookedModel] = [
            build_model(first).to(state.device, state.dtype) for _ in range(team.size)
        ]
        self._per_example = LOSSES[first.training.loss].per_example
        # A network with batch statistics (buffers) needs its whole batch at once.
        example = self._models[0].floats_per_example() * state.dtype.itemsize
        self._rows = None if state.buffers else max(64, _BLOCK_BYTES // example)
        self._dropout_of = [Dropout.of(config) for config in state.configs]
        self._masks: dict[tuple[int, str], Masks] = {}
        self._batches = [Minibatches(c) if c.training.batch_size else None for c in state.configs]
        self._tokens = [data.tokens[data.is_train] for data in state.datasets]
        self._labels = [data.labels[data.is_train] for data in state.datasets]
        self._pairs = state.datasets[0].tokens
        self._weights = state.noise.weights if state.noise.on_weights else state.weights
        shares = [(run, s) for run in range(len(state.configs)) for s in range(len(state.grads))]
        self._todo = deal(shares, lambda share: len(self._tokens[share[0]]), team.size)

    @classmethod
    def suits(cls, config: RunConfig, device: torch.device) -> bool:
        """Whether the device is a CPU; any hooked model can be trained this way."""
        return device.type == "cpu"

    @classmethod
    def shares_per_run(cls, configs: Sequence[RunConfig], workers: int) -> int:
        """As for all passes on a CPU, but a batch with batch statistics is not divided."""
        return 1 if buffers_of(build_model(configs[0])) else shares_per_run(configs, workers)

    def gradients(self, step: int) -> None:
        """Overwrite the state's gradients and losses with those of update ``step``."""
        state = self._state
        chosen = [batches.at(step) if batches else None for batches in self._batches]

        def work(worker: int) -> None:
            model = self._models[worker].train()
            for run, share in self._todo[worker]:
                self._point(model, run, self._weights[run], state.grads[share, run])
                tokens, labels, rows = self._tokens[run], self._labels[run], chosen[run]
                if rows is not None:
                    tokens, labels = tokens[rows], labels[rows]
                n = len(tokens)
                mine = share_of(n, share, len(state.grads))
                state.losses[share, run] = self._backward(
                    worker, model, run, (tokens[mine], labels[mine], mine.start, n), step
                )

        self._team.each(work)

    def score(self) -> None:
        """Store loss and correctness of every run on all pairs, in the state's ``evaluation``."""
        state, rows = self._state, self._rows or len(self._pairs)

        def work(worker: int) -> None:
            model = self._models[worker].eval()
            for run, share in self._todo[worker]:
                self._point(model, run, state.weights[run], None)
                mine = share_of(len(self._pairs), share, len(state.grads))
                for start in range(mine.start, mine.stop, rows):
                    pairs = slice(start, min(start + rows, mine.stop))
                    with torch.no_grad():
                        logits = self._forward(model, self._pairs[pairs])
                    state.evaluation.note(run, pairs, logits)

        self._team.each(work)

    def _backward(
        self,
        worker: int,
        model: HookedModel,
        run: int,
        part: tuple[Tensor, Tensor, int, int],
        step: int,
    ) -> Tensor:
        """Add the gradients of a part of the batch to the run's; return its part of the loss."""
        tokens, labels, first, n_total = part
        dropout = self._dropout_of[run]
        loss = self._state.losses.new_zeros(())
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
        state = self._state
        with state.products():
            return model.logits(tokens).to(state.dtype)

    def _hooks(
        self, worker: int, dropout: Dropout, step: int, start: int, count: int
    ) -> list[tuple[str, Callable[[Tensor, HookPoint], Tensor]]]:
        key = worker, dropout.at
        masks = self._masks.get(key)
        if masks is None or masks.rows < count:
            dtype, device = self._state.dtype, self._state.device
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
        """Make a model's parameters and buffers views of one run's in the stack."""
        state = self._state
        named = state.named(weights)
        named_grads: dict[str, Tensor] = {}
        if grads is not None:
            named_grads = state.named(grads.zero_())
        for name, parameter in model.named_parameters():
            parameter.data = named[name]
            parameter.grad = named_grads.get(name)
        for name, buffer in state.buffers.items():
            owner, _, leaf = name.rpartition(".")
            model.get_submodule(owner)._buffers[leaf] = buffer[run]
