"""Checkpoints kept while training, and training that starts from one."""

import functools
import json
import re
from pathlib import Path

import pytest
import torch

import grokinterp as gi
from grokinterp.training import trainer
from grokinterp.training.passes import Passes
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.passes.transformers import TransformerPasses
from grokinterp.training.stack import Stack

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=11),
    model=gi.MLPConfig(d_mlp=12),
    training=gi.TrainConfig(steps=30, eval_every=5, weight_decay=0.5),
)
HALF = {"half": gi.at_step(15)}
SGD: dict[str, object] = {"training.optimizer": "sgd", "training.momentum": 0.9}
WAYS: dict[str, tuple[dict[str, object], type[Passes]]] = {
    "by hand": ({}, HandWrittenPasses),
    "small runs": ({}, SmallRunsPasses),
    "transformer": ({"model": gi.TransformerConfig(d_model=8, n_heads=2)}, TransformerPasses),
    "batch norm": ({"model.norm": "batch"}, RunByRunPasses),
    "sgd": (SGD, SmallRunsPasses),
    "adam, l2": ({"training.optimizer": "adam"}, SmallRunsPasses),
}


def train(config: gi.RunConfig, **how: object) -> gi.Run:
    return gi.train(config, progress=False, precision="float64", **how)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("changes", "passes"), WAYS.values(), ids=WAYS)
def test_going_on_from_a_checkpoint_is_not_having_stopped(
    changes: dict[str, object], passes: type[Passes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the steps, then the other half with kept moments: the same as all at once."""
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=passes))
    config = CONFIG.replace(changes)
    assert passes.suits(config, torch.device("cpu"))
    whole = train(config, checkpoints=HALF)
    rest = train(config.replace({"training.steps": 15}), start=whole.checkpoints["half"])
    for name, weight in rest.model.state_dict().items():
        torch.testing.assert_close(weight, whole.model.state_dict()[name], rtol=0, atol=1e-12)
    later = whole.history.sel(step=slice(15, None))
    assert rest.history.train_loss.values == pytest.approx(later.train_loss.values, abs=1e-12)
    assert rest.provenance["start"]["step"] == 15


@pytest.mark.usefixtures("each_way")
def test_moments_count_the_updates_of_all_parts(tmp_path: Path) -> None:
    """Thirty steps in three parts, each saved and loaded, are thirty steps to the last bit."""
    part, end = CONFIG.replace({"training.steps": 10}), None
    for done in (10, 20, 30):
        run = gi.train(part, start=end, checkpoints={"end": gi.at_step(10)}, progress=False)
        run.save(tmp_path / str(done))
        end = gi.Run.load(tmp_path / str(done)).checkpoints["end"]
        assert end.moments is not None
        assert end.moments.updates == done
    whole = gi.train(CONFIG.replace({"training.steps": 30}), progress=False)
    assert end is not None
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(end.state[name], weight), name


def test_a_fresh_optimiser_forgets(tmp_path: Path) -> None:
    """Without moments it goes another way: that of torch's AdamW, started from these weights."""
    whole = train(CONFIG, checkpoints=HALF)
    half = whole.checkpoints["half"]
    assert half.moments is not None
    assert half.moments.updates == 15
    fresh = train(CONFIG.replace({"training.steps": 3}), start=half.fresh())

    model = whole.model_at("half").double().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.5)
    data = whole.dataset
    target = torch.nn.functional.one_hot(data.labels[data.is_train], 11).double()
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(data.tokens[data.is_train]), target).backward()
        optimizer.step()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(fresh.model.state_dict()[name], weight, rtol=0, atol=1e-10)


def test_decay_to_init_pulls_back_to_the_checkpoint() -> None:
    start = train(CONFIG).checkpoint()
    pulled = CONFIG.replace(
        {
            "training.decay": "decoupled_init",
            "training.weight_decay": 90.0,
            "seed": 5,
            "training.steps": 200,
        }
    )
    run = train(pulled, start=start)
    for name, weight in run.model.state_dict().items():
        assert (weight - start.state[name]).norm() < 0.1 * start.state[name].norm()


def test_each_run_of_a_stack_has_its_own_start_and_checkpoints() -> None:
    configs = [CONFIG.replace({"seed": seed, "training.weight_decay": seed}) for seed in range(3)]
    alone = [train(config, checkpoints=HALF) for config in configs]
    start = [alone[2].checkpoints["half"], None, alone[0].checkpoint()]
    together = gi.train_many(
        configs, start=start, checkpoints=HALF, progress=False, precision="float64"
    )
    for run, config, given in zip(together, configs, start, strict=True):
        want = train(config, start=given, checkpoints=HALF)
        for name, weight in want.checkpoints["half"].state.items():
            kept = run.checkpoints["half"].state[name]
            torch.testing.assert_close(kept, weight, rtol=0, atol=1e-12)
    assert together[1].provenance["start"] is None


