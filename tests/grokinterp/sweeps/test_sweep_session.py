"""Refinement, callbacks and progress of a sweep."""

import io
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from grokinterp.tracking import Callback

AXES = {"training.lr": [1e-3, 1e-2, 1e-1], "data.corruption": [0.0, 0.2]}
QUIET = {"device": "cpu", "progress": False}


def ask(dataset: xr.Dataset, cells: Sequence[tuple[int, int]]) -> xr.DataArray:
    wanted = xr.zeros_like(dataset.done.any("seed"))
    for i, j in cells:
        wanted[i, j] = True
    return wanted


def column_by_column(dataset: xr.Dataset) -> xr.DataArray:
    """First the smallest learning rate; then, where that has been trained, the largest."""
    assert dataset.final_loss.isnull().all("subset").equals(~dataset.done)
    if dataset.done.any():
        return ask(dataset, [(0, 0), (0, 1), (2, 0)])
    return ask(dataset, [(0, 0), (0, 1)])


def test_refine_trains_what_it_asks_for(base: gi.RunConfig, tmp_path: Path, trained, same) -> None:
    arguments = {"axes": AXES, "seeds": 2, "refine": column_by_column, **QUIET}
    result = gi.sweep(base, store=tmp_path / "s", **arguments)
    assert len(trained) == 6
    cells = [(0, 0), (0, 1), (2, 0)]
    want = ask(result, cells)
    assert (result.done == want).all()
    whole = gi.sweep(base, AXES, 2, **QUIET)
    xr.testing.assert_allclose(
        result.final_loss.load(), whole.final_loss.where(want), rtol=1e-5, check_dim_order=True
    )
    trained.clear()
    same(gi.sweep(base, store=tmp_path / "s", **arguments), result)
    assert not trained


def test_refine_goes_on_after_an_error(base: gi.RunConfig, tmp_path: Path, trained, same) -> None:
    healthy = tmp_path / "healthy"  # a variable would be a part of the measure

    def failing(run: gi.Run) -> float:
        if run.config.training.lr == 0.1 and not healthy.exists():
            raise RuntimeError
        return 1.0

    arguments = {"axes": AXES, "seeds": 2, "refine": column_by_column, **QUIET}
    arguments |= {"measure": {"m": failing}}
    with pytest.raises(gi.MeasureError):
        gi.sweep(base, store=tmp_path / "s", **arguments)
    healthy.touch()
    trained.clear()
    result = gi.sweep(base, store=tmp_path / "s", **arguments)
    assert {config.training.lr for config in trained} == {0.1}
    same(result, gi.sweep(base, **arguments))


def test_refine_that_never_has_enough_ends(base: gi.RunConfig, trained) -> None:
    gi.sweep(base, AXES, refine=lambda dataset: ask(dataset, [(1, 1)]), **QUIET)
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda d: d.done, ValueError, r"dimensions .*'seed'.*any\(\"seed\"\)"),
        (lambda d: d.done.any(), ValueError, r"over \['training.lr', 'data.corruption'\]"),
        (lambda d: d.n_test.isel(seed=0), TypeError, "got float64"),
        (lambda d: True, TypeError, "got bool"),
        (lambda d: None, TypeError, "got NoneType"),
        (lambda d: d.done.any("seed")[:2], ValueError, r"labels .* along 'training.lr'"),
        (lambda d: d.done.any("seed")[::-1], ValueError, r"labels .* in that order"),
    ],
)
def test_refine_with_another_answer(base: gi.RunConfig, trained, answer, error, message) -> None:
    with pytest.raises(error, match=f"refine must return a boolean DataArray.*{message}"):
        gi.sweep(base, AXES, refine=answer, **QUIET)
    assert not trained


def test_refine_may_turn_its_answer(base: gi.RunConfig) -> None:
    result = gi.sweep(base, AXES, refine=lambda d: ask(d, [(2, 0)]).T, **QUIET)
    assert np.argwhere(result.done.values).tolist() == [[2, 0, 0]]


class Diary(Callback):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def on_start(self, configs) -> None:
        self.heard.append(("start", tuple(configs)))

    def on_evaluation(self, run, step, metrics) -> None:
        self.heard.append(("evaluation", run, step, dict(metrics)))

    def on_finish(self, run, config, summary) -> None:
        self.heard.append(("finish", run, config, dict(summary)))

    def on_end(self) -> None:
        self.heard.append(("end",))


