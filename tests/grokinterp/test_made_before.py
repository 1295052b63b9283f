"""What an earlier version has written still loads, with the same numbers."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

import grokinterp as gi
from grokinterp.sweeps import work
from grokinterp.tracking import Callback

MADE_BEFORE = Path(__file__).parents[1] / "data" / "made_before"
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=5, train_fraction=0.6, corruption=0.2),
    model=gi.MLPConfig(d_mlp=4),
    training=gi.TrainConfig(steps=6, lr=1e-2, weight_decay=1.0, eval_every=3),
)
# As that version printed them.
TRAIN_LOSS = [0.20620334850568203, 0.19206390190267425, 0.18157158320875463]
TEST_ACCURACY = [0.4, 0.2, 0.2]
FIRST_LOGITS = [-0.01200300, 0.01562636, 0.00493273, 0.04408424, 0.01174819]
FINAL_TRAIN_LOSS = [
    [0.18099941360554808, 0.18271781319189756],
    [0.18676638543227556, 0.19049991594160315],
]
FINAL_TEST_ACCURACY = [[0.2, 0.1], [0.2, 0.2]]
FINAL_NORM = [[1.855849674108405, 1.9545451568149645], [1.4014710761274682, 1.4542773116327368]]
FLOAT32 = 1e-6  # logits are sums of 4 products below 1: a few float32 roundings of 6e-8
# A step moves a weight by up to 1e-2 of its gradient's ratio to its size; where a gradient is as
# small as 1e-6, roundings of 1e-9 are 1e-3 of it, on each of a few steps.
TRAINED = 1e-4


@pytest.fixture(scope="module")
def run() -> gi.Run:
    return gi.Run.load(MADE_BEFORE / "run")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The sweep's store, unpacked."""
    with zipfile.ZipFile(MADE_BEFORE / "sweep.zarr.zip") as packed:
        packed.extractall(tmp_path)
    return tmp_path / "sweep.zarr"


def test_a_run_has_its_config_and_its_history(run: gi.Run) -> None:
    assert run.config == CONFIG
    assert run.ended
    assert run.history.step.values.tolist() == [0, 3, 6]
    assert run.history.weight.values.tolist() == ["W_E[0]", "W_E[1]", "W_U"]
    assert run.history.train_loss.values.tolist() == TRAIN_LOSS
    assert run.history.test_accuracy.values.tolist() == TEST_ACCURACY
    assert run.checkpoints["third"].step == 3
    assert run.checkpoints["third"].metrics["train_loss"] == TRAIN_LOSS[1]


def test_a_run_has_its_data(run: gi.Run) -> None:
    a, b = run.dataset.tokens.T
    assert torch.equal(run.dataset.clean_labels, (a + b) % 5)
    assert int(run.dataset.is_train.sum()) == 15
    assert torch.equal(run.dataset.is_changed, run.dataset.labels != (a + b) % 5)
    assert int(run.dataset.is_changed.sum()) == 1
    again = gi.make_dataset(CONFIG.data)
    for mask in ("labels", "is_train", "is_selected"):
        assert torch.equal(getattr(again, mask), getattr(run.dataset, mask)), mask


def test_a_model_gives_the_logits_and_the_scores_of_then(run: gi.Run) -> None:
    tokens, labels, is_train = run.dataset.tokens, run.dataset.labels, run.dataset.is_train
    with torch.no_grad():
        logits = run.model(tokens)
    stored = load_file(MADE_BEFORE / "run" / "model.safetensors")
    first, second = stored["W_E"]
    by_hand = (first[tokens[:, 0]] + second[tokens[:, 1]]).square() @ stored["W_U"]
    torch.testing.assert_close(logits, by_hand, rtol=0, atol=FLOAT32)
    torch.testing.assert_close(logits[0], torch.tensor(FIRST_LOGITS), rtol=0, atol=FLOAT32)
    right = logits.argmax(dim=1) == labels
    assert float(right[~is_train].double().mean()) == TEST_ACCURACY[-1]
    error = (logits - torch.nn.functional.one_hot(labels, 5)).square().mean(dim=1)
    assert float(error[is_train].mean()) == pytest.approx(TRAIN_LOSS[-1], abs=FLOAT32)


def test_training_goes_on_from_a_checkpoint_of_then(run: gi.Run) -> None:
    """With the moments that were stored: three steps more arrive where the run arrived."""
    longer = CONFIG.replace({"training.steps": 3})
    resumed = gi.train(longer, start=run.checkpoints["third"], device="cpu", progress=False)
    end = load_file(MADE_BEFORE / "run" / "model.safetensors")
    for name, weight in resumed.model.state_dict().items():
        torch.testing.assert_close(weight, end[name], rtol=0, atol=TRAINED)


def assert_numbers_of_then(data: xr.Dataset) -> None:
    assert data.sizes == {"training.weight_decay": 2, "seed": 2, "subset": 5}
    assert data["training.weight_decay"].values.tolist() == [0.0, 5.0]
    final = data.sel(subset="train").final_loss.values
    assert final.tolist() == FINAL_TRAIN_LOSS
    assert data.sel(subset="test").final_accuracy.values.tolist() == FINAL_TEST_ACCURACY
    assert data.final_norm.values.tolist() == FINAL_NORM


def swept(store: Path, **options: Any) -> xr.Dataset:
    """The same sweep as then, asked for again."""
    how = {"seeds": 2, "chunk": 2, "device": "cpu", "progress": False}
    return gi.sweep(CONFIG, {"training.weight_decay": [0.0, 5.0]}, store=store, **how | options)


def test_a_sweep_goes_on_without_training_anything(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a run of the finished sweep is trained again")

    monkeypatch.setattr(work, "train_each", refuse)
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    assert_numbers_of_then(swept(store).load())
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before


def test_a_missing_block_of_a_sweep_is_trained_to_the_same_numbers(store: Path) -> None:
    """Its first block, both seeds without weight decay, is marked as not done."""
    (store / "done" / "0.0").write_bytes(b"\0\0")
    trained: list[float] = []

    class Trained(Callback):
        def on_finish(self, run: int, config: gi.RunConfig, summary: object) -> None:
            trained.append(config.training.weight_decay)

    found = swept(store, callbacks=[Trained()])
    assert trained == [0.0, 0.0]
    final = found.sel(subset="train").final_loss.values
    np.testing.assert_allclose(final, FINAL_TRAIN_LOSS, rtol=0, atol=TRAINED)


def test_a_store_says_with_what_it_was_made(store: Path) -> None:
    attributes = json.loads((store / ".zattrs").read_text())
    assert attributes["format"] == 2
    assert gi.RunConfig.from_dict(json.loads(attributes["base"])) == CONFIG
