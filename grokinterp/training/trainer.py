"""The one trainer: many runs of one architecture as a stack; a single run is a stack of one."""

import time
from collections.abc import Iterable, Mapping

import torch
from tqdm.auto import tqdm

from grokinterp._checks import check_choice
from grokinterp.config import RunConfig
from grokinterp.runs import Run
from grokinterp.team import Team
from grokinterp.training.history import RESERVED
from grokinterp.training.recorder import Probe, Recorder
from grokinterp.training.stack import PRECISIONS, Stack


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
    configs: Iterable[RunConfig],
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    probes: Mapping[str, Probe] | None = None,
    progress: bool = True,
) -> list[Run]:
    """Train runs together; those that share an architecture, loss and steps form one stack.

    Learning rate, weight decay, betas, seeds, split and corruption may differ within a stack. A
    run is a function of its config: alone or in a stack it is the same up to rounding, which a
    thousand steps amplify to a few examples and neurons, not to another phase.

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
    configs = list(configs)
    for config in configs:
        if not isinstance(config, RunConfig):
            raise TypeError(f"configs must be RunConfigs, got {config!r}")
    for name in probes or {}:
        if name in RESERVED:
            raise ValueError(
                f"probes has {name!r}, which the history holds already; choose another name"
            )
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
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    # Grad modes are per thread; the caller's own must not make workers' tensors differ from ours.
    with torch.inference_mode(False), torch.no_grad(), Team(workers) as team:
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
    with torch.inference_mode(False):
        return recorder.runs(precision, time.perf_counter() - started)
