"""Hand-written passes of transformers, against autograd through the hooked network."""

import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.models.prompt import Prompt
from grokinterp.training.passes import choose_passes, transformer_kernel, transformers
from grokinterp.training.passes.prefixes import Prefixes
from grokinterp.training.passes.run_by_run import RunByRunPasses
from grokinterp.training.passes.transformers import TransformerPasses
from tests.hooked_gradients import assert_hooked_gradients, assert_run_by_run, config, rounding
from tests.transformer_variants import VARIANTS

CPU = torch.device("cpu")


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_and_scores_are_the_hooked_networks(variant: str, batch_size: int | None) -> None:
    """Of more pairs than residues, which share prefixes, and of fewer."""
    assert_hooked_gradients(config(VARIANTS[variant], batch_size=batch_size), TransformerPasses)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss: str) -> None:
    assert_hooked_gradients(config(VARIANTS["paper 2"], loss=loss), TransformerPasses)


@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize(("runs", "shares"), [(1, 2), (3, 2), (4, 1)])
@pytest.mark.parametrize(
    ("variant", "loss"),
    [
        ("default", "cross_entropy"),
        ("paper 1", "mse_softmax"),
        ("paper 2", "cross_entropy_float64"),
    ],
)
def test_groups_pieces_and_shares_add_up(
    variant: str,
    loss: str,
    runs: int,
    shares: int,
    batch_size: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training sets of two sizes, noise on the weights, some pairs at a time."""
    monkeypatch.setattr(transformer_kernel, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(transformers, "_WORTH_SHARING", 1)
    one = config(VARIANTS[variant], p=17, weight_noise=0.1, loss=loss, batch_size=batch_size)
    several = [
        one.replace({"seed": seed, "data.train_fraction": 0.8 if seed < 2 else 0.5})
        for seed in range(runs)
    ]
    assert_run_by_run(several, TransformerPasses, shares)


@pytest.mark.parametrize("variant", VARIANTS)
def test_runs_at_once_are_runs_one_by_one(variant: str) -> None:
    runs = [config(VARIANTS[variant], p=7).replace({"seed": seed}) for seed in range(4)]
    assert_run_by_run(runs, TransformerPasses, shares=1)


@pytest.mark.parametrize("variant", ["default", "paper 2"])
def test_bfloat16_is_float64_up_to_rounding(variant: str) -> None:
    # Some sixteen products in a row, each with operands rounded so.
    assert 0 < rounding(config(VARIANTS[variant], p=11, batch_size=40)) < 16 * 2**-8


def test_prefixes_are_computed_once() -> None:
    """In front of the second operand there is a row per first operand, and not one per pair."""
    words, heads = Prompt("eos a + b =", 5), 3
    prefixes = Prefixes(words, 5, causal=True, n_layers=2, heads=heads)
    pairs = torch.arange(60).view(1, 30, 2) % 5
    first, last = prefixes.edges(pairs)
    assert len(first.firsts) == heads * (1 + 5 + 5 + 30 + 30)
    assert len(last.firsts) == heads * 30
    few, _ = prefixes.edges(pairs[:, :4])
    assert len(few.firsts) == heads * (1 + 4 * 4)
    both, _ = prefixes.edges(pairs.view(2, 15, 2))
    assert len(both.firsts) == 2 * heads * (1 + 5 + 5 + 15 + 15)


def test_who_is_trained_this_way() -> None:
    run = config(VARIANTS["default"])
    assert choose_passes([run], CPU) is TransformerPasses
    assert choose_passes([run], torch.device("cuda")) is not TransformerPasses
    dropping = run.replace({"training.dropout": 0.1, "training.dropout_at": "post"})
    assert choose_passes([run, dropping], CPU) is RunByRunPasses
    assert choose_passes([run.replace({"model": gi.LSTMConfig()})], CPU) is RunByRunPasses
