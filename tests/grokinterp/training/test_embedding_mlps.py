"""Hand-written passes of embedding MLPs, against autograd through the hooked network."""

from typing import Any

import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.team import Team
from grokinterp.training.passes import choose_passes, deal, embedding_mlp_kernel, embedding_mlps
from grokinterp.training.passes.embedding_mlps import EmbeddingMLPPasses
from grokinterp.training.passes.run_by_run import RunByRunPasses
from tests.hooked_gradients import (
    assert_hooked_gradients,
    assert_run_by_run,
    config,
    rounding,
    stack,
)

CPU = torch.device("cpu")


def model(**changes: Any) -> gi.EmbeddingMLPConfig:
    return gi.EmbeddingMLPConfig(**{"d_embed": 3, "hidden": (6, 4)} | changes)


VARIANTS = {
    "default": model(),
    "paper 2": model(prompt="a + b =", d_vocab=19, d_vocab_out=17),
    "sum": model(combine="sum"),
    "sum with symbols": model(combine="sum", prompt="eos b + a ="),
    "repeated symbol": model(prompt="= a = b ="),
    "two tables": model(prompt="a p+b ="),
    "sum of two tables": model(prompt="p+b a", combine="sum"),
    "no biases": model(biases=False, unembed_bias=False, prompt="a b ="),
    "no read-out bias": model(unembed_bias=False, d_vocab_out=16),
    "neither bias nor symbol": model(biases=False),
    "square, one layer": model(act="square", hidden=(5,)),
    "gelu, three layers": model(act="gelu", hidden=(5, 9, 4)),
    "Zhong et al.": model(combine="sum", hidden=(7, 7), unembed_bias=False, init="zhong"),
}


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_and_scores_are_the_hooked_networks(variant: str, batch_size: int | None) -> None:
    assert_hooked_gradients(config(VARIANTS[variant], batch_size=batch_size), EmbeddingMLPPasses)


@pytest.mark.parametrize("classes", [5, 16])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss: str, classes: int) -> None:
    """With and without columns of the read-out that are no class."""
    assert_hooked_gradients(config(model(d_vocab_out=classes), loss=loss), EmbeddingMLPPasses)


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize(("runs", "shares"), [(1, 2), (3, 2), (4, 1)])
def test_groups_blocks_and_shares_add_up(
    runs: int, shares: int, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training sets of two sizes, noise on the weights, pairs scored one operand at a time."""
    monkeypatch.setattr(embedding_mlp_kernel, "_SCORED_BYTES", 1)
    monkeypatch.setattr(deal, "_WORTH_SHARING", 1)
    one = config(VARIANTS["paper 2"], p=13, weight_noise=0.1, batch_size=batch_size)
    several = [
        one.replace({"seed": seed, "data.train_fraction": 0.5 if seed < 2 else 0.8})
        for seed in range(runs)
    ]
    assert_run_by_run(several, EmbeddingMLPPasses, shares)


def test_a_group_fits_the_cache_and_each_worker_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [config(model()).replace({"seed": seed}) for seed in range(6)]

    def sizes(threads: int) -> list[list[int]]:
        with Team(threads) as team:
            passes = stack(runs, team, passes=EmbeddingMLPPasses).passes
            assert isinstance(passes, EmbeddingMLPPasses)
            return [[len(group.weights["embed.W_E"]) for group in own] for own in passes._todo]

    assert sizes(1) == [[6]]
    assert sizes(2) == [[3], [3]]
    per_run = 20 * 6 * 8  # examples, neurons, bytes of a float64
    monkeypatch.setattr(embedding_mlps, "_GROUP_BYTES", 4 * per_run)
    assert sizes(1) == [[3, 3]]
    monkeypatch.setattr(embedding_mlps, "_GROUP_BYTES", 1)
    assert sizes(1) == [[1] * 6]


@pytest.mark.parametrize("variant", ["default", "Zhong et al."])
def test_bfloat16_is_float64_up_to_rounding(variant: str) -> None:
    # Some eight products in a row, each with operands rounded so.
    assert 0 < rounding(config(VARIANTS[variant], p=11, batch_size=40)) < 8 * 2**-8


def test_who_is_trained_this_way() -> None:
    run = config(model())
    assert choose_passes([run], CPU) is EmbeddingMLPPasses
    assert choose_passes([run], torch.device("cuda")) is not EmbeddingMLPPasses
    dropping = run.replace({"training.dropout": 0.1, "training.dropout_at": "post"})
    assert choose_passes([run, dropping], CPU) is RunByRunPasses
    assert choose_passes([config(model(norm="layer"))], CPU) is RunByRunPasses
    assert choose_passes([config(gi.LSTMConfig())], CPU) is RunByRunPasses