def test_rules_look_at_the_history() -> None:
    rules = {
        "first": gi.reached(train_accuracy=0.5),
        "lasting": gi.reached(train_accuracy=0.5, rows=3),
        "never": gi.reached(train_accuracy=0.5, below={"train_loss": 1e-9}),
        "late": gi.at_step(12),
        "own": lambda rows: len(rows) == 2,
    }
    run = train(CONFIG.replace({"training.weight_decay": 0.0}), checkpoints=rules)
    good = run.history.step.values[run.history.train_accuracy.values >= 0.5]
    steps = {name: kept.step for name, kept in run.checkpoints.items()}
    assert steps == {"first": good[0], "lasting": good[0] + 10, "late": 15, "own": 5}
    kept = run.checkpoints["first"]
    row = run.history.sel(step=kept.step)
    assert kept.metrics["train_accuracy"] == float(row.train_accuracy)
    data = run.dataset
    hits = run.model_at("first")(data.tokens).argmax(dim=1) == data.labels
    assert float(hits[data.is_train].double().mean()) == kept.metrics["train_accuracy"]


def test_checkpoints_are_saved(tmp_path: Path) -> None:
    names = {"0": gi.at_step(0), "-b": gi.at_step(0), "é" * 100: gi.at_step(0)}
    run = train(CONFIG, checkpoints=HALF | names)
    rest = train(CONFIG, start=run.checkpoints["half"])
    again = gi.Run.load(run.save(tmp_path / "run"))
    assert set(again.checkpoints) == {"half", *names}
    for name, kept in run.checkpoints.items():
        assert again.checkpoints[name].digest == kept.digest
        assert again.checkpoints[name].step == kept.step
    same = train(CONFIG, start=again.checkpoints["half"])
    assert torch.equal(same.model.W_U, rest.model.W_U)
    run.save(tmp_path / "run", overwrite=True)  # its checkpoints are no strangers
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["checkpoints"]["half"]["metrics"]["changed_accuracy"] is None  # JSON has no NaN
    digest = rest.provenance["start"]["sha256"]
    assert gi.Run.load(rest.save(tmp_path / "rest")).provenance["start"]["sha256"] == digest


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = train(CONFIG, checkpoints=HALF).save(tmp_path / "run")
    file = folder / "checkpoint-half.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(gi.RunFolderError, match=r"checkpoint-half.safetensors is truncated"):
        gi.Run.load(folder)
    file.unlink()
    with pytest.raises(gi.RunFolderError, match="is missing"):
        gi.Run.load(folder)


@pytest.mark.usefixtures("no_type_checker")
def test_bad_input() -> None:
    run = train(CONFIG.replace({"training.steps": 1}))
    start = run.checkpoint()
    larger = CONFIG.replace({"data.p": 13})
    with pytest.raises(ValueError, match=r"does not fit this HookedMLP with p=13: .*W_E is"):
        train(larger, start=start)
    with pytest.raises(ValueError, match="one checkpoint or None per config, got 2 for 1"):
        gi.train_many([CONFIG], start=[start, start])
    with pytest.raises(TypeError, match=re.escape("pass run.checkpoint()")):
        gi.train_many([CONFIG], start=[run])  # pyright: ignore[reportArgumentType]
    for given, told in ((start, r"Checkpoint\("), (0.5, "0.5"), ("x", "'x'")):
        with pytest.raises(ValueError, match=f"start must hold one checkpoint .*got {told}"):
            gi.train_many([CONFIG], start=given)  # pyright: ignore[reportArgumentType]
    half = train(CONFIG, checkpoints=HALF).checkpoints["half"]
    with pytest.raises(
        ValueError, match=r"moments of another optimiser; start from checkpoint.fresh\(\)"
    ):
        train(CONFIG.replace(SGD), start=half)
    with pytest.raises(ValueError, match=r"checkpoint='half' is unknown\. Known: none"):
        run.model_at("half")
    with pytest.raises(ValueError, match=r"metric='accuracy' is unknown.*train_accuracy"):
        gi.reached(accuracy=0.5)
    with pytest.raises(ValueError, match="needs a bound"):
        gi.reached()
    for name in ("../x", "", "a b", "a.b"):
        with pytest.raises(ValueError, match="cannot name a file; use letters, digits, - and _"):
            train(CONFIG, checkpoints={name: gi.at_step(1)})
    with pytest.raises(ValueError, match=r"'nnnnnnnnnnnnnnnnnnnn\.\.\.' of 201 bytes, too long"):
        train(CONFIG, checkpoints={"n" * 201: gi.at_step(1)})
    with pytest.raises(
        TypeError, match=r"checkpoint 'x' needs a rule such as at_step\(100\), got 3"
    ):
        train(CONFIG, checkpoints={"x": 3})


def test_a_finished_network_is_copied() -> None:
    run = train(CONFIG)
    start = run.checkpoint()
    digest = start.digest
    run.model.W_U.data.zero_()
    assert start.digest == digest


def test_a_diverged_run_has_no_finished_network() -> None:
    """Its last row is older than its weights."""
    wild = CONFIG.replace({"training.optimizer": "sgd", "training.lr": 1e30})
    with pytest.warns(gi.DivergenceWarning):
        run = train(wild)
    with pytest.raises(ValueError, match=r"diverged after step \d+, .* smaller training\.lr"):
        run.checkpoint()
