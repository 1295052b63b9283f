"""The one trainer: many runs of one architecture as a stack; a single run is a stack of one."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from grokinterp.checkpoints import Checkpoint
from grokinterp.config import RunConfig
from grokinterp.runs import Run
from grokinterp.session import own_session
from grokinterp.team import Team
from grokinterp.tracking import Callback
from grokinterp.tracking.dispatch import Dispatch
from grokinterp.tracking.progress import ProgressBar
from grokinterp.training.device_errors import (
    Told,
    halved,
    named_device_errors,
    too_little_memory,
)
from grokinterp.training.divergence import warn_of_divergence
from grokinterp.training.evaluation import METRICS
from grokinterp.training.history import Probe, check_probes
from grokinterp.training.interrupt import Interrupt, TrainingInterrupted
from grokinterp.training.plan import plan
from grokinterp.training.recorder import Recorder
from grokinterp.training.resources import Resources
from grokinterp.training.rules import Rule, check_rules, check_starts
from grokinterp.training.stack import Stack
from grokinterp.training.zero_loss import warn_of_zero_loss


def train(
    config: RunConfig,
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    checkpoints: Mapping[str, Rule] | None = None,
    start: Checkpoint | None = None,
    threads: int | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Run:
    """Train one run. See :func:`train_many` for the arguments.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import mean_ipr
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes), probes={"ipr": mean_ipr})
        >>> last = run.history.isel(step=-1)  # wrong labels memorised, and the rule found
        >>> last.changed_accuracy.item(), last.test_accuracy.item()
        (1.0, 1.0)
        >>> bool(last.ipr > run.history.ipr[0] + 0.2)
        True
    """
    return train_many(
        [config],
        device=device,
        precision=precision,
        probes=probes,
        checkpoints=checkpoints,
        start=[start],
        threads=threads,
        callbacks=callbacks,
        progress=progress,
    )[0]


def train_many(
    configs: Iterable[RunConfig],
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    checkpoints: Mapping[str, Rule] | None = None,
    start: Sequence[Checkpoint | None] | None = None,
    memory_limit: int | str | None = None,
    threads: int | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> list[Run]:
    """Train several runs. Runs with the same architecture, loss and steps train as one stack.

    Learning rate, weight decay, betas, noise, seeds, split and corruption may differ within a
    stack. Alone and in a stack a run gives the same result up to rounding. A thousand steps may
    amplify rounding to a few different examples and neurons, but not to a different phase.

    Args:
        configs: one per run.
        device: where to train; None takes CUDA if available. Results are on the CPU.
        precision: "float32"; "bfloat16"; "float64"; or, only on CUDA, "tf32". In "bfloat16",
            weights, gradients, losses and the optimiser are stored in float32. An MLP is in
            bfloat16 from its tables to its logits, and back; of a transformer on a CPU, the matrix
            products and the neurons are. All other networks, also an MLP with a norm or in
            mini-batches, are computed under ``torch.autocast``.
        probes: name -> function of the hooked model, called at every evaluated step. It returns a
            number or an array, which becomes a variable of ``run.history``.
        checkpoints: name -> rule, such as ``reached(train_accuracy=0.99)`` or ``at_step(500)``.
            The network at the first evaluated step at which the rule is true becomes
            ``run.checkpoints[name]``; if it is never true, there is no such checkpoint.
        start: for each run, a checkpoint to start from, or None for weights drawn from its seed.
            The optimiser's moments are used if the checkpoint has them. Steps count from 0 again,
            and ``decoupled_init`` decays towards the checkpoint's weights.
        memory_limit: bytes, or a string such as "4 GiB", for runs in training; larger stacks are
            trained in chunks. None: half of the free memory. Returned runs are not counted; they
            take about 1 MB each at the papers' size.
        threads: CPU threads to use; None: as many as torch uses.
        callbacks: notified of every evaluated step and finished run; see
            :class:`~grokinterp.tracking.Callback`.
        progress: show one progress bar for all runs, in a terminal or a notebook.

    Returns:
        One :class:`~grokinterp.Run` per config, in order.

    Raises:
        TrainingInterrupted: Ctrl-C was pressed. It is a KeyboardInterrupt whose ``runs`` are the
            runs so far. The current step is finished first; a second Ctrl-C loses the runs in
            training.
        MemoryError: a single run does not fit onto the CUDA device. Stacks that do not fit are
            halved, and training goes on.
        RuntimeError: the CUDA device failed; this process cannot use it again.

    Warns:
        DivergenceWarning: a loss became NaN or infinite. That run stops at step ``diverged_at``
            and its history ends before it; the other runs continue.
        ZeroLossWarning: at least half of a run's training examples reached a loss of exactly 0 in
            this precision, so they no longer train; ``zero_loss_share`` in the history is the
            share at each step.
        RuntimeWarning: results are the same, but training takes longer than it could: ``threads``
            is more than the cores; or, once per process, this CPU has no bfloat16 instructions, or
            torch cannot flush denormal numbers on it; or the training step could not be captured
            as a CUDA graph.

    Examples:
        >>> import grokinterp as gi
        >>> base = gi.RunConfig().replace({"data.p": 11, "training.steps": 100})
        >>> configs = [base.replace({"training.weight_decay": decay}) for decay in (0.0, 20.0)]
        >>> plain, decayed = gi.train_many(configs)
        >>> bool(decayed.history.norm[-1].sum() < plain.history.norm[-1].sum())
        True
    """
    configs = list(configs)
    resources = Resources(
        device=device, precision=precision, memory_limit=memory_limit, threads=threads
    )
    runs: dict[int, Run] = {}
    tell = Dispatch(callbacks, configs, ProgressBar(wanted=progress))
    interrupt = Interrupt()
    each = train_each(
        configs,
        resources,
        probes=probes,
        checkpoints=checkpoints,
        start=start,
        observer=tell,
        stop=lambda: interrupt.asked,
    )
    try:
        with tell, interrupt:
            for i, run in each:
                runs[i] = run
                warn_of_divergence(i, run)
                warn_of_zero_loss(i, run)
                if run.interrupted_at is None:
                    tell.on_finish(i, run.config, final_metrics(run))
            if interrupt.asked:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise TrainingInterrupted([runs.get(i) for i in range(len(configs))]) from None
    return [runs[i] for i in range(len(configs))]


def train_each(
    configs: Sequence[RunConfig],
    resources: Resources,
    *,
    probes: Mapping[str, Probe] | None = None,
    checkpoints: Mapping[str, Rule] | None = None,
    start: Sequence[Checkpoint | None] | None = None,
    observer: Callback | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Run]]:
    """Like :func:`train_many`, but yield (index, run) pairs as their stacks finish.

    One stack is in memory at a time, so thousands of runs can be processed one after another.
    Invalid arguments raise at the call, not at the first iteration. ``observer`` is notified of
    steps and evaluations. ``stop`` is called after every step; once it returns True, the runs of
    this stack are yielded unfinished and no more stacks begin. There are no warnings of divergence
    or of losses of 0.
    """
    stacks = plan(configs, resources)
    job = _Job(
        resources=resources,
        probes=check_probes(probes),
        rules=check_rules(checkpoints),
        start=check_starts(start, configs),
        told=None if observer is None else Told(observer),
        stop=stop,
    )
    return _train_stacks(configs, stacks, job)


def _train_stacks(
    configs: Sequence[RunConfig], stacks: list[list[int]], job: "_Job"
) -> Iterator[tuple[int, Run]]:
    """Train one stack after another, in smaller ones where the device's memory is too small."""
    while stacks and not job.stop():
        members, *stacks = stacks
        with named_device_errors(job.resources.place):
            runs = _train_stack(configs, members, job)
        if runs is None:
            if len(members) == 1:
                raise too_little_memory(configs[members[0]], job.resources)
            stacks = halved([members, *stacks])
        else:
            yield from zip(members, runs, strict=True)


