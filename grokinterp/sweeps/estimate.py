"""How long runs will take, from a handful of real steps, before any of them is started.

A step's time grows linearly with the examples of an update, so the smallest and the largest number
are timed and the others lie on the line between them.
"""

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from grokinterp import RunConfig
from grokinterp._checks import check_int
from grokinterp.sweeps.rows import Measure
from grokinterp.sweeps.work import BlockTask, Work
from grokinterp.tracking import Callback
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.plan import plan
from grokinterp.training.program import program
from grokinterp.training.resources import Resources

_BUDGET_S = 0.3  # of timed steps for each training set
_MOST_STEPS = 30
_WARM_UP = RunConfig().replace({"data.p": 5, "model.d_mlp": 4, "training.steps": 2})


@dataclass(frozen=True, kw_only=True)
class Duration:
    """What is left to do and how long it should take."""

    seconds: float
    runs: int
    steps: int  # updates of all these runs

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
    """Time some steps and evaluations on this machine and multiply.

    What is timed is what a sweep's worker does, measures included. Left out: starting worker
    processes (some 10 s each), writing the store, and whatever else slows the machine later.

    Args:
        configs: the runs not done yet; none give zero seconds.
        measure: as for ``grokinterp.sweep``.
        per_block: runs trained together.
        workers: blocks trained at the same time.
        resources: device, precision and memory, and the CPU threads of each worker; None: defaults.
    """
    check_int("per_block", per_block, minimum=1)
    check_int("workers", workers, minimum=1)
    if not configs:
        return Duration(seconds=0.0, runs=0, steps=0)
    resources = resources or Resources()
    plan(configs, resources)  # refuses what cannot be trained
    work = Work(measure=dict(measure or {}), resources=resources, keep_curves=False)
    # A GPU's time does not grow with the runs of a block; a CPU's does once every thread has one.
    on_gpu = resources.place.type == "cuda"
    together = per_block if on_gpu else min(per_block, resources.workers)
    with ThreadPoolExecutor(1) as aside:  # workers limit the torch threads of the thread they use
        costs = aside.submit(_costs, configs, work, together).result()
    dearest = sum(sorted(costs)[-per_block:])
    return Duration(
        seconds=max(sum(costs) / workers, dearest),
        runs=len(configs),
        steps=sum(config.training.steps for config in configs),
    )


def in_words(seconds: float) -> str:
    """A duration as people say it: "about 2 h 10 min"."""
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
    """Seconds that each run adds."""
    _time(_WARM_UP, work, 1)  # first calls load libraries and start threads
    programs: dict[tuple[object, ...], list[RunConfig]] = {}
    for config in configs:
        training = config.training
        # What a step costs does not depend on how many there are; on the batch it does, see above.
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
        row = sum(t.row for t in timed.values()) / len(timed)  # evaluation scores all pairs always
        fixed = sum(t.fixed for t in timed.values()) / len(timed)
        for config in members:
            share = (batch_rows(config) - least) / max(1, most - least)
            step = (1 - share) * timed[least].step + share * timed[most].step
            rows = len(config.training.evaluated_steps)
            costs.append(config.training.steps * step + rows * row + fixed)
    return costs


@dataclass(frozen=True, kw_only=True)
class _Times:
    """Seconds for one run of a stack."""

    step: float
    row: float  # of the history
    fixed: float  # drawing data and weights, measuring, packing


def _measure(config: RunConfig, work: Work, runs: int) -> _Times:
    rough = _time(_short(config, 2, rows=1), work, runs)
    steps = min(_MOST_STEPS, int(_BUDGET_S / max(rough.step * runs, 1e-6)))
    if steps < 3:  # slow steps need no second look
        return rough
    return _time(_short(config, steps + 1, rows=3), work, runs)


def _short(config: RunConfig, steps: int, *, rows: int) -> RunConfig:
    """The same for a few steps, with some rows of history after the one at step 0."""
    every = math.ceil(steps / rows)
    return config.replace({"training.steps": steps, "training.eval_every": every})


def _time(config: RunConfig, work: Work, runs: int) -> _Times:
    """Train copies of a run as a worker does, and look at the clock."""
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
    first: bool  # of its stack: memory is touched for the first time


def _rate(laps: Sequence[_Lap]) -> float:
    settled = [lap for lap in laps if not lap.first] or laps
    return sum(lap.seconds for lap in settled) / max(1, sum(lap.runs for lap in settled))


@dataclass
class _Laps:
    """Where a stack is."""

    runs: int = 0  # 0: not at its first step yet
    at: float = field(default_factory=time.perf_counter)


class _Clock(Callback):
    """Looks at the time after every step and every row."""

    def __init__(self, place: torch.device) -> None:
        self._place, self._stack = place, _Laps()
        self.steps: list[_Lap] = []
        self.rows: list[_Lap] = []

    def on_step(self, updates: int) -> None:
        """A step is over, of so many runs."""
        self.steps.append(_Lap(self._lap(), updates, first=not self._stack.runs))
        self._stack.runs = updates

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """A row of one run is over; that before the first step has the stack's start in it.

        All runs of a stack are scored before the first is told of: the rest take no time.
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
