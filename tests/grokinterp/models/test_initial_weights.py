"""Initial weights are a function of seed and architecture, the same on every machine and tomorrow.

Stored runs name their weights by the seed alone: another stream, or another order of drawing, makes
them irreproducible.
"""

from typing import Any

import pytest
import torch

import grokinterp as gi
from tests.tolerance import rounding

# The first standard normal that torch's generator gives for seed 3 and purpose "init". Torch makes
# it as sqrt(-2 log u) cos(2 pi v), whose last bits depend on the CPU; the root is at most 5.8.
FIRST_NORMAL, LARGEST_ROOT = -0.2484090, 5.8

SMALL: dict[str, Any] = {"d_model": 8, "n_heads": 2}
# Architecture, standard deviation of its first matrix, its last drawn weight.
DRAWN: dict[str, tuple[Any, float, float]] = {
    "MLP paper": (gi.MLPConfig(d_mlp=8), (16 * 8) ** (-1 / 3), 0.1299340),
    "MLP standard": (gi.MLPConfig(d_mlp=8, init="standard"), (2 / 14) ** 0.5, 0.3274132),
    "MLP lazy": (gi.MLPConfig(d_mlp=8, init="lazy"), 0.5**0.5, 0.4630321),
    "embedding torch": (gi.EmbeddingMLPConfig(d_embed=4, hidden=(8,)), 1.0, -0.2369087),
    "embedding zhong": (
        gi.EmbeddingMLPConfig(d_embed=4, hidden=(8,), init="zhong"),
        0.5,
        0.3174855,
    ),
    "transformer gpt2": (gi.TransformerConfig(**SMALL), 0.02, -0.008984929),
    "transformer nanda": (gi.TransformerConfig(**SMALL, init="nanda"), 8**-0.5, -0.1588326),
    "transformer zhong": (gi.TransformerConfig.zhong2023(**SMALL), 8**-0.5, -0.5666401),
    "transformer paper1": (gi.TransformerConfig(**SMALL, init="paper1"), 1.0, -0.1588326),
    "transformer paper2": (gi.TransformerConfig(**SMALL, init="paper2"), 1.0, 0.2010178),
    "LSTM": (gi.LSTMConfig(d_embed=4, d_hidden=8), 1.0, -0.3482061),
}
LAST = {  # the weight that is drawn last
    gi.EmbeddingMLPConfig: "unembed.b_U",
    gi.LSTMConfig: "unembed.W_U",
    gi.MLPConfig: "W_U",
    gi.TransformerConfig: "unembed.W_U",
}
every_architecture = pytest.mark.parametrize(
    ("model", "deviation", "last"), DRAWN.values(), ids=list(DRAWN)
)


def config(model: Any) -> gi.RunConfig:
    return gi.RunConfig(data=gi.DataConfig(p=7, corruption=0.5), model=model, seed=3)


def weights(run: gi.RunConfig) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(gi.build_model(run).parameters()).detach()


@every_architecture
def test_the_same_weights_are_drawn_everywhere(model: Any, deviation: float, last: float) -> None:
    state = gi.build_model(config(model)).state_dict()
    first = next(iter(state.values())).flatten()[0].item()
    gap = rounding(torch.float32, 1, LARGEST_ROOT * deviation)
    assert first == pytest.approx(FIRST_NORMAL * deviation, rel=0, abs=gap)
    found = state[LAST[type(model)]].flatten()[-1].item()
    assert found == pytest.approx(last, rel=1e-5)


@every_architecture
def test_the_seed_of_the_data_leaves_the_weights(model: Any, deviation: float, last: float) -> None:
    run = config(model)
    changes = {"data.seed": 9, "data.corruption": 0.2, "training.lr": 0.1}
    assert torch.equal(weights(run.replace(changes)), weights(run))
    assert not torch.equal(weights(run.replace({"seed": 4})), weights(run))


def test_the_analytic_solution_is_drawn_the_same_everywhere() -> None:
    model = gi.closed_form_mlp(7, 8, seed=3)
    assert model.W_E[0, 0, 0].item() == pytest.approx(0.2931228, rel=1e-6)
    assert model.W_U[-1, -1].item() == pytest.approx(-0.4375464, rel=1e-6)


def test_the_seed_of_the_run_leaves_the_data() -> None:
    run = config(gi.MLPConfig(d_mlp=8)).replace({"training.steps": 1})
    data, same, other = (
        gi.train(run.replace(changes), progress=False).dataset
        for changes in ({}, {"seed": 4}, {"data.seed": 4})
    )
    for name in ("is_train", "is_selected", "labels"):
        assert torch.equal(getattr(same, name), getattr(data, name)), name
        assert not torch.equal(getattr(other, name), getattr(data, name)), name
