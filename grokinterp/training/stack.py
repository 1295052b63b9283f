"""Many runs of one architecture, trained together: their weights, and a step of all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from grokinterp.config import RunConfig, build_model, model_class
from grokinterp.data import Dataset, make_dataset
from grokinterp.models.base import HookedModel
from grokinterp.models.mlp import HookedMLP
from grokinterp.team import Team
from grokinterp.training.batched import BatchedPasses
from grokinterp.training.checkpoints import Checkpoint, Moments
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.losses import LOSSES
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.model_passes import ModelPasses
from grokinterp.training.noise import Noise
from grokinterp.training.optimizer import StackedOptimizer
from grokinterp.training.shares import SharedPasses, parts_per_run

# Precision of weights and activations, and of the matrix products' operands.
PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
    "tf32": (torch.float32, torch.float32),  # CUDA only, by a switch that the trainer sets
}


_WORTH_SHARING = 1024  # examples per update above which they are shared out over the cores


def by_hand(config: RunConfig) -> bool:
    """Whether there are hand-written passes for a run."""
    training = config.training
    return (
        model_class(config) is HookedMLP
        and config.model.norm is None
        and training.batch_size is None
        and LOSSES[training.loss].residual_ is not None
        and (not training.dropout or training.dropout_at in ("pre", "post"))
    )


def _check_trainable(config: RunConfig) -> None:
    """Refuse a model that a stack would train to something else, or each time to something else."""
    model: HookedModel = build_model(config)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if tied := set(names) - {name for name, _ in model.named_parameters()}:
        raise ValueError(
            f"{type(model).__name__} holds one parameter under several names: "
            f"{', '.join(sorted(tied))} again. Tie weights by reading the other one in logits()"
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            raise ValueError(
                f"{name} of {type(model).__name__} drops by the session's own random numbers, so "
                "that no run could be repeated; set its p to 0 and use training.dropout at one "
                "of the model's dropout_points"
            )
    again = build_model(config).state_dict()
    if any(not torch.equal(again[name], tensor) for name, tensor in model.state_dict().items()):
        raise ValueError(
            f"{type(model).__name__} has other weights each time it is built with the same seed, "
            "so that no run could be repeated; draw them from "
            "grokinterp.randomness.generator(seed, 'init')"
        )


class Stack:
    """The weights of many runs of one architecture, and the means to take a step with all.

    Weights, gradients and moments are [run, parameter]; named tensors are views into the rows.
    Buffers (running statistics of batch norms) are kept by name, [run, ...]; a run that diverged
    goes on changing its own.

    Args:
        configs: one per run; of one program (see ``plan``).
        device: where they are trained.
        precision: a name in ``PRECISIONS``.
        team: the worker threads; of one on CUDA.
        start: what each run starts from; None: weights drawn from its seed.
        batched: whether to vectorise over the runs; None: on everything but a CPU, where runs one
            after another on each core are faster, at batches of 8 too.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        device: torch.device,
        precision: str,
        team: Team,
        *,
        start: Sequence[Checkpoint | None] | None = None,
        batched: bool | None = None,
    ) -> None:
        dtype, self.matmul_dtype = PRECISIONS[precision]
        self.configs, self.team, self.device = configs, team, device
        if batched is None:
            batched = device.type != "cpu"
        drawn = {data: make_dataset(data) for data in {config.data for config in configs}}
        self.datasets: list[Dataset] = [drawn[config.data] for config in configs]
        self.start = start = start or [None] * len(configs)
        _check_trainable(configs[0])
        rows, buffers = [], []
        for config, checkpoint in zip(configs, start, strict=True):  # a stack can be large
            model: HookedModel = build_model(config)
            if checkpoint is not None:
                model.adopt(dict(checkpoint.state))
            self.shapes = {name: weight.shape for name, weight in model.named_parameters()}
            flat = torch.cat([weight.detach().flatten() for weight in model.parameters()])
            rows.append(flat.to(device, dtype))
            state = model.state_dict()
            buffers.append({name: state[name] for name in state.keys() - self.shapes.keys()})
        self.weights = torch.stack(rows)
        del rows
        self.buffers = {
            name: torch.stack([one[name] for one in buffers]).to(device, dtype)
            for name in buffers[0]
        }
        # Batch statistics cannot be shared out, and a small batch is not worth it.
        whole = batched or self.buffers or batch_rows(configs[0]) < _WORTH_SHARING
        parts = 1 if whole else parts_per_run(len(configs), team.size)
        self.grads = torch.zeros(parts, *self.weights.shape, dtype=dtype, device=device)
        self.losses = torch.zeros(parts, len(configs), dtype=dtype, device=device)
        self.noise = Noise(configs, self.weights)
        loss = configs[0].training.loss
        self.evaluation = Evaluation(self.datasets, loss, device=device)
        moments = [None if checkpoint is None else checkpoint.moments for checkpoint in start]
        self.optimizer = StackedOptimizer(
            self.weights,
            [config.training for config in configs],
            [0 if kept is None else kept.updates for kept in moments],
        )
        for run, kept in enumerate(moments):
            if kept is not None:
                self._remember(run, kept)
        self.alive = torch.ones(len(configs), dtype=torch.bool, device=device)
        self.diverged_at = torch.full((len(configs),), -1, device=device)
        passes = BatchedPasses if batched else SharedPasses if by_hand(configs[0]) else ModelPasses
        self._passes = passes(self)

    def state(self, run: int) -> dict[str, Tensor]:
        """What one run's model would have as ``state_dict``, copied to the CPU."""
        buffers = {name: buffer[run].cpu().clone() for name, buffer in self.buffers.items()}
        return self.named(self.weights[run].cpu().clone()) | buffers

    def moments(self, run: int) -> Moments:
        """What the optimiser remembers of one run, copied to the CPU."""
        optimizer = self.optimizer
        first, second = optimizer.first[run].cpu().clone(), None
        if optimizer.second is not None:
            second = self.named(optimizer.second[run].cpu().clone())
        updates = int(optimizer.before[run]) + optimizer.steps_done
        return Moments(updates, self.named(first), second)

    @contextmanager
    def products(self) -> Iterator[None]:
        """Matrix products in the stack's precision, for passes that run the model itself."""
        low = self.matmul_dtype != self.weights.dtype
        with torch.autocast(
            self.device.type, self.matmul_dtype if low else torch.bfloat16, enabled=low,
            cache_enabled=False,
        ):  # fmt: skip
            yield

    def _remember(self, run: int, kept: Moments) -> None:
        optimizer = self.optimizer
        for rows, named in ((optimizer.first, kept.first), (optimizer.second, kept.second)):
            if rows is not None and named is not None:
                for name, moment in self.named(rows[run]).items():
                    moment.copy_(named[name])

    def named(self, rows: Float[Tensor, "*stack n"]) -> dict[str, Tensor]:
        """Views of the weights by name, any leading axes kept."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        pieces = rows.split(sizes, dim=-1)
        return {
            name: piece.unflatten(-1, shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def step(self) -> None:
        """One update of every run that is still alive."""
        if self.noise.on_weights:
            self.team.each(self._perturb)
        self._passes.gradients(self.optimizer.steps_done)
        self.note_divergence(self.losses.sum(dim=0), self.optimizer.steps_done)
        self.optimizer.begin_step()
        self.team.each(self._update)

    def evaluate(self) -> Float[Tensor, "run metric"]:
        """Scores of every run at its current weights, in the order of ``METRICS``."""
        self._passes.score()
        return self.evaluation.metrics()

    def note_divergence(self, loss: Float[Tensor, " run"], step: int) -> None:
        """Freeze runs whose loss after ``step`` updates is NaN or infinite; no host copy."""
        finite = loss.isfinite()
        self.diverged_at.masked_fill_(self.alive & ~finite, step)
        self.alive &= finite

    def _columns(self, worker: int) -> slice:
        """The worker's share of the parameters."""
        width, size = self.weights.shape[1], self.team.size
        return slice(width * worker // size, width * (worker + 1) // size)

    def _perturb(self, worker: int) -> None:
        self.noise.perturb(self.optimizer.steps_done, self._columns(worker))

    def _update(self, worker: int) -> None:
        columns = self._columns(worker)
        parts = self.grads[:, :, columns]
        grads = parts[0] if len(parts) == 1 else parts.sum(dim=0)
        # The optimizer has counted this step already; noise, like dropout, numbers from 0.
        noise = self.noise.of_update(self.optimizer.steps_done - 1, columns)
        self.optimizer.update(grads, self.alive, columns, noise)
