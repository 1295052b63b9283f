"""One training step at the papers' default setting (p 97, N 500, alpha 0.5).

Alone, and per run in a stack of 16.

Baselines, timed in turn with the subject: the plain loop (one-hot input, two ``nn.Linear``,
``nn.MSELoss``, ``optim.AdamW``), and the step's three irreducible matrix products.
"""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

import grokinterp as gi
from grokinterp.team import Team
from grokinterp.training.recorder import Recorder
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

DEFAULT = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
RUNS = 16  # in a stack
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Quadratic(torch.nn.Module):
    """The network as everyone writes it."""

    def __init__(self, p: int, width: int) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(2 * p, width, bias=False)
        self.fc2 = torch.nn.Linear(width, p, bias=False)

    def forward(self, one_hot: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(one_hot) ** 2)


def plain_loop() -> Callable[[], object]:
    data = gi.make_dataset(DEFAULT.data)
    one_hot = F.one_hot(data.tokens[data.is_train], 97).flatten(1).float()
    target = F.one_hot(data.labels[data.is_train], 97).float()
    model, loss = Quadratic(97, 500), torch.nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.0)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(one_hot), target).backward()
        optimizer.step()

    return step


def products(dtype: torch.dtype) -> Callable[[], object]:
    """Forward, and backward to the output weights and to the activations; memory reused."""
    examples, width, p = DEFAULT.data.n_train, 500, 97
    rng = torch.Generator().manual_seed(0)
    post, logits, W_U = (
        torch.randn(shape, generator=rng).to(dtype)
        for shape in ((examples, width), (examples, p), (width, p))
    )
    out, grad_W, grad_post = (torch.empty_like(x) for x in (logits, W_U, post))

    def three() -> None:
        torch.mm(post, W_U, out=out)
        torch.mm(post.T, logits, out=grad_W)
        torch.mm(logits, W_U.T, out=grad_post)

    return three


@pytest.mark.parametrize("threads", [2, 1], indirect=True)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_step(precision: str, threads: int, compare: Callable[..., None]) -> None:
    baselines = {"plain loop": plain_loop(), "products": products(PRECISIONS[precision])}
    on_cpu = Resources(device="cpu", precision=precision)
    with Team(threads) as team:
        stack = Stack([DEFAULT], on_cpu, team)
        compare(stack.step, baselines, burst=10)


@pytest.mark.parametrize("threads", [2, 1], indirect=True)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_history(precision: str, threads: int, compare: Callable[..., None]) -> None:
    """Ten steps and a row of the history."""
    on_cpu = Resources(device="cpu", precision=precision)

    def ten(stack: Stack) -> None:
        for _ in range(10):
            stack.step()

    with Team(threads) as team:
        recorded, plain = (Stack([DEFAULT], on_cpu, team) for _ in range(2))
        recorder = Recorder(recorded, {}, {}, [0])

        def ten_and_a_row() -> None:
            ten(recorded)
            recorder.record(recorded.steps_done)

        compare(ten_and_a_row, {"ten steps": lambda: ten(plain)})


def made_late(stack: Stack) -> None:
    """Scale neurons as a weight decay of 15 leaves them after 1500 steps.

    There (train fraction .65, corruption .2), 22 of 500 neurons were zero and 80 lay between 1e-38
    and 1e-4, evenly in the logarithm; so do their momenta, and their squares.
    """
    factor = torch.ones(500)
    factor[:80] = 10.0 ** -torch.linspace(4, 38, 80)
    factor[80:102] = 0.0
    second = stack.optimizer.second
    assert second is not None
    for rows, power in ((stack.state.weights, 1), (stack.optimizer.first, 1), (second, 2)):
        named = stack.state.named(rows)
        named["W_E"].mul_(factor**power)
        named["W_U"].mul_(factor[:, None] ** power)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_late_step(precision: str, threads: int, compare: Callable[..., None]) -> None:
    """Of a network with dying neurons, whose products are denormal unless these are flushed."""
    config = DEFAULT.replace({"training.weight_decay": 15.0})
    on_cpu = Resources(device="cpu", precision=precision)
    with Team(threads) as team:
        late, fresh = (Stack([config], on_cpu, team) for _ in range(2))
        for _ in range(5):
            late.step()
        made_late(late)
        compare(late.step, {"fresh network": fresh.step}, burst=5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("weight_decay", [15.0, 20.0])
def test_long_run(weight_decay: float, precision: str, compare: Callable[..., None]) -> None:
    """All 2000 steps, at p 31 and 128 neurons."""
    small = DEFAULT.replace({"data.p": 31, "model.d_mlp": 128, "training.eval_every": 100})
    decayed = small.replace({"training.weight_decay": weight_decay})

    def train(config: gi.RunConfig) -> None:
        gi.train(config, precision=precision, progress=False)

    without = {"weight decay 0": lambda: train(small)}
    compare(lambda: train(decayed), without)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_stack_of_16(precision: str, threads: int, compare: Callable[..., None]) -> None:
    configs = [DEFAULT.replace({"seed": seed}) for seed in range(RUNS)]
    on_cpu = Resources(device="cpu", precision=precision)
    with Team(threads) as team:
        stack = Stack(configs, on_cpu, team)
        singles = itertools.cycle([Stack([config], on_cpu, team) for config in configs])
        compare(
            stack.step,
            {
                "single run": lambda: next(singles).step(),
                "plain loop": plain_loop(),
                "products": products(PRECISIONS[precision]),
            },
            burst=3,
            per=RUNS,
        )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_train_with_its_evaluations(
    precision: str, threads: int, compare: Callable[..., None]
) -> None:
    """All of ``gi.train``, set-up and a history row every 10 steps included, per step."""
    steps = 200
    config = DEFAULT.replace({"training.steps": steps})

    def train() -> None:
        gi.train(config, precision=precision, progress=False)

    with Team(threads) as team:
        stack = Stack([config], Resources(device="cpu", precision=precision), team)
        baselines = {"plain loop": plain_loop(), "step": stack.step}
        compare(train, baselines, per=steps)
