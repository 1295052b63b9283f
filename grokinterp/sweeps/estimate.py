"""Estimate how long runs will take by timing a few real training steps.

The time of a step grows linearly with the number of examples per update. So only the smallest and
the largest number are timed; the others are interpolated.
"""

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from grokinterp import RunConfig
from grokinterp.checks import check_int
from grokinterp.sweeps.rows import Measure
from grokinterp.sweeps.work import BlockTask, Work
from grokinterp.tracking import Callback
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.plan import plan
from grokinterp.training.program import program
from grokinterp.training.resources import Resources

_BUDGET_S = 0.3  # time spent on timed steps, for each training-set size
_MOST_STEPS = 30
_WARM_UP = RunConfig().replace({"data.p": 5, "model.d_mlp": 4, "training.steps": 2})


@dataclass(frozen=True, kw_only=True)
class Duration:
    """Work left to do, and the time it should take."""

    seconds: float
    runs: int
    steps: int  # updates, summed over the runs

    def __str__(self) -> str:
        return in_words(self.seconds)


def estimate(
    configs: Sequence[RunConfig],
    *,
    measure: Mapping[str, Measure] | None = None,
    per_block: int = 8,
    workers: int = 1,
    resources: Resources | None = None,
) -> Duration:
    """Estimate the time of ``configs`` from a few timed steps and evaluations on this machine.

    Times what a sweep's worker does, measures included. Not included: starting worker processes
    (about 10 s each), writing the store, and other load on the machine.

    Args:
        configs: the runs still to do; may be empty (zero seconds).
        measure: as for ``grokinterp.sweep``.
        per_block: runs trained together.
        workers: blocks trained at the same time.
        resources: device, precision, memory limit and CPU threads per worker; None: defaults.
    """
    check_int("per_block", per_block, minimum=1)
    check_int("workers", workers, minimum=1)
    if not configs:
        return Duration(seconds=0.0, runs=0, steps=0)
    resources = resources or Resources()
    plan(configs, resources)  # raises if a run cannot be trained
    work = Work(measure=dict(measure or {}), resources=resources, keep_curves=False)
    # On a GPU the time of a step does not grow with the runs in a block. On a CPU it does, as soon
    # as every thread has a run.
    on_gpu = resources.place.type == "cuda"
    together = per_block if on_gpu else min(per_block, resources.workers)
    with ThreadPoolExecutor(1) as aside:  # a worker changes the torch threads of its own thread
        costs = aside.submit(_costs, configs, work, together).result()
    dearest = sum(sorted(costs)[-per_block:])
    return Duration(
        seconds=max(sum(costs) / workers, dearest),
        runs=len(configs),
        steps=sum(config.training.steps for config in configs),
    )


def in_words(seconds: float) -> str:
    """A duration in words, such as "about 2 h 10 min"."""
    if seconds < 1:
        return "less than a second" if seconds > 0 else "no time"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"about {round(seconds)} s"
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 48 * 60:
        hours, rest = divmod(round(minutes, -1), 60)
        return f"about {hours} h {rest} min" if rest else f"about {hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"about {days} days {hours} h" if hours else f"about {days} days"


def _costs(configs: Sequence[RunConfig], work: Work, together: int) -> list[float]:
    """Seconds that each run costs."""
    _time(_WARM_UP, work, 1)  # first calls load libraries and start threads
    programs: dict[tuple[object, ...], list[RunConfig]] = {}
    for config in configs:
        training = config.training
        # The cost of a step does not depend on the number of steps. It depends on the batch size,
        # which is interpolated below.
        alike = config.replace(
            {"training.steps": 1, "training.eval_every": 1, "training.batch_size": None}
        )
        noises = training.dropout > 0, training.weight_noise > 0, training.update_noise > 0
        programs.setdefault((*program(alike), *noises), []).append(config)
    costs = []
    for members in programs.values():
        sizes = {batch_rows(config): config for config in members}
        least, most = min(sizes), max(sizes)
        runs = min(together, len(members))
        timed = {n: _measure(sizes[n], work, runs) for n in {least, most}}
        row = sum(t.row for t in timed.values()) / len(timed)  # evaluation always scores all pairs
        fixed = sum(t.fixed for t in timed.values()) / len(timed)
        for config in members:
            share = (batch_rows(config) - least) / max(1, most - least)
            step = (1 - share) * timed[least].step + share * timed[most].step
            rows = len(config.training.evaluated_steps)
            costs.append(config.training.steps * step + rows * row + fixed)
    return costs


@dataclass(frozen=True, kw_only=True)
class _Times:
    """Seconds per run, in a stack."""

    step: float
    row: float  # one evaluation, that is one row of the history
    fixed: float  # once per run: drawing data and weights, measures, packing the result


def _measure(config: RunConfig, work: Work, runs: int) -> _Times:
    rough = _time(_short(config, 2, rows=1), work, runs)
    steps = min(_MOST_STEPS, int(_BUDGET_S / max(rough.step * runs, 1e-6)))
    if steps < 3:  # steps this slow are timed well enough already
        return rough
    return _time(_short(config, steps + 1, rows=3), work, runs)


def _short(config: RunConfig, steps: int, *, rows: int) -> RunConfig:
    """The same config for a few steps, with ``rows`` evaluations after the one at step 0."""
    every = math.ceil(steps / rows)
    return config.replace({"training.steps": steps, "training.eval_every": every})


def _time(config: RunConfig, work: Work, runs: int) -> _Times:
    """Train copies of a run as a worker does, and time it."""
    clock = _Clock(work.resources.place)
    began = time.perf_counter()
    work(BlockTask((), (config,) * runs, ("an estimate",) * runs), clock)
    total = time.perf_counter() - began
    return _Times(
        step=_rate(clock.steps),
        row=_rate(clock.rows),
        fixed=max(0.0, total - sum(lap.seconds for lap in [*clock.steps, *clock.rows])) / runs,
    )


@dataclass(frozen=True)
class _Lap:
    seconds: float
    runs: int
    first: bool  # the stack's first step, slower because memory is touched for the first time


def _rate(laps: Sequence[_Lap]) -> float:
    settled = [lap for lap in laps if not lap.first] or laps
    return sum(lap.seconds for lap in settled) / max(1, sum(lap.runs for lap in settled))


@dataclass
class _Laps:
    """The clock's position within the current stack."""

    runs: int = 0  # runs updated by the last step; 0 before the first step
    at: float = field(default_factory=time.perf_counter)  # time of the last event


class _Clock(Callback):
    """Records the time after every step and every evaluation."""

    def __init__(self, place: torch.device) -> None:
        self._place, self._stack = place, _Laps()
        self.steps: list[_Lap] = []
        self.rows: list[_Lap] = []

    def on_step(self, updates: int) -> None:
        """Record a step that updated this many runs."""
        self.steps.append(_Lap(self._lap(), updates, first=not self._stack.runs))
        self._stack.runs = updates

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """Record an evaluation. The one at step 0 is not counted: it contains the stack's start-up.

        All runs of a stack are scored before the first call, so the later calls take no time.
        """
        seconds = self._lap()
        if step == 0:
            self._stack.runs = 0
        else:
            self.rows.append(_Lap(seconds, 1, first=False))

    def _lap(self) -> float:
        if self._place.type == "cuda":
            torch.cuda.synchronize(self._place)
        now = time.perf_counter()
        seconds, self._stack.at = now - self._stack.at, now
        return seconds
