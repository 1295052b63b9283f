"""A stack: many runs of one architecture that are trained together, step by step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checkpoints import Checkpoint, Moments
from grokinterp.config import RunConfig
from grokinterp.team import Team
from grokinterp.training.optimizer import StackedOptimizer
from grokinterp.training.passes import Passes, choose_passes
from grokinterp.training.passes.deal import share_of
from grokinterp.training.replay import Replay
from grokinterp.training.resources import Resources
from grokinterp.training.state import StackState
from grokinterp.training.trainable import check_trainable

# Runs per worker from which on each worker updates its share of the runs, not of the parameters:
# neighbouring runs are then updated as one piece of memory.
_MANY_RUNS = 4


class Stack:
    """The state of many runs, the passes that compute their gradients, and one optimiser.

    The weights of a diverged run are frozen; its buffers still change.

    Args:
        configs: one per run, all with the same program (see ``plan``).
        resources: device and precision.
        team: the worker threads; a team of one on CUDA.
        start: the checkpoint each run starts from, or None for weights drawn from its seed.
        passes: how gradients are computed; None: the fastest way for these configs and device.
        replayed: on CUDA, whether to replay the step as a CUDA graph, where it is the same
            operations every time. Dropout, noise on weights or updates, and models that wait for
            the device are trained without.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        resources: Resources,
        team: Team,
        *,
        start: Sequence[Checkpoint | None] | None = None,
        passes: type[Passes] | None = None,
        replayed: bool = True,
    ) -> None:
        check_trainable(configs[0])
        passes = passes or choose_passes(configs, resources.place)
        self.team, self.start = team, start or [None] * len(configs)
        shares = passes.shares_per_run(configs, team.size)
        self.state = StackState(configs, resources, start=self.start, shares=shares)
        self.passes = passes(self.state, team)
        kept = [None if checkpoint is None else checkpoint.moments for checkpoint in self.start]
        self.optimizer = StackedOptimizer(
            self.state.weights,
            [config.training for config in configs],
            [0 if moments is None else moments.updates for moments in kept],
        )
        for run, moments in enumerate(kept):
            if moments is not None:
                self._remember(run, moments)
        device = self.state.device
        self.alive = torch.ones(len(configs), dtype=torch.bool, device=device)
        self.diverged_at = torch.full((len(configs),), -1, device=device)
        self.steps_done = 0
        self._has_gradients = False  # whether the state has those of the next step already
        noise = self.state.noise
        many = len(configs) >= _MANY_RUNS * team.size
        self._by_rows = many and self.optimizer.in_one_pass and not noise.on_updates
        noisy = noise.on_weights or noise.on_updates or noise.on_decay
        repeats = self.passes.repeats() and not noisy
        self.replay = None
        if replayed and repeats and device.type == "cuda":
            self.replay = Replay(device)

    def moments(self, run: int) -> Moments:
        """The optimiser's moments of one run, copied to the CPU."""
        optimizer, named = self.optimizer, self.state.named
        first, second = optimizer.first[run].cpu().clone(), None
        if optimizer.second is not None:
            second = named(optimizer.second[run].cpu().clone())
        updates = int(optimizer.before[run]) + self.steps_done
        return Moments(updates, named(first), second)

    def step(self) -> None:
        """Update every run that has not diverged."""
        self.passes.prepare(self.steps_done)
        if self.replay is None:
            self._update_all()
        else:
            self.replay(self._update_all)
        self.steps_done += 1

    def _update_all(self) -> None:
        if self.state.noise.on_weights:
            self.team.each(self._perturb)
        if not self._has_gradients:
            self.passes.gradients(self.steps_done)
        self._has_gradients = False
        self.note_divergence(self.state.losses.sum(dim=0), self.optimizer.taken)
        self.optimizer.begin_step()
        self.team.each(self._update)

    def evaluate(self) -> Float[Tensor, "run metric"]:
        """Scores of every run at its current weights, in the order of ``METRICS``.

        If another step follows, its gradients are computed too, where that saves a forward pass.
        """
        more = self.steps_done < self.state.configs[0].training.steps
        self._has_gradients = more and self.passes.score_with_gradients(self.steps_done)
        if not self._has_gradients:
            self.passes.score()
        return self.state.evaluation.metrics()

    def note_divergence(self, loss: Float[Tensor, " run"], step: Tensor) -> None:
        """Freeze runs whose loss after ``step`` updates is NaN or infinite, without a CPU copy."""
        finite = loss.isfinite()
        self.diverged_at.copy_(torch.where(self.alive & ~finite, step, self.diverged_at))
        self.alive &= finite

    def _remember(self, run: int, kept: Moments) -> None:
        optimizer = self.optimizer
        for rows, named in ((optimizer.first, kept.first), (optimizer.second, kept.second)):
            if rows is not None and named is not None:
                for name, moment in self.state.named(rows[run]).items():
                    moment.copy_(named[name])

    def _columns(self, worker: int) -> slice:
        """The worker's share of the parameters."""
        return share_of(self.state.weights.shape[1], worker, self.team.size)

    def _perturb(self, worker: int) -> None:
        self.state.noise.perturb(self.steps_done, self._columns(worker))

    def _update(self, worker: int) -> None:
        if self._by_rows:
            rows = share_of(len(self.state.configs), worker, self.team.size)
            self.optimizer.update_in_one_pass(self._grads(rows, slice(None)), self.alive, rows)
            return
        columns = self._columns(worker)
        noise = self.state.noise.of_update(self.steps_done, columns)
        grads = self._grads(slice(None), columns)
        jiggle = self.state.noise.of_decay(self.steps_done, columns)
        self.optimizer.update(grads, self.alive, columns, noise, jiggle)

    def _grads(self, rows: slice, columns: slice) -> Float[Tensor, "run n"]:
        """Gradients of some runs and parameters, summed over shares."""
        shares = self.state.grads[:, rows, columns]
        return shares[0] if len(shares) == 1 else shares.sum(dim=0)
