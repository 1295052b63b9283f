"""The hooked MLP against plain torch.nn on one-hot pairs, the paper's eq. (1)."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from grokinterp import HookedMLP, MLPConfig
from grokinterp.models.base import check_tokens
from tests.networks import all_pairs

NN_ACTIVATIONS = {"relu": nn.ReLU(), "gelu": nn.GELU()}


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


def one_hot_twin(model: HookedMLP) -> nn.Sequential:
    """The same network as a user would write it in torch: linear layers on the one-hot pair."""
    config, p = model.cfg, model.p
    state = model.state_dict()
    matrices = [torch.cat([state["W_E"][0], state["W_E"][1]]).T]  # [U V], [d_mlp, 2p]
    matrices += [state[f"layers.{i}.W_in"].T for i in range(1, config.n_layers)]
    modules: list[nn.Module] = []
    for matrix in matrices:
        linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False, dtype=torch.float64)
        linear.weight.data = matrix
        modules += [linear, NN_ACTIVATIONS.get(config.act) or Square()]
    readout = nn.Linear(config.d_mlp, p, bias=False, dtype=torch.float64)
    readout.weight.data = state["W_U"].T
    return nn.Sequential(*modules, readout)


def one_hot_pairs(tokens: Tensor, p: int) -> Tensor:
    return nn.functional.one_hot(tokens, p).flatten(start_dim=1).double()


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
def test_forward_is_the_one_hot_network(act: str, n_layers: int) -> None:
    # "standard" keeps every layer's activations of order one, so 1e-12 is a fair bound.
    config = MLPConfig(d_mlp=24, n_layers=n_layers, act=act, init="standard")
    model = HookedMLP(config, p=7, seed=1).double()
    tokens = all_pairs(7)
    expected = one_hot_twin(model)(one_hot_pairs(tokens, 7))
    assert expected.abs().max() > 1e-3  # or the comparison would say nothing
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
def test_gradients_are_the_one_hot_networks(act: str) -> None:
    model = HookedMLP(MLPConfig(d_mlp=12, n_layers=2, act=act), p=5, seed=2).double()
    twin, tokens = one_hot_twin(model), all_pairs(5)
    model(tokens).square().sum().backward()
    twin(one_hot_pairs(tokens, 5)).square().sum().backward()
    first, second, readout = (weight.grad for weight in twin.parameters())
    assert first is not None
    assert second is not None
    assert readout is not None
    expected = {
        "W_E": first.T.unflatten(0, (2, 5)),
        "layers.1.W_in": second.T,
        "W_U": readout.T,
    }
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-10, atol=1e-12)


def test_embedding_tables_are_u_and_v_transposed() -> None:
    """Eq. (1) with U, V and W written down by hand: two neurons, p = 3."""
    U = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])  # [neuron, a]
    V = torch.tensor([[10.0, 20.0, 30.0], [5.0, 6.0, 7.0]])  # [neuron, b]
    W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])  # [class, neuron]
    model = HookedMLP(MLPConfig(d_mlp=2), p=3)
    model.load_state_dict({"W_E": torch.stack([U.T, V.T]), "W_U": W.T})
    # (a, b) = (2, 0): pre-activations 3 + 10 and 1 + 5, squares 169 and 36.
    assert model(torch.tensor([[2, 0]])).tolist() == [[169.0, 36.0, 133.0]]
    # (a, b) = (0, 2): 1 + 30 and 0 + 7: the operands are told apart.
    assert model(torch.tensor([[0, 2]])).tolist() == [[961.0, 49.0, 912.0]]


@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_every_hook_point_in_order_with_its_shape(act: str, n_layers: int) -> None:
    model = HookedMLP(MLPConfig(d_mlp=6, n_layers=n_layers, act=act), p=5)
    tokens = all_pairs(5)[:9]
    logits, cache = model.run_with_cache(tokens)
    expected = [("hook_embed", (9, 2, 6))]
    for i in range(n_layers):
        expected += [(f"layers.{i}.hook_pre", (9, 6)), (f"layers.{i}.hook_post", (9, 6))]
    expected += [("hook_logits", (9, 5))]
    assert [(name, tuple(value.shape)) for name, value in cache.items()] == expected
    assert list(model.hook_dict) == [name for name, _ in expected]

    state = model.state_dict()
    first, second = tokens.T
    assert torch.equal(cache["hook_embed"][:, 0], state["W_E"][0][first])
    assert torch.equal(cache["hook_embed"][:, 1], state["W_E"][1][second])
    assert torch.equal(cache["layers.0.hook_pre"], cache["hook_embed"].sum(dim=1))
    activation = NN_ACTIVATIONS.get(act) or Square()
    for i in range(n_layers):
        pre, post = cache[f"layers.{i}.hook_pre"], cache[f"layers.{i}.hook_post"]
        torch.testing.assert_close(post, activation(pre))
        if i:
            below = cache[f"layers.{i - 1}.hook_post"]
            torch.testing.assert_close(pre, below @ state[f"layers.{i}.W_in"])
    last = cache[f"layers.{n_layers - 1}.hook_post"]
    torch.testing.assert_close(cache["hook_logits"], last @ state["W_U"])
    assert torch.equal(logits, cache["hook_logits"])


@pytest.mark.parametrize(
    "name", ["hook_embed", "layers.0.hook_pre", "layers.0.hook_post", "layers.1.hook_post"]
)
def test_what_a_hook_returns_is_what_the_network_goes_on_with(name: str) -> None:
    """No bias anywhere, so a silenced activation silences the logits (relu(0) = 0)."""
    model = HookedMLP(MLPConfig(d_mlp=6, n_layers=2, act="relu"), p=5)
    tokens = all_pairs(5)
    silenced = model.run_with_hooks(tokens, fwd_hooks=[(name, lambda x, hook: 0 * x)])
    assert not silenced.any()
    assert model(tokens).any()


@pytest.mark.parametrize("n_layers", [1, 2])
def test_parameters_are_the_documented_matrices(n_layers: int) -> None:
    model = HookedMLP(MLPConfig(d_mlp=6, n_layers=n_layers), p=5)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    hidden = {"layers.1.W_in": (6, 6)} if n_layers == 2 else {}
    assert shapes == {"W_E": (2, 5, 6), "W_U": (6, 5)} | hidden
    assert set(model.state_dict()) == set(shapes)


def test_weight_matrices_keep_leading_axes() -> None:
    """Norms of a stack of runs are those of its members, one operand at a time."""
    models = [HookedMLP(MLPConfig(d_mlp=6, n_layers=2), p=5, seed=seed) for seed in range(3)]
    states = [model.state_dict() for model in models]
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    matrices = HookedMLP.weight_matrices(stacked)
    assert list(matrices) == ["W_E[0]", "W_E[1]", "W_U", "layers.1.W_in"]
    for run, state in enumerate(states):
        assert torch.equal(matrices["W_E[0]"][run], state["W_E"][0])
        assert torch.equal(matrices["W_E[1]"][run], state["W_E"][1])
        assert torch.equal(matrices["W_U"][run], state["W_U"])
        assert torch.equal(matrices["layers.1.W_in"][run], state["layers.1.W_in"])


def initial_stds(init: str, p: int, width: int) -> dict[str, float]:
    """Standard deviations from the paper and the authors' code."""
    lazy = 2**0.5 / width ** (1 / 3)
    published = 0.5 / (2 * width) ** (1 / 3)
    return {
        "paper": {"W_E": published, "W_U": published, "layers.1.W_in": published},
        "standard": {
            "W_E": (2 / (2 * p)) ** 0.5,  # a one-hot pair has 2p entries
            "W_U": (2 / width) ** 0.5,
            "layers.1.W_in": (2 / width) ** 0.5,
        },
        "lazy": {"W_E": lazy, "W_U": lazy, "layers.1.W_in": lazy},
    }[init]


