"""The MLPs on embedded tokens against plain torch.nn, and against the papers' numbers."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from tests.networks import all_pairs, sentences


def tiny(p: int = 5, seed: int = 0, **fields: Any) -> HookedEmbeddingMLP:
    config = EmbeddingMLPConfig(**{"d_embed": 6, "hidden": (8, 7)} | fields)
    return HookedEmbeddingMLP(config, p=p, seed=seed).double()


class Twin(nn.Module):
    """What a user would write: nn.Embedding, nn.Linear, and tokens put together by hand."""

    def __init__(self, model: HookedEmbeddingMLP) -> None:
        super().__init__()
        state, self.cfg = model.state_dict(), model.cfg
        self.embed = nn.Embedding.from_pretrained(state["embed.W_E"].clone(), freeze=False)
        names = [(f"layers.{i}.W_in", f"layers.{i}.b_in") for i in range(len(self.cfg.hidden))]
        self.linears = nn.ModuleList()
        for weight, bias in [*names, ("unembed.W_U", "unembed.b_U")]:
            linear = nn.Linear(*state[weight].shape, bias=bias in state, dtype=torch.float64)
            linear.weight.data = state[weight].T.clone()
            if bias in state:
                linear.bias.data = state[bias].clone()
            self.linears.append(linear)

    def forward(self, sequences: Tensor) -> Tensor:
        each = [self.embed(column) for column in sequences.T]
        x = torch.cat(each, dim=1) if self.cfg.combine == "concat" else sum(each)
        for linear in self.linears[:-1]:
            x = {"relu": torch.relu, "square": torch.square}[self.cfg.act](linear(x))
        return self.linears[-1](x)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("combine", ["concat", "sum"])
@pytest.mark.parametrize("prompt", ["a b", "b = a", "a + b ="])
def test_forward_and_gradients_are_torchs(prompt: str, combine: str, biases: bool) -> None:
    model = tiny(
        prompt=prompt, combine=combine, biases=biases, unembed_bias=not biases, act="square"
    )
    twin, pairs = Twin(model), all_pairs(5)
    logits = twin(sentences(prompt, pairs, 5))
    torch.testing.assert_close(model(pairs), logits, rtol=1e-12, atol=1e-12)
    model(pairs).square().mean().backward()
    logits.square().mean().backward()
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    names = ["layers.0.W_in", "layers.1.W_in", "unembed.W_U"]
    linears: list[Any] = list(twin.linears)
    expected = {"embed.W_E": twin.embed.weight.grad}
    for name, linear in zip(names, linears, strict=True):
        expected[name] = linear.weight.grad.T
        if linear.bias is not None:
            expected[name.replace("W_", "b_")] = linear.bias.grad
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-9, atol=1e-10)


def test_second_papers_mlp_has_the_published_size_and_norm() -> None:
    model = HookedEmbeddingMLP(EmbeddingMLPConfig.paper2(), p=97, seed=3)
    counts = {name: weight.numel() for name, weight in model.named_parameters()}
    assert counts.pop("embed.W_E") == 30_592
    assert sum(counts.values()) == 258_543
    assert model(torch.tensor([[3, 5]])).shape == (1, 239)
    norm = sum(weight.square().sum() for weight in model.parameters()) ** 0.5
    assert norm.item() == pytest.approx(175.6, abs=1.5)  # a chi variable, sd about 0.7
    unused = model.W_E[99:].norm().item()  # 97 residues, "+" and "=" are read
    assert unused == pytest.approx(133.9, abs=2.5)


def test_zhongs_mlp_has_the_checkpoints_shapes() -> None:
    model = HookedEmbeddingMLP(EmbeddingMLPConfig.zhong2023(), p=59)
    assert {name: list(w.shape) for name, w in model.named_parameters()} == {
        "embed.W_E": [59, 256],
        "layers.0.W_in": [256, 256],
        "layers.0.b_in": [256],
        "layers.1.W_in": [256, 256],
        "layers.1.b_in": [256],
        "unembed.W_U": [256, 59],
    }


@pytest.mark.parametrize("init", ["torch", "zhong"])
def test_initial_weights_have_the_stated_distributions(init: str) -> None:
    config = EmbeddingMLPConfig(d_embed=100, hidden=(90, 120), init=init)
    state = HookedEmbeddingMLP(config, p=97, seed=2).state_dict()

    def uniform(fan_in: int) -> Any:
        return stats.uniform(-(fan_in**-0.5), 2 * fan_in**-0.5)

    expected = {
        "embed.W_E": stats.norm(0, 1 if init == "torch" else (2 / 90) ** 0.5),
        "layers.0.W_in": uniform(200),
        "layers.0.b_in": uniform(200),
        "layers.1.W_in": uniform(90),
        "layers.1.b_in": uniform(90),
        "unembed.W_U": uniform(120) if init == "torch" else stats.norm(0, 120**-0.5),
        "unembed.b_U": uniform(120),
    }
    assert set(expected) == set(state)
    for name, law in expected.items():
        values = state[name].double().flatten().numpy()
        assert stats.kstest(values, law.cdf).pvalue > 1e-3, name
    columns = np.stack([state[name].flatten()[:9000].numpy() for name in state if "W_" in name])
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 5 / 9000**0.5


def test_torchs_own_layers_begin_the_same_way() -> None:
    """The bounds above are what this torch draws from, not a memory of it."""
    linear = nn.Linear(90, 4000)
    assert linear.weight.abs().max().item() == pytest.approx(90**-0.5, rel=1e-3)
    assert linear.bias.abs().max().item() == pytest.approx(90**-0.5, rel=1e-2)
    assert nn.Embedding(97, 400).weight.std().item() == pytest.approx(1, rel=0.02)


@pytest.mark.usefixtures("no_type_checker")  # which draws from Python's global generator
def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    before = torch.get_rng_state()
    first, again, other = (tiny(seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not torch.equal(weight, other[name])


@pytest.mark.parametrize(("combine", "first"), [("concat", 24), ("sum", 6)])
def test_hook_points_and_their_shapes(combine: str, first: int) -> None:
    model = tiny(prompt="a + b =", combine=combine, norm="layer", d_vocab_out=9)
    logits, cache = model.run_with_cache(all_pairs(5))
    norms = {
        f"layers.{i}.norm.{hook}": [25, width]
        for i in range(2)
        for hook, width in (("hook_scale", 1), ("hook_normalized", (8, 7)[i]))
    }
    assert {name: list(value.shape) for name, value in cache.items()} == norms | {
        "hook_embed": [25, 4, 6],
        "hook_combined": [25, first],
        "layers.0.hook_pre": [25, 8],
        "layers.0.hook_post": [25, 8],
        "layers.1.hook_pre": [25, 7],
        "layers.1.hook_post": [25, 7],
        "hook_logits": [25, 9],
    }
    assert torch.equal(cache["hook_logits"], logits)


def test_hooks_change_what_comes_after_them() -> None:
    model, pairs = tiny(combine="sum"), all_pairs(5)
    swapped = ("hook_embed", lambda embed, hook: embed.flip(1))
    assert torch.equal(model.run_with_hooks(pairs, fwd_hooks=[swapped]), model(pairs))
    double = ("hook_combined", lambda x, hook: 2 * x)
    twice = tiny(combine="sum")
    twice.W_E.data *= 2
    got = model.run_with_hooks(pairs, fwd_hooks=[double])
    torch.testing.assert_close(got, twice(pairs), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("pre", ["layers.0.hook_pre", "layers.1.hook_pre"]),
        ("post", ["layers.0.hook_post", "layers.1.hook_post"]),
        ("embed", ["hook_embed"]),
        ("embed+post", ["hook_embed", "layers.0.hook_post", "layers.1.hook_post"]),
    ],
)
def test_dropout_points_are_hook_points_of_those_shapes(place: str, names: list[str]) -> None:
    model = tiny(prompt="a b =")
    _, cache = model.run_with_cache(all_pairs(5))
    points = model.dropout_points(model.cfg, place)
    assert points == {name: tuple(cache[name].shape[1:]) for name in names}


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_vectorised_over_runs(combine: str) -> None:
    models = [tiny(seed=seed, combine=combine) for seed in range(3)]
    names = list(dict(models[0].named_parameters()))
    params = {
        name: torch.stack([model.get_parameter(name).detach() for model in models])
        for name in names
    }
    pairs = torch.stack([all_pairs(5)[start : start + 9] for start in (0, 3, 11)])
    template = tiny(seed=9, combine=combine)
    template.forward = template.logits  # type: ignore[method-assign]  # the check reads values

    def loss(params: dict[str, Tensor], pairs: Tensor) -> Tensor:
        return functional_call(template, params, (pairs,)).square().mean()

    grads, losses = vmap(grad_and_value(loss))(params, pairs)
    for run, model in enumerate(models):
        expected = model(pairs[run]).square().mean()
        expected.backward()
        torch.testing.assert_close(losses[run], expected.detach(), rtol=1e-12, atol=0)
        for name in names:
            grad = model.get_parameter(name).grad
            torch.testing.assert_close(grads[name][run], grad, rtol=1e-10, atol=1e-12)


def test_config_comes_back_from_json() -> None:
    config = EmbeddingMLPConfig.paper2(hidden=(3, 4, 5))
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    assert plain["hidden"] == [3, 4, 5]
    assert EmbeddingMLPConfig(**plain) == config
    assert hash(EmbeddingMLPConfig(**plain)) == hash(config)


def test_vocabulary_follows_from_the_prompt_or_is_larger() -> None:
    assert tiny(prompt="a + b =").W_E.shape == (7, 6)
    assert tiny(prompt="a + b =", d_vocab=9).W_E.shape == (9, 6)
    assert tiny().W_U.shape == (7, 5)
    with pytest.raises(
        ValueError, match=r"d_vocab .* at least 6 for p=5 and prompt='a b =', got 5"
    ):
        tiny(prompt="a b =", d_vocab=5)
    with pytest.raises(ValueError, match=r"d_vocab_out .* at least 5 for p=5 .*, got 4"):
        tiny(d_vocab_out=4)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"d_embed": 0}, ValueError, "d_embed must be at least 1, got 0"),
        ({"hidden": ()}, TypeError, r"hidden must hold the widths .*got \(\)"),
        ({"hidden": 256}, TypeError, r"hidden must hold the widths .*got 256"),
        ({"hidden": (8, 2.0)}, TypeError, r"hidden\[1\] must be an integer, got 2.0"),
        ({"combine": "concatenate"}, ValueError, "Did you mean 'concat'"),
        ({"act": "reLU"}, ValueError, "act='reLU' is unknown"),
        ({"biases": 1}, TypeError, "biases must be True or False, got 1"),
        ({"norm": "group"}, ValueError, "norm='group' is unknown"),
        ({"prompt": "a a"}, ValueError, "prompt='a a' must have the words a and b once"),
        ({"d_vocab": "many"}, TypeError, "d_vocab must be an integer"),
        ({"init": "paper"}, ValueError, "init='paper' is unknown"),
    ],
)
def test_bad_configs_are_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EmbeddingMLPConfig(**fields)
