"""The one trainer: many runs of one architecture as a stack; a single run is a stack of one."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch

from grokinterp._bar import progress_bar
from grokinterp._checks import check_choice, check_int
from grokinterp._limits import MAX_THREADS
from grokinterp._short import short
from grokinterp.checkpoints import Checkpoint
from grokinterp.config import RunConfig
from grokinterp.runs import Run
from grokinterp.session import own_session
from grokinterp.team import Team, available_threads
from grokinterp.tracking import Callback
from grokinterp.tracking.dispatch import Dispatch
from grokinterp.training.divergence import warn_of_divergence
from grokinterp.training.evaluation import METRICS
from grokinterp.training.history import Probe, check_probes
from grokinterp.training.interrupt import Interrupt, TrainingInterrupted
from grokinterp.training.plan import plan
from grokinterp.training.recorder import Recorder
from grokinterp.training.rules import Rule, check_rules, check_starts
from grokinterp.training.stack import Stack
from grokinterp.training.state import PRECISIONS
from grokinterp.training.zero_loss import warn_of_zero_loss

if TYPE_CHECKING:
    from tqdm import tqdm

    Bar = tqdm[Any]
else:
    Bar = Any


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
    """Train one run. A stack of one: see :func:`train_many` for the arguments."""
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
    """Train runs together; those that share an architecture, loss and steps form one stack.

    Learning rate, weight decay, betas, noise, seeds, split and corruption may differ within a
    stack. A run is a function of its config: alone or in a stack it is the same up to rounding,
    which a thousand steps amplify to a few examples and neurons, not to another phase.

    Args:
        configs: one per run.
        device: where to train; None takes CUDA if there is one. Results come back on the CPU.
        precision: "float32"; "bfloat16" for the operands of matrix products, with float32
            weights; "float64"; or, on CUDA, "tf32".
        probes: name -> function of the hooked model, called at every evaluated step; numbers or
            arrays, which become variables of ``run.history``.
        checkpoints: name -> rule, such as ``reached(train_accuracy=0.99)`` or ``at_step(500)``;
            the network at the first evaluated step at which the rule is true becomes
            ``run.checkpoints[name]``. A rule that never was leaves no checkpoint.
        start: for each run a checkpoint whose weights it starts from, with the optimiser's moments
            if it has them; None: weights drawn from its seed. Steps count from 0 again, and
            ``decoupled_init`` pulls back to the checkpoint.
        memory_limit: bytes, or a text such as "4 GiB", for runs in training; larger stacks are
            trained in chunks. None: half of the memory that is free. The runs returned come on
            top, about 1 MB each at the papers' size.
        threads: CPU threads to use; None: as many as torch uses.
        callbacks: told about every evaluated step and finished run; see
            :class:`~grokinterp.tracking.Callback`.
        progress: show one progress bar for all runs, in a terminal or a notebook.

    Returns:
        One :class:`~grokinterp.Run` per config, in order.

    Raises:
        TrainingInterrupted: Ctrl-C; a KeyboardInterrupt whose ``runs`` are what was trained so far.
            The step under way is finished first; a second Ctrl-C loses the runs that are in
            training.

    Warns:
        DivergenceWarning: a loss became NaN or infinite. That run stops there, ``diverged_at``
            says at which step, and its history ends before it; the others go on.
        ZeroLossWarning: half of a run's training examples, or more, came to a loss of exactly 0 in
            this precision, so that they no longer train; ``zero_loss_share`` of its history says
            how many at each step.
    """
    configs = list(configs)
    check_training(configs, device, precision, memory_limit)
    total = sum(config.training.steps for config in configs)
    runs: dict[int, Run] = {}
    bar = progress_bar(total, unit="step", desc="training", wanted=progress)
    try:
        with Dispatch(callbacks, configs) as tell, bar, Interrupt() as interrupt:
            for i, run in train_each(
                configs,
                device=device,
                precision=precision,
                probes=probes,
                checkpoints=checkpoints,
                start=start,
                memory_limit=memory_limit,
                threads=threads,
                tell=tell,
                bar=bar,
                stop=lambda: interrupt.asked,
            ):
                runs[i] = run
                warn_of_divergence(i, run)
                warn_of_zero_loss(i, run)
                if run.interrupted_at is None:
                    tell.on_finish(i, final_metrics(run))
                    bar.set_description(f"{len(runs)}/{len(configs)} runs trained", refresh=False)
            if interrupt.asked:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise TrainingInterrupted([runs.get(i) for i in range(len(configs))]) from None
    return [runs[i] for i in range(len(configs))]


def train_each(
    configs: Sequence[RunConfig],
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    checkpoints: Mapping[str, Rule] | None = None,
    start: Sequence[Checkpoint | None] | None = None,
    memory_limit: int | str | None = None,
    threads: int | None = None,
    tell: Dispatch | None = None,
    bar: Bar | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Run]]:
    """Like :func:`train_many`, but hand out runs with their positions as their stacks finish.

    One stack is in memory at a time, so thousands of runs can be reduced as they come. Bad
    arguments are refused at once, before the first run is asked for. Once ``stop()``, which is
    asked after every step, is true, the runs of this stack come unfinished and no others begin.
    Nobody is warned of runs that diverged or whose losses vanished.
    """
    place = check_training(configs, device, precision, memory_limit)
    if threads is not None:
        check_int("threads", threads, minimum=1, maximum=MAX_THREADS)
    job = _Job(
        device=place,
        precision=precision,
        probes=check_probes(probes),
        rules=check_rules(checkpoints),
        start=check_starts(start, configs),
        workers=(threads or available_threads()) if place.type == "cpu" else 1,
        tell=tell,
        bar=bar,
        stop=stop,
    )
    itemsize = PRECISIONS[precision][0].itemsize
    stacks = plan(configs, place, itemsize=itemsize, memory_limit=memory_limit)
    return (
        (i, run)
        for members in takewhile(lambda _: not stop(), stacks)
        for i, run in zip(members, _train_stack(configs, members, job), strict=True)
    )


def final_metrics(run: Run) -> dict[str, float]:
    """The last row of a run's history, norms and probes left out; empty if there is none."""
    if not run.history.sizes["step"]:
        return {}
    last = run.history.isel(step=-1)
    return {name: float(last[name]) for name in METRICS}