@pytest.mark.parametrize("init", ["paper", "standard", "lazy"])
def test_initial_weights_are_normal_with_the_stated_deviation(init: str) -> None:
    p, width = 97, 200
    model = HookedMLP(MLPConfig(d_mlp=width, n_layers=2, init=init), p=p, seed=4)
    for name, std in initial_stds(init, p, width).items():
        values = model.state_dict()[name].double().flatten()
        # 4 standard errors of a mean and of a standard deviation
        assert values.mean().abs() < 4 * std / len(values) ** 0.5
        assert abs(values.std().item() / std - 1) < 4 / (2 * len(values)) ** 0.5
        assert stats.kstest(values.numpy(), "norm", args=(0, std)).pvalue > 1e-3


@pytest.mark.parametrize(("width", "std"), [(500, 0.0500), (5000, 0.0232)])
def test_paper_init_has_the_published_numbers(width: int, std: float) -> None:
    model = HookedMLP(MLPConfig(d_mlp=width), p=97)
    for weight in model.parameters():
        assert weight.std().item() == pytest.approx(std, rel=0.01)


def test_every_weight_is_drawn_on_its_own() -> None:
    """Had two matrices begun with the same draws, they would correlate perfectly."""
    model = HookedMLP(MLPConfig(d_mlp=50, n_layers=3), p=25, seed=9)
    state = model.state_dict()
    pieces = [state["W_E"][0], state["W_E"][1], state["W_U"]]
    pieces += [state[f"layers.{i}.W_in"] for i in (1, 2)]
    columns = np.stack([piece.flatten()[:1250].numpy() for piece in pieces])
    correlation = np.corrcoef(columns) - np.eye(5)
    assert np.abs(correlation).max() < 5 / 1250**0.5