def test_callbacks(base: gi.RunConfig, tmp_path: Path) -> None:
    diary = Diary()
    gi.sweep(base, AXES, 2, store=tmp_path / "s", callbacks=[diary], **QUIET)
    kinds = [what for what, *_ in diary.heard]
    assert (kinds[0], kinds[-1], len(kinds)) == ("start", "end", 2 + 12 * (3 + 1))
    configs = diary.heard[0][1]
    assert [c.training.lr for c in configs] == [lr for lr in AXES["training.lr"] for _ in range(4)]
    assert [c.seed for c in configs] == [0, 1] * 6
    finished = set()
    for *evaluations, finish in zip(*[iter(diary.heard[1:-1])] * 4, strict=True):
        what, run, config, summary = finish
        assert what == "finish"
        assert config == configs[run]
        assert [(e[0], e[1], e[2]) for e in evaluations] == [
            ("evaluation", run, step) for step in (0, 4, 8)
        ]
        alone = gi.train(config, **QUIET).history
        for step, (*_, metrics) in zip((0, 4, 8), evaluations, strict=True):
            for name, value in metrics.items():
                np.testing.assert_allclose(value, alone[name].sel(step=step), rtol=1e-5)
        assert summary.keys() == evaluations[-1][3].keys()
        finished.add(run)
    assert finished == set(range(12))

    again = Diary()  # nothing is left to train: all configs, and no runs
    gi.sweep(base, AXES, 2, store=tmp_path / "s", callbacks=[again], **QUIET)
    assert again.heard == [("start", configs), ("end",)]


def test_callbacks_end_after_an_error(base: gi.RunConfig, tmp_path: Path) -> None:
    def fails(run: gi.Run) -> float:
        return 1 / (run.config.seed - 1)

    diary, arguments = Diary(), {"store": tmp_path / "s", "chunk": 1, **QUIET}
    with pytest.raises(gi.MeasureError):
        gi.sweep(base, {}, 3, {"m": fails}, callbacks=[diary], **arguments)
    assert [what for what, *_ in diary.heard] == ["start", *["evaluation"] * 3, "finish", "end"]


@pytest.mark.parametrize("done", [0, 4])
def test_one_progress_bar(
    base: gi.RunConfig, tmp_path: Path, capsys, terminal: Callable[[], io.StringIO], done: int
) -> None:
    arguments = {"device": "cpu", "chunk": 1, "store": tmp_path / "s"}
    if done:

        def fails(dataset: xr.Dataset):
            raise AssertionError

        stop = iter([None] * done)

        class Stop(Callback):
            def on_finish(self, run, config, summary) -> None:
                next(stop)

        with pytest.raises(StopIteration):
            gi.sweep(base, AXES, progress=False, callbacks=[Stop()], **arguments)
        done += 1
    stderr = terminal()
    gi.sweep(base, AXES, **arguments)
    assert not capsys.readouterr().out
    err = stderr.getvalue()
    assert err.count("\n") == 1  # a second bar would end a second line
    steps = (6 - done) * 8
    last = err.strip().split("\r")[-1]
    assert re.search(rf"6/6 runs.*100%.*{steps}/{steps} \[.*<00:00, .*step/?s?", last), last
    assert f"{done}/6 runs trained:   0%" in err


def test_no_progress_bar(
    base: gi.RunConfig, tmp_path: Path, capsys, terminal: Callable[[], io.StringIO]
) -> None:
    stderr = terminal()
    gi.sweep(base, {}, store=tmp_path / "s", **QUIET)
    gi.sweep(base, {}, store=tmp_path / "s", device="cpu")  # nothing to do, nothing to show
    assert (capsys.readouterr().out, stderr.getvalue()) == ("", "")


def test_sweeps_in_two_threads_leave_warnings_alone(base: gi.RunConfig) -> None:
    """The second begins inside the first and outlives it."""
    began, ended = threading.Event(), threading.Event()

    class Second(Callback):
        def on_start(self, configs) -> None:
            began.set()
            assert ended.wait(60)

    class First(Callback):
        def on_start(self, configs) -> None:
            second.start()
            assert began.wait(60)

    second = threading.Thread(target=lambda: gi.sweep(base, {}, callbacks=[Second()], **QUIET))
    gi.sweep(base, {}, callbacks=[First()], **QUIET)
    ended.set()
    second.join()
    assert gi.DivergenceWarning not in [category for _, _, category, *_ in warnings.filters]
