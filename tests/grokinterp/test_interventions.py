"""Neurons taken out, averaged, exchanged and scaled, against edited weights and plain algebra."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp import HookedMLP, MLPConfig, ablate, scale
from tests.networks import all_pairs
from tests.settings import chosen

P, WIDTH = 7, 12
TOKENS = all_pairs(P)
POST = "layers.0.hook_post"
CHOSEN = [0, 3, 4, 11]
REST = [k for k in range(WIDTH) if k not in CHOSEN]


def mlp(act: str = "square", *, n_layers: int = 1, dtype: torch.dtype = torch.float64) -> HookedMLP:
    config = MLPConfig(d_mlp=WIDTH, act=act, n_layers=n_layers, init="standard")
    return HookedMLP(config, p=P, seed=8).to(dtype).requires_grad_(False)


def activations(model: HookedMLP, tokens: Tensor = TOKENS) -> Tensor:
    """Post-activations of a one-layer network, from its weights."""
    pre = model.W_E[0][tokens[:, 0]] + model.W_E[1][tokens[:, 1]]
    kinds = {"square": torch.square, "relu": torch.relu, "gelu": torch.nn.functional.gelu}
    return kinds[model.cfg.act](pre)


def seen(model: HookedMLP, fwd_hooks: list[Any], name: str = POST) -> tuple[Tensor, Tensor]:
    """Logits and the activations at ``name`` as the rest of the network receives them."""
    with model.hooks(fwd_hooks=fwd_hooks):
        logits, cache = model.run_with_cache(TOKENS)
    return logits, cache[name]


def has_hooks(model: HookedMLP) -> bool:
    return any(
        point.fwd_hooks or point.bwd_hooks or point._forward_hooks or point._backward_hooks
        for point in model.hook_dict.values()
    )


def zeroed(model: HookedMLP, neurons: list[int], side: str) -> HookedMLP:
    """The same network with the neurons' weights at zero, on one side of the activation."""
    other = HookedMLP(model.cfg, p=P).to(model.W_E.dtype).requires_grad_(False)
    other.load_state_dict(model.state_dict())
    if side == "input":
        other.W_E[:, :, neurons] = 0
    else:
        other.W_U[neurons] = 0
    return other


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
def test_zero_ablation_is_zeroed_weights(act: str, side: str) -> None:
    """Zero at zero holds for all three activations, so both sides give the same network."""
    exact = mlp(act)
    logits = exact.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN))
    assert torch.equal(logits, zeroed(exact, CHOSEN, side)(TOKENS))
    single = mlp(act, dtype=torch.float32)
    logits = single.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN, mode="zero"))
    torch.testing.assert_close(logits, zeroed(single, CHOSEN, side)(TOKENS), rtol=0, atol=1e-6)
    assert (logits - single(TOKENS)).abs().max() > 0.1


@pytest.mark.parametrize("act", ["square", "relu"])
def test_mean_ablation(act: str) -> None:
    model = mlp(act)
    post = activations(model)
    expected = post.clone()
    expected[:, CHOSEN] = post[:, CHOSEN].sum(dim=0) / len(TOKENS)
    logits, changed = seen(model, ablate(CHOSEN, "mean"))
    torch.testing.assert_close(changed, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(logits, expected @ model.W_U, rtol=0, atol=1e-12)


def test_mean_ablation_of_all_neurons_answers_every_pair_alike() -> None:
    logits = mlp().run_with_hooks(TOKENS, fwd_hooks=ablate(range(WIDTH), "mean"))
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=0, atol=1e-14)


def rows_of(values: Tensor) -> list[tuple[float, ...]]:
    return [tuple(row) for row in values.tolist()]


@pytest.mark.parametrize("seed", [0, 1])
def test_resampling_permutes_the_batch(seed: int) -> None:
    """Whole examples are exchanged: what the chosen neurons say about one pair stays together."""
    model = mlp()
    post = activations(model)
    logits, changed = seen(model, ablate(CHOSEN, "resample", seed=seed))
    assert torch.equal(changed[:, REST], post[:, REST])
    assert not torch.equal(changed[:, CHOSEN], post[:, CHOSEN])
    for neuron in CHOSEN:
        assert sorted(changed[:, neuron].tolist()) == sorted(post[:, neuron].tolist())
    assert sorted(rows_of(changed[:, CHOSEN])) == sorted(rows_of(post[:, CHOSEN]))
    torch.testing.assert_close(logits, changed @ model.W_U, rtol=0, atol=1e-12)