@pytest.mark.usefixtures("no_type_checker")  # which draws from Python's global generator
def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    config = MLPConfig(d_mlp=8, n_layers=2)
    first = HookedMLP(config, p=5, seed=3).state_dict()
    states = random.getstate(), torch.get_rng_state()
    again = HookedMLP(config, p=5, seed=3).state_dict()
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    other = HookedMLP(config, p=5, seed=4).state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not torch.equal(weight, other[name])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_any_signed_integer_dtype_will_do(dtype: torch.dtype) -> None:
    model, tokens = HookedMLP(MLPConfig(d_mlp=8), p=5), all_pairs(5)
    assert torch.equal(model(tokens.to(dtype)), model(tokens))


def test_rows_of_a_batch_do_not_meet() -> None:
    model, tokens = HookedMLP(MLPConfig(d_mlp=8, n_layers=2), p=5).double(), all_pairs(5)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(tokens[order]), model(tokens)[order], rtol=0, atol=1e-15)
    torch.testing.assert_close(model(tokens[3:4]), model(tokens)[3:4], rtol=0, atol=1e-15)
    assert model(tokens[:0]).shape == (0, 5)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (torch.tensor([[0.0, 1.0]]), TypeError, r"integer tensor \[batch, 2\], got torch.float32"),
        (torch.tensor([[True, False]]), TypeError, r"integer tensor .* got torch.bool"),
        ([[0, 1]], TypeError, r"integer tensor .* got list"),
        (np.array([[0, 1]]), TypeError, r"integer tensor .* got ndarray"),
        (torch.tensor([0, 1]), ValueError, r"shape \[batch, 2\], one row .* per pair, got \[2\]"),
        (torch.tensor([[0, 1, 2]]), ValueError, r"shape \[batch, 2\].* got \[1, 3\]"),
        (torch.zeros(1, 2, 2, dtype=torch.long), ValueError, r"shape .* got \[1, 2, 2\]"),
        (torch.tensor([[0, 5]]), ValueError, r"0\.\.4 for p=5, got values from 0 to 5; take them"),
        (torch.tensor([[-1, 2]]), ValueError, r"0\.\.4 for p=5, got values from -1 to 2; .* mod p"),
    ],
)
def test_bad_tokens_are_refused(tokens: Any, error: type[Exception], message: str) -> None:
    model = HookedMLP(MLPConfig(d_mlp=8), p=5)
    with pytest.raises(error, match=rf"^tokens must .*{message}"):
        model(tokens)
    with pytest.raises(error, match=message):
        check_tokens(tokens, 5)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"p": 1}, ValueError, "p must be at least 2, got 1"),
        ({"p": 5.0}, TypeError, r"p must be an integer, got 5.0 \(float\)"),
        ({"p": 5, "seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"p": 5, "seed": None}, TypeError, r"seed must be an integer, got None \(NoneType\)"),
    ],
)
def test_bad_modulus_and_seed_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        HookedMLP(MLPConfig(d_mlp=8), **arguments)


# Symmetries that hold for any weights, and that a transposed or mixed-up matrix would break.


def rebuilt(model: HookedMLP, **weights: Tensor) -> HookedMLP:
    other = HookedMLP(model.cfg, p=model.p).double()
    other.load_state_dict(model.state_dict() | weights)
    return other


@pytest.fixture
def square_model() -> HookedMLP:
    return HookedMLP(MLPConfig(d_mlp=12), p=7, seed=6).double()


def test_neurons_have_no_order(square_model: HookedMLP) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    weights = square_model.state_dict()
    other = rebuilt(square_model, W_E=weights["W_E"][:, :, order], W_U=weights["W_U"][order])
    tokens = all_pairs(7)
    torch.testing.assert_close(other(tokens), square_model(tokens), rtol=0, atol=1e-14)


def test_swapped_operands_swap_their_tables(square_model: HookedMLP) -> None:
    other = rebuilt(square_model, W_E=square_model.state_dict()["W_E"].flip(0))
    tokens = all_pairs(7)
    torch.testing.assert_close(other(tokens.flip(1)), square_model(tokens), rtol=0, atol=1e-15)


def test_quadratic_network_is_homogeneous_of_degree_three(square_model: HookedMLP) -> None:
    weights = square_model.state_dict()
    other = rebuilt(square_model, W_E=3 * weights["W_E"], W_U=3 * weights["W_U"])
    tokens = all_pairs(7)
    torch.testing.assert_close(other(tokens), 27 * square_model(tokens), rtol=1e-12, atol=0)
