"""Losses that float32 cannot tell from 0, and examples that have lost theirs."""

import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import logsumexp

import grokinterp as gi
from grokinterp.team import Team
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.passes import PASSES, Passes, deal
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack

# Cross-entropy without weight decay at a high rate: the logits grow until losses underflow.
COLLAPSING = gi.RunConfig(
    data=gi.DataConfig(p=13),
    model=gi.EmbeddingMLPConfig(d_embed=32, hidden=(128,)),
    training=gi.TrainConfig(steps=700, lr=3e-2, loss="cross_entropy", eval_every=100),
)
QUICK = COLLAPSING.replace(
    {"data.p": 7, "training.steps": 120, "training.lr": 0.1, "training.eval_every": 20}
)


def losses(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Cross-entropies in float64, by SciPy."""
    rows = logits.detach().double().numpy()
    return logsumexp(rows, axis=1) - rows[np.arange(len(rows)), labels.numpy()]


def test_a_loss_that_float32_rounds_to_zero_is_reported_and_its_share_too() -> None:
    """Published for this config after 1500 steps: 0.0 in float32, 1.3e-10 in float64."""
    with pytest.warns(gi.ZeroLossWarning, match=r"run 0: after 100 steps the loss of 8\d% .*'fl"):
        run = gi.train(COLLAPSING, progress=False)
    train, labels = run.dataset.is_train, run.dataset.labels
    want = losses(run.model.double()(run.dataset.tokens[train]), labels[train]).mean()
    assert 1e-12 < want < 2**-24  # not float32's: 1 - 2^-24 is its next number below 1
    # A logit of 30 has rounding errors of 2e-6, and so has the logarithm of the loss.
    assert float(run.history.train_loss[-1]) == pytest.approx(want, rel=1e-3)
    assert float(run.history.zero_loss_share[-1]) == 1.0
    assert float(run.history.zero_loss_share[0]) == 0.0


def evaluated(
    config: gi.RunConfig, passes: type[Passes], precision: str
) -> tuple[Stack, list[float]]:
    """A stack with large weights, and the metrics of its only run."""
    with torch.no_grad(), Team(1) as team:
        one = Stack([config], Resources(device="cpu", precision=precision), team, passes=passes)
        one.state.weights.mul_(40.0)
        return one, one.evaluate()[0].tolist()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse_softmax", "mse"])
@pytest.mark.parametrize("passes", PASSES)
def test_the_share_counts_training_examples_whose_label_wins_by_far(
    passes: type[Passes], loss: str, precision: str
) -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=11, corruption=0.3, train_fraction=0.6),
        model=gi.MLPConfig(d_mlp=10, init="standard"),
        training=gi.TrainConfig(loss=loss),
    )
    if not any(passes.suits(config, torch.device(kind)) for kind in ("cpu", "cuda")):
        pytest.skip("not written out for this network or loss")
    one, metrics = evaluated(config, passes, precision)
    model, data = gi.build_model(config).double(), one.state.datasets[0]
    model.load_state_dict(one.state.state_dict(0))
    with torch.no_grad():
        logits = model(data.tokens[data.is_train])
    label = data.labels[data.is_train][:, None]
    others = logits.scatter(1, label, -torch.inf).max(dim=1).values
    margin = logits.gather(1, label)[:, 0] - others
    # exp(-margin) vanishes beside 1 from 17 (float32) or 37 (float64) on, its square from 52 or 372
    bounds = {"cross_entropy": (17, 37), "mse_softmax": (52, 372), "mse": (torch.inf, torch.inf)}
    bound = bounds[loss][precision == "float64"]
    unclear = (margin > 0.8 * bound) & (margin < 1.2 * bound)
    assert not unclear.any()
    assert metrics[-1] == (margin > bound).double().mean().item()
    assert (metrics[-1] > 0.02) == (loss != "mse")


def test_a_rule_can_look_at_it() -> None:
    with pytest.warns(gi.ZeroLossWarning):
        run = gi.train(QUICK, checkpoints={"zero": gi.reached(zero_loss_share=0.5)}, progress=False)
    assert run.checkpoints["zero"].metrics["zero_loss_share"] >= 0.5


def test_every_run_is_warned_of_once_and_a_sweep_once() -> None:
    configs = [QUICK, QUICK.replace({"training.steps": 1}), QUICK.replace({"seed": 1})]
    with pytest.warns(gi.ZeroLossWarning) as caught:
        gi.train_many(configs, progress=False)
    assert [str(warning.message).split(":")[0] for warning in caught] == ["run 0", "run 2"]
    axes = {"training.loss": ["mse", "cross_entropy"]}
    with pytest.warns(
        gi.ZeroLossWarning, match=r"in 2 of 4 runs .* training\.loss='cross"
    ) as caught:
        swept = gi.sweep(QUICK, axes, seeds=2, progress=False)
    assert len(caught) == 1
    share = swept.largest_zero_loss_share
    assert not share.sel({"training.loss": "mse"}).any()
    assert (share.sel({"training.loss": "cross_entropy"}) >= 0.5).all()


def test_weight_decay_keeps_losses_above_zero() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = gi.train(QUICK.replace({"training.weight_decay": 1.0}), progress=False)
    assert not run.history.zero_loss_share.any()


def test_a_run_saved_before_the_share_was_known_loads(tmp_path: Path) -> None:
    run = gi.train(QUICK.replace({"training.steps": 2}), progress=False)
    old = functools.partial(xr.Dataset.drop_vars, names="zero_loss_share")(run.history)
    object.__setattr__(run, "history", old)
    again = gi.Run.load(run.save(tmp_path / "run"))
    assert again.history.identical(old)
    assert "zero_loss_share" not in again.checkpoint().metrics


def test_of_equal_logits_the_first_is_the_answer() -> None:
    """As for argmax. Logits in bfloat16 are often equal; a collapsed network's are all zero."""
    data = gi.make_dataset(gi.DataConfig(p=7))
    rng = torch.Generator().manual_seed(0)
    rough = torch.randint(3, (49, 7), generator=rng).float()
    for logits in (rough, torch.zeros(49, 7), torch.full((49, 7), -torch.inf)):
        kept = logits.clone()
        scores = Evaluation([data], "mse", device=torch.device("cpu"))
        scores.note(0, slice(None), logits)
        assert torch.equal(logits, kept)
        assert torch.equal(scores._correct[0], logits.argmax(dim=1) == data.labels)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("passes", "change", "is_shared"),
    [
        (HandWrittenPasses, {}, True),
        (HandWrittenPasses, {"training.dropout": 0.5}, False),
        (HandWrittenPasses, {"training.weight_noise": 0.1}, False),
        (SmallRunsPasses, {}, False),
        (SmallRunsPasses, {"training.weight_noise": 0.1}, False),
    ],
    ids=["by hand", "by hand, dropout", "by hand, noise", "small runs", "small runs, noise"],
)
def test_a_row_changes_nothing_in_training(
    passes: type[Passes],
    change: dict[str, object],
    is_shared: bool,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By hand, its logits are those of the next step, unless that has dropout or noisy weights.

    The examples of both runs are in three shares, of two blocks each.
    """
    monkeypatch.setattr(deal, "_WORTH_SHARING", 1)
    config = gi.RunConfig(
        data=gi.DataConfig(p=23, corruption=0.3),
        model=gi.MLPConfig(d_mlp=10),
        training=gi.TrainConfig(steps=6),
    ).replace(change)
    assert 3 * 64 < config.data.n_train <= 3 * 128
    resources = Resources(device="cpu", precision=precision)
    with torch.no_grad(), Team(3) as team:
        looked_at, other = (
            Stack([config, config], resources, team, passes=passes) for _ in range(2)
        )
        assert len(looked_at.state.grads) == 3
        for _ in range(3):
            rows = looked_at.evaluate(), looked_at.evaluate()
            assert looked_at._has_gradients == is_shared
            torch.testing.assert_close(*rows, rtol=0, atol=0, equal_nan=True)
            looked_at.passes.score()
            torch.testing.assert_close(looked_at.state.evaluation.metrics(), rows[0])
            for stack in (looked_at, looked_at, other, other):
                stack.step()
            assert torch.equal(looked_at.state.weights, other.state.weights)
            assert torch.equal(looked_at.state.losses, other.state.losses)
