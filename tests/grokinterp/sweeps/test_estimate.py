from collections.abc import Callable, Mapping

import pytest
import torch

import grokinterp as gi
from grokinterp.sweeps import estimate as estimate_module
from grokinterp.sweeps.estimate import estimate, in_words
from grokinterp.training.minibatches import batch_rows
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

BASE = gi.RunConfig(
    data=gi.DataConfig(p=31, corruption=0.3),
    model=gi.MLPConfig(d_mlp=128),
    training=gi.TrainConfig(steps=400),
)
FRACTIONS = (0.2, 0.3, 0.8)  # not evenly spread, so that their order in time matters


def configs(times: int = 1, changes: Mapping[str, object] | None = None) -> list[gi.RunConfig]:
    base = BASE.replace(changes or {})
    return [
        base.replace({"data.train_fraction": a, "seed": s}) for s in range(times) for a in FRACTIONS
    ]


def seconds(runs: list[gi.RunConfig], **options: object) -> float:
    return estimate(runs, resources=Resources(device="cpu"), **options).seconds  # pyright: ignore[reportArgumentType]


def test_nothing_left_takes_no_time() -> None:
    nothing = estimate([])
    assert (nothing.seconds, nothing.runs, nothing.steps) == (0.0, 0, 0)
    assert str(nothing) == "no time"


def test_what_is_left_is_counted() -> None:
    found = estimate(configs(2), resources=Resources(device="cpu"))
    assert found.runs == 6
    assert found.steps == 2400


class Clock:
    """Time that passes in steps, evaluations and measures alone, as much as they are said to take.

    A step takes ``step(config)`` seconds for each run of the stack, an evaluation ``row``.
    """

    def __init__(self, step: Callable[[gi.RunConfig], float], row: float = 0.0) -> None:
        self.now, self.steps, self._step, self._row = 0.0, 0, step, row

    def start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the estimate look at this clock, and training move it."""
        monkeypatch.setattr(estimate_module.time, "perf_counter", lambda: self.now)
        step, evaluate = Stack.step, Stack.evaluate

        def slow_step(stack: Stack) -> None:
            step(stack)
            self.steps += 1
            self.now += sum(map(self._step, stack.state.configs))

        def slow_evaluate(stack: Stack) -> torch.Tensor:
            self.now += self._row * len(stack.state.configs)
            return evaluate(stack)

        monkeypatch.setattr(Stack, "step", slow_step)
        monkeypatch.setattr(Stack, "evaluate", slow_evaluate)

    def measure(self, run: gi.Run) -> float:
        """A measure that takes a quarter of a second."""
        self.now += 0.25
        return 0.0


@pytest.mark.parametrize("changes", [{}, {"training.batch_size": 50}, {"model.d_mlp": 20}])
def test_the_estimate_comes_true(
    monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, object]
) -> None:
    """On a clock on which examples, neurons, rows and measures each take their time.

    The row at step 0 is timed with what is done once, and counted with the rows as well.
    """
    small = {"data.p": 7, "model.d_mlp": 8, "training.steps": 60} | dict(changes)

    def step(config: gi.RunConfig) -> float:
        return 2e-3 + 1e-5 * batch_rows(config) + 1e-6 * config.model.d_mlp  # pyright: ignore[reportAttributeAccessIssue]

    clock = Clock(step, row=0.03)
    clock.start(monkeypatch)
    measure = {"slow": clock.measure}
    guess = seconds(configs(2, small), measure=measure)
    began = clock.now
    gi.sweep(
        BASE.replace(small),
        {"data.train_fraction": FRACTIONS},
        seeds=2,
        measure=measure,
        device="cpu",
        progress=False,
    )
    rows_at_0 = 6 * 0.03
    assert guess == pytest.approx(clock.now - began + rows_at_0, rel=1e-6)


def test_time_grows_with_runs_steps_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every step taking 2 ms and 1 ms per 100 examples, and every row 10 ms, exactly."""

    def times(config: gi.RunConfig, *_: object) -> estimate_module._Times:
        return estimate_module._Times(step=2e-3 + config.data.n_train * 1e-5, row=0.01, fixed=0.5)

    monkeypatch.setattr(estimate_module, "_time", times)

    def expected(fraction: float, steps: int, rows: int) -> float:
        return steps * (2e-3 + int(fraction * 31**2) * 1e-5) + rows * 0.01 + 0.5

    once = sum(expected(a, 400, 41) for a in FRACTIONS)
    assert seconds(configs()) == pytest.approx(once)
    assert seconds(configs(5)) == pytest.approx(5 * once)
    longer = sum(expected(a, 800, 81) for a in FRACTIONS)
    assert seconds(configs(changes={"training.steps": 800})) == pytest.approx(longer)
    sparse = sum(expected(a, 400, 2) for a in FRACTIONS)
    assert seconds(configs(changes={"training.eval_every": 400})) == pytest.approx(sparse)
    # Four workers, blocks of one run: a quarter, but never less than the dearest block takes.
    assert seconds(configs(8), workers=4, per_block=1) == pytest.approx(2 * once)
    assert seconds(configs(), workers=9, per_block=1) == pytest.approx(expected(0.8, 400, 41))


