import time
from collections.abc import Iterator, Mapping

import jaxtyping
import pytest
import torch

import grokinterp as gi
from analyses.phase_diagrams.measures import MEASURES
from grokinterp.sweeps.estimate import estimate, in_words
from grokinterp.training.resources import Resources

BASE = gi.RunConfig(
    data=gi.DataConfig(p=31, corruption=0.3),
    model=gi.MLPConfig(d_mlp=128),
    training=gi.TrainConfig(steps=400),
)
FRACTIONS = (0.2, 0.5, 0.8)


@pytest.fixture(autouse=True, scope="module")
def no_type_checker() -> Iterator[None]:
    """The import hook's checks would be timed too."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


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


def test_the_estimate_comes_true() -> None:
    """Within a factor of two on a quiet machine; three here, and the best of a few tries."""
    ratios = []
    for _ in range(3):
        guess = seconds(configs(2), measure=MEASURES)
        began = time.perf_counter()
        gi.sweep(
            BASE, {"data.train_fraction": FRACTIONS}, seeds=2, measure=MEASURES,
            device="cpu", progress=False,
        )  # fmt: skip
        ratios.append(guess / (time.perf_counter() - began))
        if 0.5 < ratios[-1] < 2:
            break
    assert any(1 / 3 < ratio < 3 for ratio in ratios), ratios


def test_time_grows_with_runs_steps_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every step taking 2 ms and 1 ms per 100 examples, and every row 10 ms, exactly."""
    from grokinterp.sweeps import estimate as module

    def times(config: gi.RunConfig, *_: object) -> module._Times:
        return module._Times(step=2e-3 + config.data.n_train * 1e-5, row=0.01, fixed=0.5)

    monkeypatch.setattr(module, "_time", times)

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
    from grokinterp.sweeps import estimate as module

    now = 0.0
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    clock = module._Clock(torch.device("cpu"))
    for run in range(4):  # the row at step 0, with the stack's start in it
        clock.on_evaluation(run, 0, {})
    for seconds in (1.0, 0.4, 0.4):
        now += seconds
        clock.on_step(4)
    now += 0.8
    for run in range(4):
        clock.on_evaluation(run, 3, {})
    assert module._rate(clock.steps) == pytest.approx(0.1)  # without the first, which warms up
    assert module._rate(clock.rows) == pytest.approx(0.2)


def test_every_program_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from grokinterp.sweeps import estimate as module

    timed = []

    def times(config: gi.RunConfig, *_: object) -> module._Times:
        timed.append((config.model.d_mlp, config.training.dropout > 0, config.data.n_train))
        return module._Times(step=config.model.d_mlp * 1e-3, row=0.0, fixed=0.0)

    monkeypatch.setattr(module, "_time", times)
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


@pytest.mark.slow
def test_a_wide_network_is_timed_in_seconds() -> None:
    wide = gi.RunConfig(model=gi.MLPConfig(d_mlp=5000))
    runs = [wide.replace({"data.train_fraction": a}) for a in (0.1, 0.9)]
    began = time.perf_counter()
    assert seconds(runs) > 60
    assert time.perf_counter() - began < 30  # a few seconds on a machine that is not busy


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
