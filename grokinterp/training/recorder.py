"""Record the history of a stack while it trains, and turn it into runs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from grokinterp.checkpoints import Checkpoint
from grokinterp.config import build_model
from grokinterp.models.base import HookedModel
from grokinterp.models.registry import model_class
from grokinterp.runs import Run, provenance
from grokinterp.short_text import short
from grokinterp.training.evaluation import METRICS
from grokinterp.training.history import MAX_AXES, Probe, build_history
from grokinterp.training.rules import Keeper, Row, Rule
from grokinterp.training.stack import Stack


class Recorder:
    """Records the history of a stack, on its device, and turns it into runs at the end.

    Args:
        stack: the runs.
        probes: functions of the hooked model, evaluated at every row.
        rules: name -> rule that says when to keep a checkpoint.
        numbers: number of each run, as passed to callbacks.
    """

    def __init__(
        self,
        stack: Stack,
        probes: dict[str, Probe],
        rules: Mapping[str, Rule],
        numbers: Sequence[int],
    ) -> None:
        self.stack, self.probes, self.numbers = stack, probes, numbers
        runs = range(len(numbers)) if rules else ()
        self._keepers = {run: Keeper(rules, partial(self.checkpoint, run)) for run in runs}
        self.steps: list[int] = []
        self._metrics: list[Tensor] = []
        self._norms: list[dict[str, Tensor]] = []
        self._probed: list[list[dict[str, Tensor]]] = []

    def record(self, step: int) -> None:
        """Add a row to the history: the state after ``step`` updates."""
        stack, state = self.stack, self.stack.state
        metrics = stack.evaluate()
        stack.note_divergence(metrics[:, METRICS.index("train_loss")], stack.optimizer.taken)
        # leaves out gains and biases
        named = {n: w for n, w in state.named(state.weights).items() if len(state.shapes[n]) > 1}
        matrices = model_class(state.configs[0].model).weight_matrices(named)
        self.steps.append(step)
        self._metrics.append(metrics)
        self._norms.append({name: w.flatten(1).norm(dim=1) for name, w in matrices.items()})
        if self.probes:
            models = [self.model(run) for run in range(len(state.configs))]
            self._probed.append([self._probe(model) for model in models])
        if self._keepers:
            for run, row in self._alive():
                self._keepers[run].see(step, row)

    def alive(self) -> Iterator[tuple[int, dict[str, float]]]:
        """(number, last row) of every run that has not diverged."""
        return ((self.numbers[run], row) for run, row in self._alive())

    def _alive(self) -> Iterator[tuple[int, dict[str, float]]]:
        alive = self.stack.alive.tolist()
        for run, (lives, row) in enumerate(zip(alive, self._metrics[-1].tolist(), strict=True)):
            if lives:
                yield run, dict(zip(METRICS, row, strict=True))

    def model(self, run: int) -> HookedModel:
        """The hooked model of one run at its current weights, on the CPU, in evaluation mode."""
        model: HookedModel = build_model(self.stack.state.configs[run])
        model.adopt(self.stack.state.state_dict(run))
        return model

    def checkpoint(self, run: int, step: int, metrics: Row) -> Checkpoint:
        """A checkpoint of one run at its current weights, with the optimiser's moments."""
        return Checkpoint(step, metrics, self.stack.state.state_dict(run), self.stack.moments(run))

    def runs(self, precision: str, wall_time_s: float) -> list[Run]:
        """All runs in their current state; unfinished if steps are left and the loss is finite."""
        return [self._run(i, precision, wall_time_s) for i in range(len(self.stack.state.configs))]

    def _probe(self, model: HookedModel) -> dict[str, Tensor]:
        values = {}
        with torch.no_grad():
            for name, probe in self.probes.items():
                value = probe(model)
                try:
                    values[name] = torch.as_tensor(value, dtype=torch.float64).detach().clone()
                except (TypeError, ValueError, RuntimeError) as error:
                    raise TypeError(
                        f"probe {name!r} must return a number or an array of numbers, got "
                        f"{short(value)}"
                    ) from error
                if values[name].ndim > MAX_AXES:
                    raise ValueError(
                        f"probe {name!r} returned {values[name].ndim} axes; the history can store "
                        f"at most {MAX_AXES}"
                    )
                first = self._probed[0][0][name] if self._probed else values[name]
                if values[name].shape != first.shape:
                    raise ValueError(
                        f"probe {name!r} returned shape {list(values[name].shape)} at step "
                        f"{self.steps[-1]}, but {list(first.shape)} at step 0; the shape of a "
                        "probe's result must not change"
                    )
        return values

    def _run(self, i: int, precision: str, wall_time_s: float) -> Run:
        stack, state = self.stack, self.stack.state
        diverged, done = int(stack.diverged_at[i]), stack.steps_done
        steps = [step for step in self.steps if diverged < 0 or step < diverged]
        history = build_history(
            steps,
            torch.stack([row[i] for row in self._metrics]),
            {name: torch.stack([row[name][i] for row in self._norms]) for name in self._norms[0]},
            {name: [row[i][name] for row in self._probed] for name in self.probes},
        )
        return Run(
            config=state.configs[i],
            dataset=state.datasets[i],
            model=self.model(i),
            history=history,
            diverged_at=diverged if diverged >= 0 else None,
            interrupted_at=done
            if diverged < 0 and done < state.configs[i].training.steps
            else None,
            provenance=provenance(
                device=str(state.device),
                precision=precision,
                wall_time_s=wall_time_s,
                stack_size=len(state.configs),
                start=stack.start[i],
            ),
            checkpoints=self._keepers[i].kept if self._keepers else {},
        )
