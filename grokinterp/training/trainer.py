"""The one trainer: many runs of one architecture as a stack; a single run is a stack of one."""

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from grokinterp._checks import check_choice
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset, make_dataset
from grokinterp.models.mlp import HookedMLP
from grokinterp.runs import Run, provenance
from grokinterp.team import Team
from grokinterp.training.evaluation import METRICS, Evaluation
from grokinterp.training.history import build_history
from grokinterp.training.mlp_kernel import Batch, MLPKernel
from grokinterp.training.optimizer import StackedAdamW

# Precision of weights and activations, and of the matrix products' operands.
PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
}

Probe = Callable[[HookedMLP], Any]


class DivergenceWarning(UserWarning):
    """A run's loss became NaN or infinite; it was stopped and what came before is kept."""


def train(
    config: RunConfig,
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    progress: bool = True,
) -> Run:
    """Train one run. A stack of one: see :func:`train_many` for the arguments."""
    return train_many(
        [config], device=device, precision=precision, probes=probes, progress=progress
    )[0]


def train_many(
    configs: Sequence[RunConfig],
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    progress: bool = True,
) -> list[Run]:
    """Train runs together; those that share an architecture, loss and steps form one stack.

    Learning rate, weight decay, betas, seeds, split and corruption may differ within a stack. A
    run is a function of its config: alone or in a stack it gives the same result up to rounding.

    Args:
        configs: one per run.
        device: where to train; None takes CUDA if there is one. Results come back on the CPU.
        precision: "float32"; "bfloat16" for the operands of matrix products, with float32
            weights; or "float64".
        probes: name -> function of the hooked model, called at every evaluated step; numbers or
            arrays, which become variables of ``run.history``.
        progress: show a progress bar.

    Returns:
        One :class:`~grokinterp.Run` per config, in order.

    Warns:
        DivergenceWarning: a loss became NaN or infinite. That run stops there, ``diverged_at``
            says at which step, and its history ends before it; the others go on.
    """
    check_choice("precision", precision, PRECISIONS)
    place = _device(device)
    stacks: dict[tuple[object, ...], list[int]] = {}
    for i, config in enumerate(configs):
        training = config.training
        program = (config.model, config.data.p, training.loss, training.steps, training.eval_every)
        stacks.setdefault(program, []).append(i)
    runs: dict[int, Run] = {}
    total = sum(config.training.steps for config in configs)
    with tqdm(total=total, unit="step", disable=not progress, desc="training") as bar:
        for members in stacks.values():
            chosen = [configs[i] for i in members]
            trained = _train_stack(chosen, place, precision, dict(probes or {}), bar)
            runs |= dict(zip(members, trained, strict=True))
    return [runs[i] for i in range(len(configs))]


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no device: {error}") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for but torch sees no CUDA device; "
            "use device='cpu' or install a CUDA build of torch"
        )
    return place


