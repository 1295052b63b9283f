"""Runs in folders: trained once, found again, refused when they are others."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.announcement import Announcement
from grokinterp.sweeps import collect as module
from grokinterp.sweeps import estimate
from grokinterp.sweeps.collect import Named, collect, folder_name

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=7), model=gi.MLPConfig(d_mlp=6), training=gi.TrainConfig(steps=4)
)
WANTED = [Named(f"run-{seed}", CONFIG.replace({"seed": seed})) for seed in range(4)]


def times(out: Path) -> dict[str, int]:
    return {file.parent.name: file.stat().st_mtime_ns for file in out.glob("*/run.json")}


def test_only_what_is_missing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Named("other", CONFIG.replace({"training.steps": 5}))  # no stack with the rest
    runs = collect(tmp_path, [*WANTED[:2], other, *WANTED[2:]], progress=False)
    assert [run.config.training.steps for run in runs] == [4, 4, 5, 4, 4]
    assert [run.config.seed for run in runs] == [0, 1, 0, 2, 3]
    assert capsys.readouterr().out == ""
    before = times(tmp_path)
    shutil.rmtree(tmp_path / "run-1")
    again = collect(tmp_path, WANTED, progress=False)
    after = times(tmp_path)
    assert [name for name in after if after[name] != before[name]] == ["run-1"]
    assert torch.equal(again[2].model.W_U, runs[3].model.W_U)


def test_what_is_missing_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sum for all runs of a command, however many stages it has; 10 s for each here."""
    monkeypatch.setattr(estimate, "_costs", lambda configs, *_: [10.0] * len(configs))
    collect(tmp_path, WANTED[:1], progress=False)
    said = str(Announcement.of(tmp_path, WANTED, afterwards=25.0))
    assert said.startswith("3 of 4 runs to train, 12 steps; time in all: about 55 s.")
    said = str(Announcement.of(tmp_path, WANTED[:1]))
    assert said == "nothing is left to train; time in all: no time"


def test_an_interruption_loses_one_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, calls = module.train_many, []

    def interrupted(configs: list[gi.RunConfig], **how: object) -> list[gi.Run]:
        calls.append(len(configs))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(configs, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "train_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path, WANTED, chunk=2, progress=False)
    assert len(times(tmp_path)) == 2
    collect(tmp_path, WANTED, chunk=2, progress=False)
    assert calls == [2, 2, 2]
    assert len(times(tmp_path)) == 4


def test_checkpoints_and_starts(tmp_path: Path) -> None:
    rules = {"half": gi.at_step(2)}
    first = collect(tmp_path, WANTED[:1], checkpoints=rules, progress=False)[0]
    on = [Named("on", CONFIG, first.checkpoints["half"])]
    again = collect(tmp_path, WANTED[:1], checkpoints=rules, progress=False)[0]
    trained = collect(tmp_path, on, progress=False)[0]
    found = collect(tmp_path, [Named("on", CONFIG, again.checkpoints["half"])], progress=False)[0]
    assert torch.equal(found.model.W_U, trained.model.W_U)
    assert not torch.equal(found.model.W_U, first.model.W_U)
    for start in (None, first.checkpoint()):
        with pytest.raises(gi.RunFolderError, match="on was trained from another start"):
            collect(tmp_path, [Named("on", CONFIG, start)], progress=False)


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    collect(tmp_path, WANTED[:1], progress=False)
    other = Named("run-0", CONFIG.replace({"training.lr": 1.0}))
    with pytest.raises(gi.RunFolderError, match=r"run-0 was trained with .*: training\.lr differ"):
        collect(tmp_path, [WANTED[1], other], progress=False)
    assert list(times(tmp_path)) == ["run-0"]  # refused before anything was trained
    with pytest.raises(ValueError, match="wanted has the folder 'run-0' twice"):
        collect(tmp_path, [WANTED[0], other], progress=False)


def test_folder_names() -> None:
    assert folder_name("3-layer ReLU MLP, 20% corrupted", "seed", 1) == (
        "3-layer-ReLU-MLP-20-corrupted-seed-1"
    )
    assert folder_name("mlp", 0.05, "wd", 1e-05) == "mlp-0.05-wd-1e-05"


def test_a_folder_that_is_taken_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "train_many", lambda *_, **__: pytest.fail("it was trained"))
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "notes.txt").write_text("mine")
    with pytest.raises(gi.RunFolderError, match="run-1 exists and is not a run folder"):
        collect(tmp_path, WANTED, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(gi.RunFolderError, match="cannot be written: Not a directory"):
        collect(tmp_path / "file", WANTED, progress=False)


def test_an_unfinished_run_is_no_run_that_is_there(tmp_path: Path) -> None:
    """As ``grokinterp train`` saves one after Ctrl-C."""
    config = WANTED[1].config
    short = config.replace({"training.steps": 2})
    run = gi.train(short, device="cpu", progress=False)
    dataclasses.replace(run, config=config, interrupted_at=2).save(tmp_path / WANTED[1].folder)
    with pytest.raises(gi.RunFolderError, match=r"is unfinished: interrupted after 2 of .* remove"):
        collect(tmp_path, WANTED, progress=False)


def test_ctrl_c_keeps_the_runs_that_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gi.train_many

    def interrupted(configs: list[gi.RunConfig], **options: Any) -> list[gi.Run]:
        first, second, *_ = real(configs, **options)
        unfinished = dataclasses.replace(second, interrupted_at=1)
        raise gi.TrainingInterrupted([first, unfinished, None, None])

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path, WANTED, progress=False)
    assert list(times(tmp_path)) == ["run-0"]
    assert len(collect(tmp_path, WANTED, progress=False)) == 4