def test_the_session_s_default_device_is_not_used() -> None:
    model, post = mlp(), torch.ones(3, WIDTH)
    with chosen(torch.set_default_device, "meta", None):
        hooks = [ablate([1, 2]), scale([1, 2], 3.0), ablate([1], "resample")]
        hooks.append(ablate([1], "resample", reference=post))
        for fwd_hooks in hooks:
            assert model.run_with_hooks(TOKENS, fwd_hooks=fwd_hooks).device.type == "cpu"


@pytest.mark.usefixtures("no_type_checker")  # which draws from Python's global generator
def test_seed_decides_the_resampling() -> None:
    model = mlp()
    states = random.getstate(), torch.get_rng_state()
    first, again, other = (
        seen(model, ablate(CHOSEN, "resample", seed=seed))[1] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.parametrize("count", [1, 5, len(TOKENS), 200])
def test_reference_activations(count: int) -> None:
    """Means and samples come from another set of examples, of any size."""
    model = mlp()
    reference = torch.rand(count, WIDTH, generator=torch.Generator().manual_seed(0))
    kept = reference.clone()
    post = activations(model)

    _, changed = seen(model, ablate(CHOSEN, "mean", reference=reference))
    expected = reference.double()[:, CHOSEN].mean(dim=0).expand(len(TOKENS), -1)
    torch.testing.assert_close(changed[:, CHOSEN], expected, rtol=0, atol=1e-14)
    assert torch.equal(changed[:, REST], post[:, REST])

    _, changed = seen(model, ablate(CHOSEN, "resample", reference=reference))
    assert torch.equal(changed[:, REST], post[:, REST])
    assert set(rows_of(changed[:, CHOSEN])) <= set(rows_of(reference.double()[:, CHOSEN]))
    if count == len(TOKENS):
        assert len(set(rows_of(changed[:, CHOSEN]))) == count
    assert torch.equal(reference, kept)


@pytest.mark.parametrize("factor", [0.0, 1.0, -2.5])
def test_scaling_scales_the_readout(factor: float) -> None:
    model = mlp()
    weights = model.state_dict()["W_U"].clone()
    weights[CHOSEN] *= factor
    logits, changed = seen(model, scale(CHOSEN, factor))
    torch.testing.assert_close(logits, activations(model) @ weights, rtol=0, atol=1e-12)
    assert torch.equal(changed[:, REST], activations(model)[:, REST])


def test_a_number_keeps_the_digits_of_float64() -> None:
    _, changed = seen(mlp(), scale(CHOSEN, 0.1))
    assert torch.equal(changed[:, CHOSEN], activations(mlp())[:, CHOSEN] * 0.1)


def test_gradients_reach_a_factor() -> None:
    """As for a gate that is learned; the hook keeps the value that it was made with."""
    model, gate = mlp(), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    hooks = scale(CHOSEN, gate)
    expected = (activations(model)[:, CHOSEN] @ model.W_U[CHOSEN]).sum()
    for _ in range(2):  # one hook, several backward passes
        gate.grad = None
        model.run_with_hooks(TOKENS, fwd_hooks=hooks).sum().backward()
        assert gate.grad is not None
        torch.testing.assert_close(gate.grad, expected, rtol=1e-12, atol=0)


def test_hooks_made_without_gradients_work_with_them() -> None:
    with torch.inference_mode():
        reference, factor = torch.ones(4, WIDTH), torch.full((4,), 3.0)
        made = [ablate(torch.tensor(CHOSEN), "mean", reference=reference), scale(CHOSEN, factor)]
    model = mlp().requires_grad_(True)
    for hooks in made:
        model.zero_grad()
        model.run_with_hooks(TOKENS, fwd_hooks=hooks).square().sum().backward()
        assert model.W_U.grad is not None


def test_scaling_by_one_factor_per_neuron_keeps_their_order() -> None:
    model = mlp()
    factors = torch.tensor([2.0, -1.0, 0.5])
    _, changed = seen(model, scale([4, 0, 11], factors))
    expected = activations(model)
    expected[:, 4] *= 2.0
    expected[:, 0] *= -1.0
    expected[:, 11] *= 0.5
    assert torch.equal(changed, expected)


def mask_of(neurons: list[int]) -> Tensor:
    mask = torch.zeros(WIDTH, dtype=torch.bool)
    mask[neurons] = True
    return mask


@pytest.mark.parametrize(
    "hooks",
    [
        lambda neurons: ablate(neurons),
        lambda neurons: ablate(neurons, "mean"),
        lambda neurons: ablate(neurons, "resample"),
        lambda neurons: scale(neurons, -3.0),
        lambda neurons: scale(neurons, torch.tensor([1.0, 2.0, 3.0, 4.0])),
    ],
    ids=["zero", "mean", "resample", "scale", "scale each"],
)
def test_mask_and_indices_agree(hooks: Callable[[Any], Any]) -> None:
    model = mlp()
    expected, _ = seen(model, hooks(CHOSEN))
    mask = mask_of(CHOSEN)
    for same in (mask, mask.tolist(), tuple(CHOSEN), torch.tensor(CHOSEN, dtype=torch.int32)):
        assert torch.equal(seen(model, hooks(same))[0], expected)


@pytest.mark.parametrize("none", [[], (), torch.tensor([]), torch.zeros(WIDTH, dtype=torch.bool)])
def test_no_neurons_change_nothing(none: Any) -> None:
    model = mlp()
    for hooks in (ablate(none), ablate(none, "mean"), ablate(none, "resample"), scale(none, 9.0)):
        assert torch.equal(model.run_with_hooks(TOKENS, fwd_hooks=hooks), model(TOKENS))


def test_layer_chooses_the_hidden_layer() -> None:
    model = mlp("relu", n_layers=3)
    clean, cache = model.run_with_cache(TOKENS)
    for layer in range(3):
        for hooks in (ablate(CHOSEN, layer=layer), scale(CHOSEN, 0.0, layer=layer)):
            with model.hooks(fwd_hooks=hooks):
                logits, changed = model.run_with_cache(TOKENS)
            for other in range(layer):
                name = f"layers.{other}.hook_post"
                assert torch.equal(changed[name], cache[name])
            name = f"layers.{layer}.hook_post"
            assert not changed[name][:, CHOSEN].any()
            assert torch.equal(changed[name][:, REST], cache[name][:, REST])
            assert not torch.equal(logits, clean)


def test_interventions_add_up() -> None:
    """Two lists of hooks are one list; a later hook sees what an earlier one left."""
    model = mlp()
    both = model.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN[:2]) + ablate(CHOSEN[2:]))
    assert torch.equal(both, model.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN)))
    doubled = scale([1], 2.0) + scale([1], 3.0)
    _, changed = seen(model, doubled)
    torch.testing.assert_close(changed[:, 1], 6 * activations(model)[:, 1], rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    "hooks",
    [ablate([1, 2]), ablate([1, 2], "mean"), ablate([1, 2], "resample"), scale([1, 2], 5.0)],
    ids=["zero", "mean", "resample", "scale"],
)
def test_activations_that_come_in_are_not_written_to(hooks: Any) -> None:
    ((_, function),) = hooks
    post = torch.rand(6, WIDTH, generator=torch.Generator().manual_seed(0))
    kept = post.clone()
    changed = function(post, HookPoint())
    assert torch.equal(post, kept)
    assert changed.data_ptr() != post.data_ptr()
    assert not torch.equal(changed, kept)