def _train_stack(
    configs: list[RunConfig],
    device: torch.device,
    precision: str,
    probes: dict[str, Probe],
    bar: tqdm,
) -> list[Run]:
    started = time.perf_counter()
    training = configs[0].training
    with Team(torch.get_num_threads() if device.type == "cpu" else 1) as team:
        stack = Stack(configs, device, precision, team)
        recorder = Recorder(stack, probes)
        recorder.record(0)
        for step in range(1, training.steps + 1):
            stack.step()
            bar.update(len(configs))
            if step % training.eval_every == 0 or step == training.steps:
                recorder.record(step)
                bar.set_postfix(recorder.accuracies(), refresh=False)
                if not bool(stack.alive.any()):
                    break
    return recorder.runs(precision, time.perf_counter() - started)


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
        drawn = {config.data: make_dataset(config.data) for config in configs}
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
        self._weights_of = [self.named(row) for row in self.weights]
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
            for part in range(parts):
                pairs = slice(len(labels) * part // parts, len(labels) * (part + 1) // parts)
                batch = kernel.batch(examples[part], answers[part], n_train)
                scored = kernel.batch(tokens[pairs], labels[pairs])
                shares.append(_Share(run, part, batch, pairs, scored))
        todo: list[list[_Share]] = [[] for _ in range(self.team.size)]
        for share in sorted(shares, key=lambda share: -share.train.size):
            min(todo, key=lambda dealt: sum(s.train.size for s in dealt)).append(share)
        return todo

    def _gradients(self, worker: int) -> None:
        for share in self._todo[worker]:
            self.losses[share.part, share.run] = self._kernels[worker].gradients(
                self._weights_of[share.run], self._grads_of[share.part][share.run], share.train
            )

    def _update(self, worker: int) -> None:
        width = self.weights.shape[1]
        columns = slice(width * worker // self.team.size, width * (worker + 1) // self.team.size)
        parts = self.grads[:, :, columns]
        grads = parts[0] if len(parts) == 1 else parts.sum(dim=0)
        self.optimizer.update(grads, self.alive, columns)

    def _score(self, worker: int) -> None:
        for share in self._todo[worker]:
            self.evaluation.score(
                share.run, share.pairs, self._kernels[worker],
                self._weights_of[share.run], share.scored,
            )  # fmt: skip


class Recorder:
    """Collects the history of a stack, on its device, and turns it into runs at the end."""

    def __init__(self, stack: Stack, probes: dict[str, Probe]) -> None:
        self.stack, self.probes = stack, probes
        self.steps: list[int] = []
        self._metrics: list[Tensor] = []
        self._norms: list[dict[str, Tensor]] = []
        self._probed: list[list[dict[str, Tensor]]] = []

    def record(self, step: int) -> None:
        """A row of the history: the state after ``step`` updates."""
        stack = self.stack
        metrics = stack.evaluate()
        stack.note_divergence(metrics[:, METRICS.index("train_loss")], step)
        matrices = HookedMLP.weight_matrices(stack.named(stack.weights))
        self.steps.append(step)
        self._metrics.append(metrics)
        self._norms.append({name: w.norm(dim=(-2, -1)) for name, w in matrices.items()})
        if self.probes:
            models = [self.model(run) for run in range(len(stack.configs))]
            self._probed.append([self._probe(model) for model in models])

    def accuracies(self) -> dict[str, str]:
        """Mean train and test accuracy of the last row, for the progress bar."""
        mean = dict(zip(METRICS, self._metrics[-1].mean(dim=0).tolist(), strict=True))
        return {name: f"{mean[f'{name}_accuracy']:.3f}" for name in ("train", "test")}

    def model(self, run: int) -> HookedMLP:
        """The hooked model of one run at its current weights, on the CPU."""
        model = build_model(self.stack.configs[run]).to(self.stack.weights.dtype)
        model.load_state_dict(self.stack.named(self.stack.weights[run].cpu()))
        return model

    def runs(self, precision: str, wall_time_s: float) -> list[Run]:
        """The finished runs."""
        return [self._run(i, precision, wall_time_s) for i in range(len(self.stack.configs))]

    def _probe(self, model: HookedMLP) -> dict[str, Tensor]:
        with torch.no_grad():
            return {
                name: torch.as_tensor(probe(model), dtype=torch.float64)
                for name, probe in self.probes.items()
            }

    def _run(self, i: int, precision: str, wall_time_s: float) -> Run:
        stack = self.stack
        diverged = int(stack.diverged_at[i])
        steps = [step for step in self.steps if diverged < 0 or step < diverged]
        history = build_history(
            steps,
            torch.stack([row[i] for row in self._metrics]),
            {name: torch.stack([row[name][i] for row in self._norms]) for name in self._norms[0]},
            {name: [row[i][name] for row in self._probed] for name in self.probes},
        )
        if diverged >= 0:
            lr = stack.configs[i].training.lr
            warnings.warn(
                f"run {i}: the loss is NaN or infinite after {diverged} steps; training of this "
                f"run stopped and its history up to step {steps[-1] if steps else 'none'} is kept. "
                f"A smaller training.lr (now {lr}) usually helps",
                DivergenceWarning,
                stacklevel=5,
            )
        return Run(
            config=stack.configs[i],
            dataset=stack.datasets[i],
            model=self.model(i),
            history=history,
            diverged_at=diverged if diverged >= 0 else None,
            provenance=provenance(
                device=str(stack.device),
                precision=precision,
                wall_time_s=wall_time_s,
                stack_size=len(stack.configs),
            ),
        )
