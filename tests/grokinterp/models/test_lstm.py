"""The hooked LSTM against torch.nn's, and the second paper's sizes."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from transformer_lens.hook_points import HookPoint

from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from tests.networks import Logits, all_pairs, sentences
from tests.tolerance import assert_agree

P = 5
PAIRS = all_pairs(P)
TINY = LSTMConfig(d_embed=6, d_hidden=4)


class Twin(nn.Module):
    """The same network as a user would write it in torch."""

    def __init__(self, model: HookedLSTM) -> None:
        super().__init__()
        config, weights = model.cfg, model.state_dict()
        self.embed = nn.Embedding(*weights["embed.W_E"].shape)
        self.lstm = nn.LSTM(config.d_embed, config.d_hidden, config.n_layers, batch_first=True)
        self.unembed = nn.Linear(*weights["unembed.W_U"].shape, bias=False)
        self.to(model.W_E.dtype)
        own = {"embed.weight": weights["embed.W_E"], "unembed.weight": weights["unembed.W_U"].T}
        own |= {name: weight for name, weight in weights.items() if name.startswith("lstm.")}
        self.load_state_dict(own)

    def forward(self, sentences: Tensor) -> Tensor:
        return self.unembed(self.lstm(self.embed(sentences))[0][:, -1])

    def gradients(self) -> dict[str, Tensor]:
        """By the names of the hooked network."""
        named = {name: weight.grad for name, weight in self.named_parameters()}
        named["embed.W_E"] = named.pop("embed.weight")
        unembed = named.pop("unembed.weight")
        assert unembed is not None
        return named | {"unembed.W_U": unembed.T}  # pyright: ignore[reportReturnType]


def nothing(value: Tensor, hook: HookPoint) -> Tensor:
    """A hook that only looks: it makes the network take every step one by one."""
    return value


def loss(logits: Tensor, pairs: Tensor = PAIRS) -> Tensor:
    return nn.functional.cross_entropy(logits, pairs.sum(dim=1) % P)


@pytest.mark.parametrize(
    ("n_layers", "prompt"),
    [(1, "a b"), (2, "a b ="), (2, "b a"), (2, "eos a + b ="), (3, "= a b a2")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [3, 25])  # 25 pairs share their 5 beginnings, 3 do not
def test_values_and_gradients_are_those_of_torch_nn(
    n_layers: int, prompt: str, dtype: torch.dtype, batch: int
) -> None:
    config = LSTMConfig(n_layers=n_layers, d_embed=6, d_hidden=4, prompt=prompt)
    model = HookedLSTM(config, p=P, seed=1).to(dtype)
    for weight in model.parameters():
        weight.data *= 3  # away from where the gates are linear
    twin, pairs = Twin(model), PAIRS[torch.arange(batch) * 7 % 25]
    expected = twin(sentences(prompt, pairs, P))
    loss(expected, pairs).backward()
    gradients = twin.gradients()
    steepest = max(gradient.abs().max().item() for gradient in gradients.values())
    assert expected.std(dim=0).max() > 0.01  # or the comparison would say nothing
    stepwise: list[Any] = [("layers.0.steps.1.hook_f", nothing)]
    for hooks in ([], stepwise):
        model.zero_grad()
        with model.hooks(fwd_hooks=hooks):
            logits = model(pairs)
        loss(logits, pairs).backward()
        # per layer and step an input and a state, forwards and backwards, and the batch
        n_terms = 2 * n_layers * len(prompt.split()) * (6 + 4) + batch
        assert_agree(logits, expected, n_terms=n_terms)
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            assert_agree(weight.grad, gradients[name], n_terms=n_terms, scale=steepest, name=name)


def test_the_fused_kernel_works_unless_something_looks_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hook set and removed leaves the fused network behind, with equal values."""
    model = HookedLSTM(TINY, p=P)
    before, calls, fused = model(PAIRS), [], model.lstm.forward
    monkeypatch.setattr(
        model.lstm, "forward", lambda *args: calls.append(args[0].shape[:2]) or fused(*args)
    )
    model.run_with_hooks(PAIRS, fwd_hooks=[("layers.1.steps.0.hook_h", nothing)])
    model.run_with_cache(PAIRS)
    assert not calls
    assert torch.equal(model(PAIRS), before)
    # one beginning per residue, then "b =" for every pair
    assert calls == [(1, P), (2, len(PAIRS))]