def test_gradients_of_ablated_neurons_vanish() -> None:
    model = mlp().requires_grad_(True)
    model.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN)).square().sum().backward()
    assert model.W_E.grad is not None
    assert not model.W_E.grad[:, :, CHOSEN].any()
    assert model.W_E.grad[:, :, REST].any()


def test_no_hook_survives_its_context() -> None:
    model = mlp()
    clean = model(TOKENS)
    model.run_with_hooks(TOKENS, fwd_hooks=ablate(CHOSEN))
    assert not has_hooks(model)
    with model.hooks(fwd_hooks=scale(CHOSEN, 2.0)):
        assert has_hooks(model)
        logits, cache = model.run_with_cache(TOKENS)
        expected = activations(model)
        expected[:, CHOSEN] *= 2
        assert torch.equal(cache[POST], expected)  # the cache shows what the intervention left
        assert torch.equal(model(TOKENS), logits)  # and caching did not lift it
    assert not has_hooks(model)
    assert torch.equal(model(TOKENS), clean)


def test_no_hook_survives_an_error() -> None:
    model = mlp()
    clean = model(TOKENS)
    with pytest.raises(IndexError, match="neurons contains"):
        model.run_with_hooks(TOKENS, fwd_hooks=ablate([0]) + ablate([WIDTH]))
    assert not has_hooks(model)
    with pytest.raises(IndexError, match="neurons contains"), model.hooks(ablate([WIDTH])):
        model.run_with_cache(TOKENS)
    assert not has_hooks(model)
    with pytest.raises(RuntimeError, match="my own mistake"), model.hooks(ablate([0])):
        raise RuntimeError("my own mistake")
    assert not has_hooks(model)
    assert torch.equal(model(TOKENS), clean)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("hooks", [ablate, lambda neurons: scale(neurons, 2.0)])
