"""What is timed in turn on a device: the step of a stack, its products, and the plain loop."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F

import grokinterp as gi
from grokinterp.session import own_session
from grokinterp.team import Team
from grokinterp.training.resources import PRECISIONS, Resources
from grokinterp.training.stack import Stack
from tests.benchmarks.gpu.stage import OutOfTime, Stage


def milliseconds(
    subjects: Mapping[str, Callable[[], object]],
    precision: str,
    stage: Stage,
    *,
    rounds: int,
    burst: int = 10,
) -> dict[str, float]:
    """Of each subject: the median of rounds of ``burst`` calls, in which all are timed in turn.

    "rounds" is how many there were before the stage's time was up.

    Raises:
        OutOfTime: there was not a single one.
    """
    wait = torch.cuda.synchronize if stage.device != "cpu" else (lambda: None)
    times: list[dict[str, float]] = []
    with own_session("high" if precision == "tf32" else "highest"):
        for _ in range(rounds + 1):  # the first is for warming up
            taken = {}
            for name, subject in subjects.items():
                wait()
                started = time.perf_counter()
                for _ in range(burst):
                    subject()
                wait()
                taken[name] = (time.perf_counter() - started) / burst * 1e3
            times.append(taken)
            if stage.left < 0:
                break
    if not times[1:]:
        raise OutOfTime
    medians = {name: statistics.median(taken[name] for taken in times[1:]) for name in subjects}
    return medians | {"rounds": len(times) - 1}


def stacks(
    configs: Sequence[gi.RunConfig], device: str, precision: str
) -> dict[str, Callable[[], object]]:
    """The step of a stack; on CUDA also without its graph."""
    resources, team = Resources(device=device, precision=precision, threads=1), Team(1)
    with own_session():
        made = {"stack": Stack(configs, resources, team)}
        if device != "cpu":
            made["stack without graph"] = Stack(configs, resources, team, replayed=False)
    return {name: stack.step for name, stack in made.items()}


def products(config: gi.RunConfig, runs: int, device: str, precision: str) -> Callable[[], object]:
    """Forward, and backward to the output weights and to the activations, of all runs."""
    n, width, p = config.data.n_train, config.model.d_mlp, config.data.p
    rng = torch.Generator(device).manual_seed(0)
    post, logits, W_U = (
        torch.randn(runs, *shape, generator=rng, device=device).to(PRECISIONS[precision][1])
        for shape in ((n, width), (n, p), (width, p))
    )
    out, grad_W, grad_post = (torch.empty_like(x) for x in (logits, W_U, post))

    def three() -> None:
        torch.bmm(post, W_U, out=out)
        torch.bmm(post.mT, logits, out=grad_W)
        torch.bmm(logits, W_U.mT, out=grad_post)

    return three


def plain_loop(config: gi.RunConfig, device: str) -> Callable[[], object]:
    """One run as everyone writes it, in float32."""
    data, p, width = gi.make_dataset(config.data), config.data.p, config.model.d_mlp
    one_hot = F.one_hot(data.tokens[data.is_train], p).flatten(1).float().to(device)
    target = F.one_hot(data.labels[data.is_train], p).float().to(device)
    first = torch.nn.Linear(2 * p, width, bias=False, device=device)
    second = torch.nn.Linear(width, p, bias=False, device=device)
    weights = [*first.parameters(), *second.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.98), weight_decay=0.0)

    def step() -> None:
        with torch.enable_grad():
            optimizer.zero_grad()
            F.mse_loss(second(first(one_hot) ** 2), target).backward()
            optimizer.step()

    return step
