"""The transformer as a task network: what is skipped, what is shared, and how it begins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from grokinterp.models.transformer_parts import Block
from tests.networks import Logits, all_pairs, far_from_zero, sentences
from tests.transformer_variants import TINY, VARIANTS

P = 5
PAIRS = all_pairs(P)


def network(config: TransformerConfig, *, p: int | None = P, seed: int = 0) -> HookedTransformer:
    return far_from_zero(HookedTransformer(config, p=p), seed=21 + seed)


def unskipped(model: HookedTransformer, pairs: Tensor) -> Tensor:
    """With a hook set, everything is computed at every position."""
    return model.run_with_hooks(pairs, fwd_hooks=[("hook_embed", lambda x, hook: x)])


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_skipping_changes_neither_logits_nor_gradients(variant: str, few: bool) -> None:
    """Many pairs share a table of the first layer's rows; two have no use for one."""
    model, pairs = network(VARIANTS[variant]), PAIRS[7:9] if few else PAIRS
    full, fast = unskipped(model, pairs), model(pairs)
    torch.testing.assert_close(fast, full, rtol=1e-12, atol=1e-12 * full.abs().max().item())
    weights = dict(model.named_parameters())
    kicks = torch.randn(full.shape, generator=torch.Generator().manual_seed(1), dtype=full.dtype)
    slow, quick = (
        torch.autograd.grad((x * kicks).sum(), list(weights.values()), materialize_grads=True)
        for x in (full, fast)
    )
    # Key biases have no gradient but rounding: the scale of the others says how much is none.
    scale = max(gradient.abs().max().item() for gradient in slow)
    for name, ours, theirs in zip(weights, quick, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12 * scale, msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pairs_are_the_last_position_of_the_prompts_tokens(variant: str) -> None:
    model = network(VARIANTS[variant])
    plain = HookedTransformer(model.cfg).double()
    plain.load_state_dict(model.state_dict())
    expected = plain(sentences(model.cfg.prompt, PAIRS, P))[:, -1]
    torch.testing.assert_close(model(PAIRS), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_only_what_is_read_is_computed(n_layers: int) -> None:
    model = network(TransformerConfig(**TINY, n_layers=n_layers))
    seen: list[tuple[int, ...]] = []

    def watched(pre: Tensor) -> Tensor:
        seen.append(tuple(pre.shape))
        return pre.relu()

    for block in model.blocks:
        assert isinstance(block, Block)
        assert block.mlp is not None
        block.mlp.act = watched
    model(PAIRS)
    assert seen == [(25, 3, 20)] * (n_layers - 1) + [(25, 1, 20)]
    seen.clear()
    unskipped(model, PAIRS)
    assert seen == [(25, 3, 20)] * n_layers


def test_a_hook_at_a_position_that_is_not_read_takes_effect() -> None:
    model = network(TransformerConfig(**TINY, n_layers=2))

    def silence(x: Tensor, hook: Any) -> Tensor:
        return torch.cat([0 * x[:, :1], x[:, 1:]], dim=1)

    hooked = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.mlp.hook_post", silence)])
    assert (hooked - model(PAIRS)).abs().amax(dim=1).min() > 1e-6


@pytest.mark.parametrize("variant", ["default", "two layers", "LN", "paper 1", "paper 2"])
def test_every_hook_has_all_positions(variant: str) -> None:
    model = network(VARIANTS[variant])
    logits, cache = model.run_with_cache(PAIRS)
    config = model.cfg
    pos, heads, d_head = len(config.prompt.split()), config.n_heads, config.d_head
    shapes: dict[str, tuple[int | None, ...]] = {f"hook_{x}": (pos, heads, d_head) for x in "qkvz"}
    shapes |= {f"hook_{name}": (heads, pos, pos) for name in ("attn_scores", "pattern")}
    shapes |= {f"hook_{name}": (pos, config.d_mlp) for name in ("pre", "post")}
    shapes |= {"hook_scale": (pos, 1), "hook_out": (pos, config.d_vocab_out)}
    assert set(cache.keys()) == set(model.hook_dict)
    for name, activation in cache.items():
        expected = shapes.get(name.rsplit(".")[-1], (pos, config.d_model))
        assert tuple(activation.shape) == (25, *expected), name
    assert torch.equal(cache["unembed.hook_out"][:, -1], logits)


def test_rows_of_a_batch_do_not_meet() -> None:
    model = network(VARIANTS["two layers"])
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(PAIRS[order]), model(PAIRS)[order])
    torch.testing.assert_close(model(PAIRS[3:4]), model(PAIRS)[3:4])
    assert model(PAIRS[:0]).shape == (0, P)


@pytest.mark.parametrize("variant", ["default", "LN, two layers", "tied", "paper 1", "paper 2"])
@pytest.mark.parametrize("hooked", [False, True])
def test_vectorised_over_weights(variant: str, hooked: bool) -> None:
    """As the trainer on a GPU calls it: both networks in one pass, logits and gradients."""
    config, pairs = VARIANTS[variant], PAIRS
    pair = [network(config, seed=seed) for seed in (0, 1)]
    states = [dict(model.named_parameters()) for model in pair]
    stacked = {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}
    model = Logits(pair[0])

    def loss(params: dict[str, Tensor]) -> Tensor:
        named = {f"model.{name}": weight for name, weight in params.items()}
        return functional_call(model, named, (pairs,)).logsumexp(dim=1).sum()

    hooks: list[Any] = [("blocks.0.hook_attn_out", lambda x, hook: 2 * x)] if hooked else []
    with pair[0].hooks(fwd_hooks=hooks), pair[1].hooks(fwd_hooks=hooks):
        losses, grads = vmap(loss)(stacked), vmap(grad(loss))(stacked)
        for i, single in enumerate(pair):
            alone = single(pairs).logsumexp(dim=1).sum()
            torch.testing.assert_close(losses[i], alone, rtol=1e-12, atol=0)
            alone.backward()
            for name, weight in single.named_parameters():
                if weight.grad is not None:
                    torch.testing.assert_close(grads[name][i], weight.grad, rtol=1e-9, atol=1e-12)


# Dropout


@pytest.mark.parametrize("variant", ["default", "two layers", "paper 2"])
def test_dropout_points_are_hook_points_of_the_stated_shapes(variant: str) -> None:
    config = VARIANTS[variant]
    _, cache = network(config).run_with_cache(PAIRS)
    for place in HookedTransformer.dropout_places:
        points = HookedTransformer.dropout_points(config, place)
        assert len(points) == (1 if place == "embed" else config.n_layers) * (
            2 if place == "residual" else 1
        )
        for name, shape in points.items():
            assert tuple(cache[name].shape[1:]) == shape, name


def test_dropout_places_are_joined() -> None:
    points = HookedTransformer.dropout_points(VARIANTS["default"], "embed+attention+residual")
    assert points == {
        "blocks.0.hook_resid_pre": (3, 12),
        "blocks.0.attn.hook_pattern": (3, 3, 3),
        "blocks.0.hook_attn_out": (3, 12),
        "blocks.0.hook_mlp_out": (3, 12),
    }
    only = HookedTransformer.dropout_points(VARIANTS["attention only"], "residual")
    assert only == {"blocks.0.hook_attn_out": (3, 12)}


def test_unknown_dropout_places_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dropout place='embd' is unknown\. Did you mean 'embed'"):
        HookedTransformer.dropout_points(VARIANTS["default"], "attention+embd")
    with pytest.raises(ValueError, match="dropout at 'post' needs an MLP"):
        HookedTransformer.dropout_points(VARIANTS["attention only"], "post")


# On disk, and bad input


@pytest.mark.parametrize("variant", ["default", "tied", "large vocabulary", "paper 2"])
@pytest.mark.parametrize("with_p", [True, False])
def test_saved_networks_come_back(variant: str, with_p: bool, tmp_path: Path) -> None:
    model = network(VARIANTS[variant])
    inputs = PAIRS
    if not with_p:
        plain = HookedTransformer(model.cfg).double()
        plain.load_state_dict(model.state_dict())
        model = plain
    model.save_pretrained(tmp_path)
    back = HookedTransformer.from_pretrained(tmp_path)
    assert (back.cfg, back.p) == (model.cfg, model.p)
    assert back(inputs).dtype == torch.float64
    torch.testing.assert_close(back(inputs), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("no_type_checker")
def test_numpy_numbers_become_pythons() -> None:
    config = TransformerConfig(d_model=np.int64(16), attn_rate=np.float64(0.5))  # pyright: ignore[reportArgumentType]
    assert type(config.d_model) is int
    assert type(config.attn_rate) is float


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_ctx": 2}, "n_ctx must be at least 3 for p=5 and the prompt 'a b =', got 2"),
        ({"d_vocab": 5}, "d_vocab must be at least 6 for p=5 and the prompt 'a b =', got 5"),
        ({"d_vocab_out": 4}, "d_vocab_out must be at least 5 for p=5"),
        ({"tie_embedding": True, "d_vocab_out": 9}, "d_vocab_out=9 must be at most d_vocab=6"),
    ],
)
def test_networks_too_small_for_the_task_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HookedTransformer(TransformerConfig(**TINY, **fields), p=P)


@pytest.mark.usefixtures("no_type_checker")
def test_symbols_are_no_operands() -> None:
    model = network(TransformerConfig(**TINY))
    with pytest.raises(ValueError, match=r"0\.\.4 for p=5, got values from 0 to 5"):
        model(torch.tensor([[0, 5]]))
    with pytest.raises(ValueError, match=r"shape \[batch, 2\]"):
        model(torch.tensor([[0, 1, 5, 5]]))


def test_a_replaced_module_sees_every_position() -> None:
    """What it does to other positions must not be skipped."""
    model = HookedTransformer(TransformerConfig(d_model=8, n_heads=2), p=5, seed=1).double()

    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape[1])
            return x.mean(dim=1, keepdim=True).expand_as(x)

    seen: list[int] = []
    model.blocks[0].mlp = Mixing()
    model(torch.tensor([[0, 1], [2, 3]]).repeat(20, 1))
    assert seen == [3]


def test_p_set_by_hand_is_refused() -> None:
    model: Any = HookedTransformer(TransformerConfig(d_model=8, n_heads=2, d_vocab=6, n_ctx=3))
    model.p = 5
    with pytest.raises(ValueError, match="p=5 was set on a HookedTransformer"):
        model(torch.tensor([[0, 1]]))
