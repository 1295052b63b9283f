"""The transformer as a task network: what is skipped, what is shared, and how it begins."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.func import functional_call, grad, vmap

from grokinterp.models.transformer import HookedTransformer, TransformerConfig
from grokinterp.models.transformer_parts import Block

P = 5
TINY: dict[str, Any] = {"d_model": 12, "n_heads": 3, "d_mlp": 20}


def all_pairs(p: int = P) -> Tensor:
    return torch.tensor(list(itertools.product(range(p), repeat=2)))


def network(config: TransformerConfig, *, p: int | None = P, seed: int = 0) -> HookedTransformer:
    """In float64, with every parameter far from zero, biases and norms too."""
    model = HookedTransformer(config, p=p).double()
    rng = torch.Generator().manual_seed(21 + seed)
    for weight in model.parameters():
        weight.data.normal_(0.0, 0.5, generator=rng)
    return model


VARIANTS: dict[str, TransformerConfig] = {
    "default": TransformerConfig(**TINY),
    "two layers": TransformerConfig(**TINY, n_layers=2, act_fn="gelu"),
    "three bidirectional": TransformerConfig(
        **TINY, n_layers=3, attention_dir="bidirectional", act_fn="square"
    ),
    "LN": TransformerConfig(**TINY, normalization_type="LN"),
    "LN, two layers": TransformerConfig(**TINY, n_layers=2, normalization_type="LN"),
    "LNPre": TransformerConfig(**TINY, normalization_type="LNPre", n_layers=2),
    "attention only": TransformerConfig(**TINY, attn_only=True),
    "attention only, post-norm": TransformerConfig(
        **TINY, attn_only=True, n_layers=2, normalization_type="LN", norm_position="post"
    ),
    "pizza": TransformerConfig(**TINY, attn_rate=0.3, prompt="a b", attention_dir="bidirectional"),
    "causal pizza": TransformerConfig(**TINY, attn_rate=0.3, n_layers=2),
    "tied": TransformerConfig(**TINY, tie_embedding=True),
    "swapped operands": TransformerConfig(**TINY, prompt="= b + a", n_layers=2),
    "repeated symbols": TransformerConfig(**TINY, prompt="x a x b x"),
    "large vocabulary": TransformerConfig(**TINY, d_vocab=11, d_vocab_out=9, n_ctx=6, d_head=7),
    "paper 1": TransformerConfig.paper1(**TINY),
    "paper 2": TransformerConfig.paper2(**TINY),
}


def unskipped(model: HookedTransformer, pairs: Tensor) -> Tensor:
    """With a hook set, everything is computed at every position."""
    return model.run_with_hooks(pairs, fwd_hooks=[("hook_embed", lambda x, hook: x)])


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_skipping_changes_neither_logits_nor_gradients(variant: str, few: bool) -> None:
    """Many pairs share a table of the first layer's rows; two have no use for one."""
    model, pairs = network(VARIANTS[variant]), all_pairs()[7:9] if few else all_pairs()
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
    written = {"=": 5, "+": 6, "x": 5, "eos": 5}
    if model.cfg.prompt == "eos a + b =":
        written |= {"=": 7}
    sequences = [
        [{"a": a, "b": b}.get(word, written.get(word, -1)) for word in model.cfg.prompt.split()]
        for a, b in all_pairs().tolist()
    ]
    expected = plain(torch.tensor(sequences))[:, -1]
    torch.testing.assert_close(model(all_pairs()), expected, rtol=1e-12, atol=1e-12)


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
    model(all_pairs())
    assert seen == [(25, 3, 20)] * (n_layers - 1) + [(25, 1, 20)]
    seen.clear()
    unskipped(model, all_pairs())
    assert seen == [(25, 3, 20)] * n_layers


