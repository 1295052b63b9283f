"""Ctrl-C while training: what is handed out, and that it is what those steps make."""

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import xarray as xr

import grokinterp as gi
from grokinterp.config import RunConfig
from grokinterp.tracking import Callback

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=7, corruption=0.3),
    model=gi.MLPConfig(d_mlp=8),
    training=gi.TrainConfig(steps=60, eval_every=10),
)


@pytest.fixture(autouse=True)
def ctrl_c_as_in_a_terminal() -> Iterator[None]:
    """Where the tests run in the background, Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # given back
    signal.signal(signal.SIGINT, before)


def press(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


class Pressed(Callback):
    """Presses Ctrl-C when a run reaches an evaluated step, and notes which runs finish."""

    def __init__(self, run: int, step: int, times: int = 1) -> None:
        self.at, self.times = (run, step), times
        self.finished: list[int] = []
        self.rows: list[tuple[int, int]] = []
        self.ended = False

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        self.rows.append((run, step))
        if (run, step) == self.at:
            press(self.times)

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        self.finished.append(run)

    def on_end(self) -> None:
        self.ended = True


def train_many(*configs: gi.RunConfig, **options: Any) -> list[gi.Run]:
    return gi.train_many(configs, device="cpu", progress=False, threads=1, **options)


def interrupted(call: Callable[[], object]) -> list[gi.Run | None]:
    with pytest.raises(gi.TrainingInterrupted) as caught:
        call()
    assert isinstance(caught.value, KeyboardInterrupt)
    return caught.value.runs


@pytest.mark.usefixtures("each_way")
def test_an_interrupted_run_is_the_one_with_fewer_steps() -> None:
    pressed = Pressed(0, 20)
    (run,) = interrupted(lambda: train_many(CONFIG, callbacks=[pressed]))
    assert run is not None
    assert run.interrupted_at == 21  # the next step was under way: it is finished
    assert run.config == CONFIG
    short = gi.train(CONFIG.replace({"training.steps": 21}), device="cpu", progress=False)
    assert short.interrupted_at is None
    xr.testing.assert_equal(run.history, short.history)
    assert run.history.step.values.tolist() == [0, 10, 20, 21]
    for name, weight in short.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], weight)
    assert (pressed.finished, pressed.ended) == ([], True)
    assert pressed.rows[-1] == (0, 21)


def test_finished_stacks_are_kept_and_later_ones_never_begin() -> None:
    configs = [CONFIG, CONFIG.replace({"data.p": 5}), CONFIG.replace({"data.p": 11})]
    message = "1 of 3 runs are finished, 1 stopped after 31 of 60 steps; they are this exception's "
    with pytest.raises(gi.TrainingInterrupted, match=message + r"\.runs") as caught:
        train_many(*configs, callbacks=[Pressed(1, 30)])
    first, second, third = caught.value.runs
    assert first is not None
    assert (first.interrupted_at, int(first.history.step[-1])) == (None, 60)
    assert second is not None
    assert (second.config.data.p, second.interrupted_at) == (5, 31)
    assert third is None


def test_a_second_ctrl_c_stops_at_once_and_keeps_finished_runs() -> None:
    pressed = Pressed(1, 30, times=2)
    configs = (CONFIG, CONFIG.replace({"data.p": 5}))
    first, second = interrupted(lambda: train_many(*configs, callbacks=[pressed]))
    assert first is not None
    assert first.interrupted_at is None
    assert second is None
    assert pressed.rows[-1] == (1, 30)
    assert pressed.finished == [0]
    assert pressed.ended


@pytest.mark.filterwarnings("ignore::grokinterp.DivergenceWarning")
def test_a_run_that_diverged_before_is_not_unfinished() -> None:
    diverging = CONFIG.replace({"training.lr": 1e6})
    kept, diverged = interrupted(lambda: train_many(CONFIG, diverging, callbacks=[Pressed(0, 50)]))
    assert kept is not None
    assert diverged is not None
    assert (kept.interrupted_at, kept.diverged_at) == (51, None)
    assert diverged.interrupted_at is None
    assert diverged.diverged_at is not None


def test_ctrl_c_after_the_last_step_loses_nothing_and_still_interrupts() -> None:
    (run,) = interrupted(lambda: train_many(CONFIG, callbacks=[Pressed(0, 60)]))
    assert run is not None
    assert run.interrupted_at is None


def test_ctrl_c_before_the_first_step() -> None:
    class AtStart(Callback):
        def on_start(self, configs: object) -> None:
            press()

    assert interrupted(lambda: train_many(CONFIG, callbacks=[AtStart()])) == [None]


def test_what_else_ctrl_c_was_to_do_it_still_does() -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        (run,) = train_many(CONFIG, callbacks=[Pressed(0, 20)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]
    assert run.interrupted_at is None


def test_training_in_another_thread_leaves_signals_alone() -> None:
    with ThreadPoolExecutor(1) as pool:
        (run,) = pool.submit(train_many, CONFIG).result()
    assert run.interrupted_at is None