def test_paper2_sizes() -> None:
    """264 192 parameters in the layers, 30 592 in each of the two tables."""
    config = LSTMConfig.paper2()
    assert config == LSTMConfig(prompt="eos a + b =", d_vocab=239, d_vocab_out=239)
    model = HookedLSTM(config, p=97)
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    assert sizes.pop("embed.W_E") == 30_592
    assert sizes.pop("unembed.W_U") == 30_592
    assert sum(sizes.values()) == 264_192
    assert model(torch.tensor([[0, 96]])).shape == (1, 239)
    assert LSTMConfig.paper2(d_hidden=64).d_hidden == 64


def test_parameters_are_the_documented_tensors() -> None:
    model = HookedLSTM(TINY, p=P)
    reference = nn.LSTM(6, 4, 2)
    expected = {"lstm." + name: tuple(w.shape) for name, w in reference.named_parameters()}
    expected |= {"embed.W_E": (P + 1, 6), "unembed.W_U": (4, P)}
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes == expected
    assert {name: tuple(w.shape) for name, w in model.state_dict().items()} == expected
    assert torch.equal(model.W_E, model.state_dict()["embed.W_E"])
    assert torch.equal(model.W_U, model.state_dict()["unembed.W_U"])


def test_vectorised_over_weights_is_one_call_each() -> None:
    """Values and gradients, with and without a hook, of two networks in one pass."""
    models = [HookedLSTM(TINY, p=P, seed=seed).double() for seed in (0, 1)]
    named = [dict(model.named_parameters()) for model in models]
    stacked = {name: torch.stack([n[name].detach() for n in named]) for name in named[0]}
    shell = Logits(models[0])

    def of(weights: dict[str, Tensor]) -> Tensor:
        return functional_call(shell, {f"model.{k}": w for k, w in weights.items()}, (PAIRS,))

    gradients = vmap(grad(lambda weights: loss(of(weights))))
    halve: list[Any] = [("layers.0.steps.1.hook_c", lambda c, hook: c / 2)]
    for hooks in ([], halve):
        with models[0].hooks(fwd_hooks=hooks), models[1].hooks(fwd_hooks=hooks):
            logits, slopes = vmap(of)(stacked), gradients(stacked)
            for run, model in enumerate(models):
                model.zero_grad()
                expected = model(PAIRS)
                loss(expected).backward()
                torch.testing.assert_close(logits[run], expected, rtol=0, atol=1e-12)
                for name, weight in model.named_parameters():
                    torch.testing.assert_close(slopes[name][run], weight.grad, rtol=0, atol=1e-12)


def test_weights_may_be_swapped_and_re_pointed() -> None:
    """Training keeps weights in memory of its own, which the kernel must follow."""
    model, other = HookedLSTM(TINY, p=P), HookedLSTM(TINY, p=P, seed=1)
    expected = other(PAIRS)
    swapped = functional_call(model, dict(other.named_parameters()), (PAIRS,))
    assert torch.equal(swapped, expected)
    flat = torch.cat([weight.detach().flatten() for weight in other.parameters()])
    start = 0
    for weight in model.parameters():
        weight.data = flat[start : start + weight.numel()].view_as(weight)
        start += weight.numel()
    # weights that begin elsewhere in memory may be summed in another order
    assert_agree(model(PAIRS), expected, n_terms=2 * 3 * (6 + 4))
    flat.mul_(0.5)
    assert not torch.equal(model(PAIRS), expected)


def test_initial_weights_have_torchs_distributions() -> None:
    model = HookedLSTM(LSTMConfig(d_embed=32, d_hidden=64, d_vocab=120), p=97, seed=4)
    for name, weight in model.named_parameters():
        values = weight.detach().double().flatten().numpy()
        if name == "embed.W_E":
            test = stats.kstest(values, "norm")
        else:
            test = stats.kstest(values, "uniform", args=(-1 / 8, 2 / 8))  # 8 = sqrt(d_hidden)
        assert test.pvalue > 1e-3, name
        assert weight.dtype == torch.float32