def test_a_hook_at_a_position_that_is_not_read_takes_effect() -> None:
    model = network(TransformerConfig(**TINY, n_layers=2))

    def silence(x: Tensor, hook: Any) -> Tensor:
        return torch.cat([0 * x[:, :1], x[:, 1:]], dim=1)

    hooked = model.run_with_hooks(all_pairs(), fwd_hooks=[("blocks.0.mlp.hook_post", silence)])
    assert (hooked - model(all_pairs())).abs().amax(dim=1).min() > 1e-6


@pytest.mark.parametrize("variant", ["default", "two layers", "LN", "paper 1", "paper 2"])
def test_every_hook_has_all_positions(variant: str) -> None:
    model = network(VARIANTS[variant])
    logits, cache = model.run_with_cache(all_pairs())
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
    torch.testing.assert_close(model(all_pairs()[order]), model(all_pairs())[order])
    torch.testing.assert_close(model(all_pairs()[3:4]), model(all_pairs())[3:4])
    assert model(all_pairs()[:0]).shape == (0, P)


@pytest.mark.parametrize("variant", ["default", "LN, two layers", "tied", "paper 1", "paper 2"])
@pytest.mark.parametrize("hooked", [False, True])
def test_vectorised_over_weights(variant: str, hooked: bool) -> None:
    """As the trainer on a GPU calls it: both networks in one pass, logits and gradients."""
    config, pairs = VARIANTS[variant], all_pairs()
    pair = [network(config, seed=seed) for seed in (0, 1)]
    states = [dict(model.named_parameters()) for model in pair]
    stacked = {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}
    model = _Unchecked(pair[0])

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


class _Unchecked(torch.nn.Module):
    def __init__(self, model: HookedTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: Tensor) -> Tensor:
        return self.model.logits(pairs)


# Dropout


@pytest.mark.parametrize("variant", ["default", "two layers", "paper 2"])
def test_dropout_points_are_hook_points_of_the_stated_shapes(variant: str) -> None:
    config = VARIANTS[variant]
    _, cache = network(config).run_with_cache(all_pairs())
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


# The papers' networks and their initial weights


def count(model: HookedTransformer, *, besides: tuple[str, ...]) -> int:
    return sum(weight.numel() for name, weight in model.named_parameters() if name not in besides)


def test_the_papers_parameter_counts() -> None:
    first = HookedTransformer(TransformerConfig.paper1(), p=97)
    assert count(first, besides=("embed.W_E", "pos_embed.W_pos")) == 209_024
    assert first.W_E.shape == (97, 128)
    assert first.W_pos.shape == (2, 128)
    second = HookedTransformer(TransformerConfig.paper2(), p=97)
    assert count(second, besides=("embed.W_E", "unembed.W_U")) == 394_240
    assert second.W_E.numel() == second.W_U.numel() == 30_592


def test_first_papers_scales() -> None:
    """Attention is divided by d_head and the logits by d_model (s = 1)."""
    model = network(TransformerConfig.paper1(**TINY))
    logits, cache = model.run_with_cache(all_pairs())
    torch.testing.assert_close(logits, cache["resid_post", 0][:, -1] @ model.W_U / 12)
    products = torch.einsum("bqhd,bkhd->bhqk", cache["q", 0], cache["k", 0])
    torch.testing.assert_close(cache["attn_scores", 0], products / 4)


D, D_MLP, D_VOCAB = 48, 96, 60
NORMAL = {  # standard deviations: tokens, positions, W_Q W_K W_V, W_in, W_O, W_out, W_U
    "gpt2": (0.02,) * 7,
    "paper1": (1, 1, D**-0.5, D**-0.5, 40**-0.5, D_MLP**-0.5, D**-0.5),
    "nanda": (D**-0.5,) * 6 + (D_VOCAB**-0.5,),
    "zhong": (D**-0.5,) * 3 + (D_MLP**-0.5,) + (D**-0.5,) * 2 + (D_VOCAB**-0.5,),
}