@dataclass(frozen=True, kw_only=True)
class _Job:
    """How stacks are trained, and who wants to know."""

    device: torch.device
    precision: str
    probes: dict[str, Probe]
    rules: dict[str, Rule]
    start: Sequence[Checkpoint | None]  # one per config
    workers: int
    tell: Dispatch | None
    bar: Bar | None
    stop: Callable[[], bool]


def _train_stack(configs: Sequence[RunConfig], members: Sequence[int], job: _Job) -> list[Run]:
    started = time.perf_counter()
    training = configs[members[0]].training
    evaluated = frozenset(training.evaluated_steps)
    with (
        own_session("high" if job.precision == "tf32" else "highest"),
        Team(job.workers) as team,
    ):
        stack = Stack(
            [configs[i] for i in members], job.device, job.precision, team,
            start=[job.start[i] for i in members],
        )  # fmt: skip
        recorder = Recorder(stack, job.probes, job.rules, members)
        stopped = False
        for step in range(training.steps + 1):
            if step:
                stack.step()
                if job.bar is not None:
                    job.bar.update(len(members))
            stopped = job.stop()
            if step in evaluated or stopped:
                recorder.record(step)
                if job.tell:
                    for run, metrics in recorder.alive():
                        job.tell.on_evaluation(run, step, metrics)
                if job.bar is not None:
                    job.bar.set_postfix(recorder.accuracies(), refresh=False)
                if stopped or not bool(stack.alive.any()):
                    break
        if job.bar is not None and not stopped:  # nothing is left to do for runs that all diverged
            job.bar.update(len(members) * (training.steps - stack.optimizer.steps_done))
        return recorder.runs(job.precision, time.perf_counter() - started)


def check_training(
    configs: Sequence[RunConfig],
    device: str | torch.device | None,
    precision: str,
    memory_limit: int | str | None,
) -> torch.device:
    """Refuse what cannot be trained, before anything is; return the device."""
    for config in configs:
        if not isinstance(config, RunConfig):
            raise TypeError(f"configs must be RunConfigs, got {config!r}")
    check_choice("precision", precision, PRECISIONS)
    place = _device(device)
    if precision == "tf32" and place.type != "cuda":
        raise ValueError(
            f"precision='tf32' needs a CUDA device, got device={str(place)!r}; use 'float32', or "
            "'bfloat16' for speed"
        )
    plan(configs, place, itemsize=PRECISIONS[precision][0].itemsize, memory_limit=memory_limit)
    return place


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"device={short(device)} is not a device: {error}; use 'cpu' or 'cuda'"
        ) from None
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device={str(device)!r} cannot train; use 'cpu' or 'cuda'")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for but torch sees no CUDA device; "
            "use device='cpu' or install a CUDA build of torch"
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} was asked for but torch sees {torch.cuda.device_count()} CUDA "
            "devices, numbered from 0"
        )
    return place
