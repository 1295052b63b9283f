import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import grokinterp as gi
from grokinterp.bars import each, progress_bar

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4), training=gi.TrainConfig(steps=20)
)


def test_a_terminal_gets_bars(tmp_path: Path, terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    gi.train(CONFIG)
    assert "1/1 runs trained: 100%" in stderr.getvalue()
    gi.sweep(CONFIG, {"training.lr": [0.1, 0.2]}, store=tmp_path / "s.zarr")
    assert "2/2 runs trained: 100%" in stderr.getvalue()


def test_a_bar_ends_with_the_accuracies_of_the_last_row(
    terminal: Callable[[], io.StringIO],
) -> None:
    stderr = terminal()
    run = gi.train(CONFIG)
    test, train = (float(run.history[f"{name}_accuracy"][-1]) for name in ("test", "train"))
    assert run.history.train_accuracy[0] != train  # that of an earlier row would show
    last = stderr.getvalue().strip().split("\r")[-1]
    assert f"train={train:.3f}, test={test:.3f}" in last


def test_no_bar_if_it_is_not_wanted(terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    gi.train(CONFIG, progress=False)
    assert stderr.getvalue() == ""


def test_a_log_file_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    gi.train_many([CONFIG, CONFIG.replace({"seed": 1})])
    gi.sweep(CONFIG, {"training.lr": [0.1, 0.2]}, store=tmp_path / "s.zarr")
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("config", "shown"), [({"IPKernelApp": {}}, True), ({"TerminalIPythonApp": {}}, False)]
)
def test_a_notebook_gets_bars(
    config: dict[str, object], shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel's stderr is no terminal, but somebody looks at the page."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "IPython", shell)  # pyright: ignore[reportArgumentType]
    with progress_bar(10, unit="step", desc="x", wanted=True) as bar:
        assert bar.disable is not shown


def test_a_bar_over_items_goes_when_they_are_through(terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    assert list(each("abc", "letters", wanted=True)) == ["a", "b", "c"]
    assert "letters:   0%|" in stderr.getvalue()
    assert stderr.getvalue().rpartition("\r")[0].endswith(" ")  # blanks over the bar
    before = stderr.getvalue()
    assert list(each("abc", "letters", wanted=False)) == ["a", "b", "c"]
    assert stderr.getvalue() == before


def test_no_stderr_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    gi.train(CONFIG)
