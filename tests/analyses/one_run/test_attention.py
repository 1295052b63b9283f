"""Attention of every head over (a, b), against TransformerLens' cache."""

import pytest
import torch

import grokinterp as gi
from analyses.one_run import attention

P = 5


@pytest.fixture(scope="module")
def run() -> gi.Run:
    model = gi.TransformerConfig(n_layers=2, d_model=8, n_heads=2, d_mlp=8, prompt="a b =")
    training = gi.TrainConfig(steps=2)
    config = gi.RunConfig(data=gi.DataConfig(p=P), model=model, training=training)
    return gi.train(config, device="cpu", progress=False)


def test_patterns_are_those_of_the_last_position(run: gi.Run) -> None:
    data = attention.compute(run)
    assert data["head"].values.tolist() == ["0.0", "0.1", "1.0", "1.1"]
    assert data.key.values.tolist() == ["a (0)", "b (1)", "= (2)"]
    _, cache = run.model.run_with_cache(torch.tensor([[3, 1]]))
    for layer in range(2):
        found = data.attention.sel(a=3, b=1)[2 * layer : 2 * layer + 2].values
        expected = cache["pattern", layer][0, :, -1].double()
        torch.testing.assert_close(torch.as_tensor(found), expected)
    assert float(abs(data.attention.sum("key") - 1).max()) < 1e-6


def test_heads_that_vary_most_are_drawn(run: gi.Run) -> None:
    data = attention.compute(run)
    data["deviation"] = data.deviation * 0
    data.deviation[[1, 3]] = 1.0
    shown = attention.strongest(data, 2)
    assert shown["head"].values.tolist() == ["0.1", "1.1"]
    figure = attention.plot_attention(data, most=2)
    assert [trace["type"] for trace in figure.to_dict()["data"]] == ["heatmap"] * 6


def test_a_network_without_attention_is_refused(tiny_run: gi.Run) -> None:
    with pytest.raises(ValueError, match="MLP 1x16 square has no attention"):
        attention.compute(tiny_run)