def final_metrics(run: Run) -> dict[str, float]:
    """The last row of a run's history without norms and probes; empty if there are no rows."""
    if not run.history.sizes["step"]:
        return {}
    variables = run.history.variables  # selecting a row of a Dataset takes milliseconds
    return {name: float(variables[name].values[-1]) for name in METRICS}


@dataclass(frozen=True, kw_only=True)
class _Job:
    """The arguments that all stacks of one :func:`train_each` share."""

    resources: Resources
    probes: dict[str, Probe]
    rules: dict[str, Rule]
    start: Sequence[Checkpoint | None]  # one per config
    told: Told | None
    stop: Callable[[], bool]


def _train_stack(
    configs: Sequence[RunConfig], members: Sequence[int], job: _Job
) -> list[Run] | None:
    """The runs of one stack; None if the device ran out of memory."""
    try:
        return _train_together(configs, members, job)
    except torch.cuda.OutOfMemoryError:
        pass  # the error's frames hold the stack, whose memory is free only after this clause
    gc.collect()  # hooked models are reference cycles
    return None


def _train_together(configs: Sequence[RunConfig], members: Sequence[int], job: _Job) -> list[Run]:
    started = time.perf_counter()
    workers = job.resources.workers  # before the session below, in which torch uses one thread
    training = configs[members[0]].training
    evaluated, precision = frozenset(training.evaluated_steps), job.resources.precision
    with (
        own_session("high" if precision == "tf32" else "highest"),
        Team(workers) as team,
    ):
        start = [job.start[i] for i in members]
        stack = Stack([configs[i] for i in members], job.resources, team, start=start)
        recorder = Recorder(stack, job.probes, job.rules, members)
        stopped = False
        for step in range(training.steps + 1):
            if step:
                stack.step()
                if job.told is not None:
                    job.told.steps(members, step)
            stopped = job.stop()
            if step in evaluated or stopped:
                recorder.record(step)
                if job.told is not None:
                    job.told.row(step, recorder.alive())
                if stopped or not bool(stack.alive.any()):
                    break
        if job.told is not None and not stopped:  # steps are left if all runs have diverged
            job.told.steps(members, training.steps)
        return recorder.runs(precision, time.perf_counter() - started)