@pytest.mark.parametrize(
    ("neurons", "error", "message"),
    [
        (
            [3, WIDTH],
            IndexError,
            rf"neurons contains \[12\], but {POST} has 12 neurons \(0\.\.11\)",
        ),
        ([-1, 2], IndexError, r"neurons contains \[-1\], but .* has 12 neurons \(0\.\.11\)"),
        (torch.tensor([99]), IndexError, r"neurons contains \[99\]"),
        (
            torch.ones(5, dtype=torch.bool),
            IndexError,
            rf"neurons is a mask of shape \[5\], but {POST} has 12 neurons; give one value per",
        ),
        ([True, False], IndexError, r"neurons is a mask of shape \[2\]"),
        ([0.5], TypeError, r"list of indices or a boolean mask, got torch.float32 of shape \[1\]"),
        (
            [[1, 2]],
            TypeError,
            r"list of indices or a boolean mask, got torch.int64 of shape \[1, 2",
        ),
        (
            3,
            TypeError,
            r"list of indices or a boolean mask, got torch.int64 of shape \[\]; pass \[3\]",
        ),
        (None, TypeError, r"neurons must be a list of indices or a boolean mask, got None"),
        ("all", TypeError, r"list of indices or a boolean mask, got 'all'"),
        ([1, None], TypeError, r"list of indices or a boolean mask, got \[1, None\]"),
        (torch.tensor([1j]), TypeError, r"boolean mask, got torch.complex64 of shape \[1\]"),
        ([1, 2, 1], ValueError, r"has an index twice"),
    ],
)
def test_bad_neurons_are_refused(
    hooks: Callable[[Any], Any], neurons: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mlp().run_with_hooks(TOKENS, fwd_hooks=hooks(neurons))


@pytest.mark.usefixtures("no_type_checker")
def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mode='zeros' is unknown.*Did you mean 'zero'.*resample"):
        ablate([1], mode="zeros")
    with pytest.raises(ValueError, match="layer must be at least 0, got -1"):
        ablate([1], layer=-1)
    wrong: Any = 1.0
    with pytest.raises(TypeError, match=r"layer must be an integer, got 1.0 \(float\)"):
        scale([1], 2.0, layer=wrong)
    for factor, told in ((None, "None"), ("2", "'2'"), ([1.0, None], "None"), (1j, "1j")):
        with pytest.raises(TypeError, match=rf"factor must be a number, or one for each .*{told}"):
            scale([1, 2], factor)  # pyright: ignore[reportArgumentType]
    for factor in (float("nan"), float("inf"), torch.tensor([1.0, float("nan")])):
        with pytest.raises(ValueError, match=r"factor must be finite, got .*(nan|inf)"):
            scale([1, 2], factor)
    for hook in (3, ["hook_embed"], lambda name: True):
        with pytest.raises(TypeError, match="hook must be the name of a hook point"):
            ablate([1], hook=hook)  # pyright: ignore[reportArgumentType]
    for reference in (3, [[0.0] * WIDTH], torch.zeros(4, WIDTH, dtype=torch.int64)):
        with pytest.raises(TypeError, match="reference must be a tensor of activations, got "):
            ablate([1], "mean", reference=reference)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"one per chosen unit \(2\), got shape \[3\]"):
        mlp().run_with_hooks(TOKENS, fwd_hooks=scale([1, 2], torch.ones(3)))
    for mode in ("mean", "resample"):
        hooks = ablate([1], mode, reference=torch.zeros(4, WIDTH + 1))
        with pytest.raises(
            ValueError, match=rf"reference must be \[example, 12\] like {POST}, .*got \[4, 13\]"
        ):
            mlp().run_with_hooks(TOKENS, fwd_hooks=hooks)
    with pytest.raises(
        ValueError, match="factor must be finite, got an integer too large for float64"
    ):
        scale([0], 10**400)