@pytest.mark.usefixtures("no_type_checker")  # which draws from Python's global generator
def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    first = HookedLSTM(TINY, p=P, seed=3).state_dict()
    states = random.getstate(), torch.get_rng_state()
    again = HookedLSTM(TINY, p=P, seed=3).state_dict()
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    other = HookedLSTM(TINY, p=P, seed=4).state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not torch.equal(weight, other[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_and_loaded(tmp_path: Path, dtype: torch.dtype) -> None:
    config = LSTMConfig(n_layers=1, d_embed=6, d_hidden=4, prompt="eos a + b =", d_vocab_out=9)
    model = HookedLSTM(config, p=P, seed=5).to(dtype)
    model.save_pretrained(tmp_path)
    loaded = HookedLSTM.from_pretrained(tmp_path)
    assert isinstance(loaded, HookedLSTM)
    assert loaded.cfg == config
    assert torch.equal(loaded(PAIRS), model(PAIRS))


def test_rows_of_a_batch_do_not_meet() -> None:
    model = HookedLSTM(TINY, p=P).double()
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    logits = model(PAIRS)
    torch.testing.assert_close(model(PAIRS[order]), logits[order], rtol=0, atol=1e-14)
    torch.testing.assert_close(model(PAIRS[3:4]), logits[3:4], rtol=0, atol=1e-14)
    assert model(PAIRS[:0]).shape == (0, P)
    assert torch.equal(model(PAIRS.to(torch.int32)), logits)


def test_hidden_units_have_no_order() -> None:
    model, other = HookedLSTM(TINY, p=P, seed=6).double(), HookedLSTM(TINY, p=P).double()
    order = torch.tensor([2, 0, 3, 1])
    rows = torch.cat([order + 4 * gate for gate in range(4)])
    state = dict(model.state_dict())
    for name, weight in state.items():
        if name.endswith("_l1"):
            state[name] = weight[rows]
    state["lstm.weight_hh_l1"] = state["lstm.weight_hh_l1"][:, order]
    state["unembed.W_U"] = state["unembed.W_U"][order]
    other.load_state_dict(state)
    torch.testing.assert_close(other(PAIRS), model(PAIRS), rtol=0, atol=1e-14)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_layers": 0}, ValueError, "n_layers must be at least 1, got 0"),
        ({"d_hidden": 2.0}, TypeError, r"d_hidden must be an integer, got 2.0 \(float\)"),
        ({"prompt": "a ="}, ValueError, "prompt='a =' must have the words a and b once each"),
        ({"prompt": None}, TypeError, "prompt must be a string such as 'a b =', got None"),
        ({"d_vocab": 5}, ValueError, r"d_vocab must be at least 6 for p=5 and prompt='a b ='"),
        ({"d_vocab_out": 4}, ValueError, "d_vocab_out must be at least 5 for p=5 .* got 4; leave"),
        ({"init": "paper"}, ValueError, "init='paper' is unknown.* Known: torch"),
    ],
)
def test_bad_configs_are_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        HookedLSTM(LSTMConfig(**changes), p=P)


def test_wrong_weights_and_names_are_refused() -> None:
    model = HookedLSTM(TINY, p=P)
    state = model.state_dict()
    state["lstm.weight_hh_l1"] = torch.zeros(16, 5)
    state["lstm.bias_ih_l2"] = state.pop("lstm.bias_ih_l0")
    message = (
        r"extra lstm.bias_ih_l2 \[16\]; lstm.weight_hh_l1 is \[16, 5\] and should be \[16, 4\]; "
        r"missing lstm.bias_ih_l0 \[16\]"
    )
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match=r"'layers.0.hook_f' is no hook point.*hook_f"):
        model.run_with_hooks(PAIRS, fwd_hooks=[("layers.0.hook_f", nothing)])


def test_a_torch_hook_on_the_fused_part_is_refused() -> None:
    model = HookedLSTM(LSTMConfig(d_embed=4, d_hidden=3), p=5)
    handle = model.lstm.register_forward_hook(lambda module, args, out: None)
    with pytest.raises(ValueError, match=r"a torch hook on \.lstm would never run"):
        model(torch.tensor([[0, 1]]))
    handle.remove()
    model(torch.tensor([[0, 1]]))