def test_a_lap_of_a_stack_is_shared_by_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of 4 runs that take .4 s each are .1 s for one run; a row of .8 s is .2 s."""
    now = 0.0
    monkeypatch.setattr(estimate_module.time, "perf_counter", lambda: now)
    clock = estimate_module._Clock(torch.device("cpu"))
    for run in range(4):  # the row at step 0, with the stack's start in it
        clock.on_evaluation(run, 0, {})
    for seconds in (1.0, 0.4, 0.4):
        now += seconds
        clock.on_step(4)
    now += 0.8
    for run in range(4):
        clock.on_evaluation(run, 3, {})
    assert estimate_module._rate(clock.steps) == pytest.approx(
        0.1
    )  # without the first, which warms up
    assert estimate_module._rate(clock.rows) == pytest.approx(0.2)


def test_every_program_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []

    def times(config: gi.RunConfig, *_: object) -> estimate_module._Times:
        timed.append((config.model.d_mlp, config.training.dropout > 0, config.data.n_train))
        return estimate_module._Times(step=config.model.d_mlp * 1e-3, row=0.0, fixed=0.0)

    monkeypatch.setattr(estimate_module, "_time", times)
    wide = configs(changes={"model.d_mlp": 256})
    noisy = configs(changes={"training.dropout": 0.3})
    total = seconds([*configs(), *wide, *noisy, *configs(changes={"training.dropout": 0.6})])
    assert total == pytest.approx(3 * 400 * (0.128 + 0.256 + 2 * 0.128))
    assert {t[:2] for t in timed[1:]} == {(128, False), (256, False), (128, True)}
    assert {t[2] for t in timed[1:]} == {int(0.2 * 961), int(0.8 * 961)}


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="precision='half' is unknown"):
        estimate(configs(), resources=Resources(precision="half"))
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        estimate(configs(), workers=0)


def test_torch_threads_stay_as_they_are() -> None:
    before = torch.get_num_threads()
    estimate(configs(), workers=2, resources=Resources(device="cpu", threads=1))
    assert torch.get_num_threads() == before


def test_slow_steps_are_timed_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 2 s: two of them for the fewest and for the most examples, after the warm-up."""
    clock = Clock(lambda config: 2.0 if config.data.p == 31 else 0.0)
    clock.start(monkeypatch)
    assert seconds(configs()) == pytest.approx(3 * 400 * 2.0)
    warm_up = estimate_module._WARM_UP.training.steps
    assert clock.steps == 2 + 2 + warm_up


@pytest.mark.parametrize("name", ["per_block", "workers"])
def test_an_estimate_needs_runs_and_workers(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        estimate(configs(), **{name: 0})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "no time"),
        (0.3, "less than a second"),
        (42.4, "about 42 s"),
        (89, "about 89 s"),
        (100, "about 2 min"),
        (59.4 * 60, "about 59 min"),
        (59.6 * 60, "about 1 h"),
        (2 * 3600 + 11 * 60, "about 2 h 10 min"),
        (3 * 3600 + 57 * 60, "about 4 h"),
        (47.9 * 3600, "about 47 h 50 min"),
        (49 * 3600, "about 2 days 1 h"),
        (72.2 * 3600, "about 3 days"),
    ],
)
def test_durations_in_words(amount: float, words: str) -> None:
    assert in_words(amount) == words
