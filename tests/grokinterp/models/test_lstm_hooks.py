"""The LSTM's hook points: gates, states and what is handed on, against its own equations."""

import pytest
import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from tests.networks import all_pairs, sentences

P = 5
PAIRS = all_pairs(P)
TINY = LSTMConfig(d_embed=6, d_hidden=4)


@pytest.mark.parametrize("prompt", ["a b =", "eos a + b ="])
def test_every_hook_point_fires_once_in_order_with_its_shape(prompt: str) -> None:
    model = HookedLSTM(LSTMConfig(d_embed=6, d_hidden=4, prompt=prompt, d_vocab_out=8), p=P)
    length = len(prompt.split())
    expected = [("hook_embed", (25, length, 6))]
    for layer in range(2):
        expected += [
            (f"layers.{layer}.steps.{t}.hook_{what}", (25, 4))
            for t in range(length)
            for what in "ifgoch"
        ]
        expected += [(f"layers.{layer}.hook_out", (25, length, 4))]
    expected += [("hook_logits", (25, 8))]
    fired: list[tuple[str | None, tuple[int, ...]]] = []

    def note(value: Tensor, hook: HookPoint) -> None:
        fired.append((hook.name, tuple(value.shape)))

    model.run_with_hooks(PAIRS, fwd_hooks=[(lambda name: True, note)])
    assert fired == expected
    assert list(model.hook_dict) == [name for name, _ in expected]


def test_cached_gates_satisfy_the_equations() -> None:
    model = HookedLSTM(TINY, p=P, seed=2).double()
    logits, cache = model.run_with_cache(PAIRS)
    state = model.state_dict()
    assert torch.equal(cache["hook_embed"], state["embed.W_E"][sentences("a b =", PAIRS, P)])
    x = cache["hook_embed"]
    squash = {"i": torch.sigmoid, "f": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid}
    for layer in range(2):
        h = c = torch.zeros(25, 4, dtype=torch.float64)
        W, U, b, d = (
            state[f"lstm.{name}_l{layer}"].split(4)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for t in range(3):
            at = {what: cache[f"layers.{layer}.steps.{t}.hook_{what}"] for what in "ifgoch"}
            for k, (gate, function) in enumerate(squash.items()):
                pre = x[:, t] @ W[k].T + h @ U[k].T + b[k] + d[k]
                torch.testing.assert_close(at[gate], function(pre), rtol=0, atol=1e-14)
            torch.testing.assert_close(at["c"], at["f"] * c + at["i"] * at["g"], rtol=0, atol=0)
            torch.testing.assert_close(at["h"], at["o"] * at["c"].tanh(), rtol=0, atol=0)
            h, c = at["h"], at["c"]
            assert torch.equal(cache[f"layers.{layer}.hook_out"][:, t], h)
        x = cache[f"layers.{layer}.hook_out"]
    torch.testing.assert_close(logits, x[:, -1] @ state["unembed.W_U"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("step", [1, 2])
def test_a_forget_gate_set_to_zero_acts_from_its_step_on(step: int) -> None:
    """With f = 0 the state starts anew there, and what came before is unmoved."""
    model = HookedLSTM(TINY, p=P, seed=3)
    clean, cache = model.run_with_cache(PAIRS)
    name = f"layers.0.steps.{step}.hook_"
    with model.hooks(fwd_hooks=[(name + "f", lambda f, hook: 0 * f)]):
        logits, changed = model.run_with_cache(PAIRS)
    for t in range(step):
        for what in "ifgoch":
            assert torch.equal(*(x[f"layers.0.steps.{t}.hook_{what}"] for x in (cache, changed)))
    for what in "igo":  # of this step: they read the state of the step before
        assert torch.equal(cache[name + what], changed[name + what])
    assert torch.equal(changed[name + "c"], changed[name + "i"] * changed[name + "g"])
    for t in range(step + 1, 3):
        for what in "ifgoch":
            at = f"layers.0.steps.{t}.hook_{what}"
            assert not torch.equal(cache[at], changed[at])
    above = "layers.1.steps.{}.hook_h"
    assert torch.equal(cache[above.format(step - 1)], changed[above.format(step - 1)])
    assert not torch.equal(cache[above.format(step)], changed[above.format(step)])
    assert not torch.equal(clean, logits)


def test_the_state_goes_on_in_time_and_the_output_upwards() -> None:
    """hook_h is what both the next step and the next layer read; hook_out only the latter."""
    model = HookedLSTM(TINY, p=P)
    _, cache = model.run_with_cache(PAIRS)

    def changed(name: str) -> dict[str, bool]:
        with model.hooks(fwd_hooks=[(name, lambda x, hook: 0 * x)]):
            _, after = model.run_with_cache(PAIRS)
        return {key: not torch.equal(cache[key], after[key]) for key in cache}

    state, output = changed("layers.0.steps.1.hook_h"), changed("layers.0.hook_out")
    assert state["layers.0.steps.2.hook_i"]
    assert state["layers.1.steps.1.hook_i"]
    assert not output["layers.0.steps.2.hook_i"]
    assert output["layers.1.steps.0.hook_i"]


def test_dropout_between_is_that_of_torch_nn() -> None:
    """nn.LSTM multiplies what a layer hands on, not its state, and not what is read out."""
    model = HookedLSTM(TINY, p=P, seed=4).double()
    points = HookedLSTM.dropout_points(TINY, "between")
    assert points == {"layers.0.hook_out": (3, 4)}
    rng = torch.Generator().manual_seed(0)
    mask = 2.0 * (torch.rand(25, 3, 4, generator=rng) < 0.5)
    logits = model.run_with_hooks(
        PAIRS, fwd_hooks=[("layers.0.hook_out", lambda out, hook: out * mask)]
    )
    state = model.state_dict()
    x = state["embed.W_E"][sentences("a b =", PAIRS, P)]
    for layer, by in enumerate((mask, 1.0)):
        single = nn.LSTM(x.shape[2], 4, batch_first=True, dtype=torch.float64)
        names = [name.removesuffix("_l0") for name, _ in single.named_parameters()]
        single.load_state_dict({f"{n}_l0": state[f"lstm.{n}_l{layer}"] for n in names})
        x = single(x)[0] * by
    torch.testing.assert_close(logits, x[:, -1] @ state["unembed.W_U"], rtol=0, atol=1e-12)


def test_dropout_points_exist_with_their_shapes() -> None:
    config = LSTMConfig(n_layers=3, d_embed=6, d_hidden=4, prompt="eos a + b =")
    points = HookedLSTM.dropout_points(config, "embed+between")
    assert list(points) == ["hook_embed", "layers.0.hook_out", "layers.1.hook_out"]
    _, cache = HookedLSTM(config, p=P).run_with_cache(PAIRS)
    assert all(cache[name].shape == (25, *shape) for name, shape in points.items())
    with pytest.raises(ValueError, match=r"place='post' is unknown.* Known: between, embed"):
        HookedLSTM.dropout_points(config, "embed+post")