def drawn(init: str, **fields: Any) -> dict[str, Tensor]:
    """Heads 8 x 5 wide together: their W_O has a fan-in of its own."""
    sizes: dict[str, Any] = {"d_model": D, "d_mlp": D_MLP, "n_heads": 8, "d_head": 5, "n_ctx": 50}
    fields |= {"n_layers": 2, "init": init, "normalization_type": "LN"}
    config = TransformerConfig(**sizes, **fields)
    return HookedTransformer(config, p=D_VOCAB - 1, seed=4).state_dict()


def parts(state: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Weights in the order of ``NORMAL``."""
    read_in = [state[f"blocks.1.attn.W_{letter}"] for letter in "QKV"]
    return [
        ("tokens", state["embed.W_E"]),
        ("positions", state["pos_embed.W_pos"]),
        ("W_Q W_K W_V", torch.cat([weight.flatten() for weight in read_in])),
        ("W_in", state["blocks.1.mlp.W_in"]),
        ("W_O", state["blocks.1.attn.W_O"]),
        ("W_out", state["blocks.1.mlp.W_out"]),
        ("W_U", state["unembed.W_U"]),
    ]


@pytest.mark.parametrize("init", NORMAL)
def test_normal_initial_weights(init: str) -> None:
    for (name, weight), std in zip(parts(drawn(init)), NORMAL[init], strict=True):
        values = weight.double().flatten()
        assert abs(values.std().item() / std - 1) < 4 / (2 * len(values)) ** 0.5, name
        assert stats.kstest(values.numpy(), "norm", args=(0, std)).pvalue > 1e-3, name


def test_second_papers_initial_weights_are_torchs_defaults() -> None:
    """``nn.Embedding``: N(0, 1); ``nn.Linear``: uniform on +-1 / sqrt(fan_in)."""
    weights = parts(drawn("paper2"))
    for name, weight in weights[:2]:
        assert stats.kstest(weight.flatten().numpy(), "norm").pvalue > 1e-3, name
    for (name, weight), fan_in in zip(weights[2:], (D, D, 40, D_MLP, D), strict=True):
        bound = fan_in**-0.5
        uniform = stats.uniform(-bound, 2 * bound)
        assert stats.kstest(weight.flatten().numpy(), uniform.cdf).pvalue > 1e-3, name


@pytest.mark.parametrize("init", [*NORMAL, "paper2"])
def test_biases_start_at_zero_and_norms_at_the_identity(init: str) -> None:
    for name, weight in drawn(init).items():
        leaf = name.rsplit(".")[-1]
        if leaf == "w":
            assert (weight == 1).all()
        elif leaf.startswith("b"):
            assert not weight.any()
        else:
            assert weight.any()


def test_first_papers_tied_embedding_starts_as_the_unembedding() -> None:
    """There the shared matrix is initialised twice, and the linear layer has the last word."""
    tied = drawn("paper1", tie_embedding=True)
    assert tied["embed.W_E"].std().item() == pytest.approx(D**-0.5, rel=0.06)


def test_every_weight_is_drawn_on_its_own() -> None:
    matrices = [w.flatten()[:900] for name, w in drawn("gpt2").items() if ".W_" in name]
    correlation = torch.corrcoef(torch.stack(matrices)) - torch.eye(len(matrices))
    assert correlation.abs().max() < 5 / math.sqrt(900)


@pytest.mark.usefixtures("no_type_checker")
def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    config, before = TransformerConfig(**TINY), torch.get_rng_state()
    first, again, other = (HookedTransformer(config, p=P, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert not weight.any() or not torch.equal(weight, other[name])


# On disk, and bad input


@pytest.mark.parametrize("variant", ["default", "tied", "large vocabulary", "paper 2"])
@pytest.mark.parametrize("with_p", [True, False])
def test_saved_networks_come_back(variant: str, with_p: bool, tmp_path: Path) -> None:
    model = network(VARIANTS[variant])
    inputs = all_pairs()
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
