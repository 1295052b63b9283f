"""Loaders of networks that other people trained, against their own numbers."""

import itertools
import json
import os
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from grokinterp.models.loading import from_transformer_lens
from grokinterp.models.zhong2023 import load_zhong2023

# What TransformerLens 3.9 writes into the cfg of a network made with the first seven fields.
CONFIG: dict[str, Any] = {
    "d_model": 8, "d_head": 3, "n_layers": 1, "n_ctx": 3, "d_vocab": 6, "d_vocab_out": 5,
    "act_fn": "gelu", "n_heads": 2, "d_mlp": 10, "device": "cpu", "use_attn_result": False,
    "use_split_qkv_input": False, "default_prepend_bos": True, "attn_only": False,
    "positional_embedding_type": "standard", "n_key_value_heads": None, "gated_mlp": False,
    "uses_rms_norm": False, "eps": 1e-5, "layer_norm_folding": False, "normalization_type": "LN",
    "num_experts": None, "experts_per_token": None, "final_rms": False, "dtype": torch.float32,
    "model_name": "custom", "use_attn_scale": True, "attn_scale": 3**0.5, "init_mode": "gpt2",
    "attention_dir": "causal", "seed": None, "initializer_range": 0.02, "rotary_dim": None,
    "tokenizer_name": None, "attn_scores_soft_cap": -1.0, "output_logits_soft_cap": -1.0,
    "use_local_attn": False, "tie_word_embeddings": False, "n_params": 384,
}  # fmt: skip


def weights() -> dict[str, Tensor]:
    """A state_dict as TransformerLens lays it out, masks and all, every weight random."""
    draw = torch.Generator().manual_seed(0)
    shapes = {
        "embed.W_E": (6, 8), "pos_embed.W_pos": (3, 8),
        "blocks.0.ln1.w": (8,), "blocks.0.ln1.b": (8,),
        "blocks.0.ln2.w": (8,), "blocks.0.ln2.b": (8,),
        "blocks.0.attn.W_Q": (2, 8, 3), "blocks.0.attn.b_Q": (2, 3),
        "blocks.0.attn.W_K": (2, 8, 3), "blocks.0.attn.b_K": (2, 3),
        "blocks.0.attn.W_V": (2, 8, 3), "blocks.0.attn.b_V": (2, 3),
        "blocks.0.attn.W_O": (2, 3, 8), "blocks.0.attn.b_O": (8,),
        "blocks.0.mlp.W_in": (8, 10), "blocks.0.mlp.b_in": (10,),
        "blocks.0.mlp.W_out": (10, 8), "blocks.0.mlp.b_out": (8,),
        "ln_final.w": (8,), "ln_final.b": (8,),
        "unembed.W_U": (8, 5), "unembed.b_U": (5,),
    }  # fmt: skip
    state = {
        name: torch.randn(shape, generator=draw, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    masks = {
        "blocks.0.attn.mask": torch.ones(3, 3).tril().bool(),
        "blocks.0.attn.IGNORE": torch.tensor(-torch.inf),
    }
    return state | masks


def by_hand(w: dict[str, Tensor], tokens: Tensor, scale: float, causal: bool) -> Tensor:
    """The logits of that network, one head after the other."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (8,), w[f"{name}.w"], w[f"{name}.b"], eps=1e-5)

    resid = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    x, block = norm(resid, "blocks.0.ln1"), "blocks.0.attn"
    for head in range(2):
        q, k, v = (x @ w[f"{block}.W_{n}"][head] + w[f"{block}.b_{n}"][head] for n in "QKV")
        scores = q @ k.mT / scale
        if causal:
            scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
        resid = resid + scores.softmax(dim=-1) @ v @ w[f"{block}.W_O"][head]
    resid = resid + w[f"{block}.b_O"]
    hidden = norm(resid, "blocks.0.ln2") @ w["blocks.0.mlp.W_in"] + w["blocks.0.mlp.b_in"]
    resid = resid + F.gelu(hidden) @ w["blocks.0.mlp.W_out"] + w["blocks.0.mlp.b_out"]
    return norm(resid, "ln_final") @ w["unembed.W_U"] + w["unembed.b_U"]


def all_pairs(p: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(p), repeat=2)))


SEQUENCES = torch.cat([all_pairs(5), torch.full((25, 1), 5)], dim=1)


@pytest.mark.parametrize("form", [dict, lambda config: types.SimpleNamespace(**config)])
@pytest.mark.parametrize(
    ("changes", "scale", "causal"),
    [
        ({}, 3**0.5, True),
        ({"attn_scale": -1.0}, 3**0.5, True),
        ({"attn_scale": 2.0}, 2.0, True),
        ({"use_attn_scale": False, "attn_scale": -1.0}, 1.0, True),
        ({"attention_dir": "bidirectional"}, 3**0.5, False),
    ],
)
def test_transformer_lens_network_by_hand(
    changes: dict[str, Any], scale: float, causal: bool, form: Any
) -> None:
    model = from_transformer_lens(weights(), form(CONFIG | changes))
    assert not model.training
    expected = by_hand(weights(), SEQUENCES, scale, causal)
    torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)
    model = from_transformer_lens(weights(), form(CONFIG | changes), p=5)
    torch.testing.assert_close(model(all_pairs(5)), expected[:, -1], rtol=1e-11, atol=1e-11)


def test_unset_fields_mean_what_they_mean_there() -> None:
    """LayerNorm unless the config says otherwise, causal, sqrt(d_head); -1 is "not set"."""
    names = ("d_model", "d_head", "n_layers", "n_ctx", "d_vocab", "d_vocab_out", "act_fn", "d_mlp")
    config = {name: CONFIG[name] for name in names}
    state = weights()
    for name in ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O"):  # 8 // 3 heads
        assert len(state[f"blocks.0.attn.{name}"]) == 8 // 3
    expected = by_hand(state, SEQUENCES, 3**0.5, causal=True)
    for given in (config, config | {"n_heads": -1, "attn_scale": -1}):
        model = from_transformer_lens(state, given)
        torch.testing.assert_close(model(SEQUENCES), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gated_mlp", True),
        ("final_rms", True),
        ("parallel_attn_mlp", True),
        ("use_local_attn", True),
        ("use_qk_norm", True),
        ("attn_scores_soft_cap", 30.0),
        ("num_experts", 4),
        ("n_key_value_heads", 1),
        ("positional_embedding_type", "rotary"),
        ("normalization_type", "RMS"),
        ("act_fn", "gelu_new"),
        ("atention_dir", "bidirectional"),
    ],
)
def test_fields_that_cannot_be_expressed_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}={value!r}"):
        from_transformer_lens(weights(), CONFIG | {field: value})


def test_as_many_key_value_heads_as_heads_is_nothing_new() -> None:
    from_transformer_lens(weights(), CONFIG | {"n_key_value_heads": 2})


def test_missing_extra_and_misshapen_tensors_are_named() -> None:
    state = weights() | {"blocks.0.attn.rotary": torch.ones(3), "ln_final.w": torch.ones(9)}
    del state["blocks.0.mlp.b_in"]
    with pytest.raises(ValueError, match="does not fit this HookedTransformer") as caught:
        from_transformer_lens(state, CONFIG)
    for part in (
        "missing blocks.0.mlp.b_in [10]",
        "extra blocks.0.attn.rotary [3]",
        "ln_final.w is [9] and should be [8]",
    ):
        assert part in str(caught.value)
    assert "IGNORE" not in str(caught.value)
    with pytest.raises(ValueError, match="config does not say d_head, d_vocab"):
        from_transformer_lens(weights(), {"n_layers": 1, "d_model": 8, "n_ctx": 3, "d_vocab": -1})
    with pytest.raises(ValueError, match="d_vocab must be at least 8 for p=7"):
        from_transformer_lens(weights(), CONFIG, p=7)


# Zhong et al. 2023

FOLDER = os.environ.get("GROKINTERP_ZHONG2023")
needs_checkpoints = pytest.mark.skipif(
    FOLDER is None,
    reason="GROKINTERP_ZHONG2023 names no folder with the checkpoints of Zhong et al. 2023",
)


def checkpoint(run: str) -> Path:
    assert FOLDER is not None
    return Path(FOLDER) / f"pizza_{run}.safetensors"


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@needs_checkpoints
@pytest.mark.parametrize(
    ("run", "accuracy", "loss"),
    [
        ("p99zdpze5l", 1.0, 1.384e-7),
        ("l8k1hzciux", 1.0, 1.56e-7),
        ("p71frej8t7", 1.0, 6.2e-7),
        ("n9n7h3p965", 0.5826, 2.1),
    ],
)
def test_checkpoints_have_their_accuracy_and_loss(run: str, accuracy: float, loss: float) -> None:
    """The loss proves the loader: with another attention constant Model A still scores 100 %."""
    model, pairs = load_zhong2023(checkpoint(run)).double(), all_pairs(59)
    assert not model.training
    labels = pairs.sum(dim=1) % 59
    with torch.no_grad():
        logits = model(pairs)
    assert logits.shape == (59 * 59, 59)
    hits = (logits.argmax(dim=1) == labels).double().mean().item()
    assert hits == pytest.approx(accuracy, abs=5e-5)
    digits = {1.384e-7: 5e-11, 1.56e-7: 5e-10, 6.2e-7: 5e-9, 2.1: 0.05}[loss]  # as printed
    assert F.cross_entropy(logits, labels).item() == pytest.approx(loss, abs=digits, rel=0)


def a_transformer(**about: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors laid out as theirs, of a tiny network with p = 5: d 8, 2 heads of 4."""
    draw = torch.Generator().manual_seed(1)
    shapes = {
        "embed.W_E": (8, 5), "pos_embed.W_pos": (2, 8), "unembed.W_U": (8, 5),
        "blocks.0.attn.W_Q": (2, 4, 8), "blocks.0.attn.W_K": (2, 4, 8),
        "blocks.0.attn.W_V": (2, 4, 8), "blocks.0.attn.W_O": (8, 8),
        "blocks.0.mlp.W_in": (32, 8), "blocks.0.mlp.b_in": (32,),
        "blocks.0.mlp.W_out": (8, 32), "blocks.0.mlp.b_out": (8,),
    }  # fmt: skip
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    plain = {"arch": "transformer", "p": "5", "act": "ReLU", "n_layers": "1", "attn_rate": "0.3"}
    return tensors, plain | about


def an_mlp(kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    draw, d_in = torch.Generator().manual_seed(1), 12 if kind == "D" else 6
    layers = {"A": 1, "B": 2, "C": 2, "D": 1}[kind]
    shapes = {"embed.weight": (5, 6), "unembed.weight": (5, 7)}
    for i in range(1, layers + 1):
        shapes |= {f"l{i}.weight": (7, d_in if i == 1 else 7), f"l{i}.bias": (7,)}
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    return tensors, {"arch": f"linear_{kind}", "p": "5", "act": "ReLU"}


def saved(folder: Path, made: tuple[dict[str, Tensor], dict[str, str]]) -> Path:
    save_file(made[0], folder / "network.safetensors", metadata=made[1])
    return folder / "network.safetensors"


def saved_as_theirs(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    """The two files of their repository."""
    torch.save(tensors, folder / "model_abc.pt")
    (folder / "config_abc.json").write_text(json.dumps({"C": 5, "runid": "abc"} | config))
    return folder / "model_abc.pt"


def test_their_transformer_by_hand(tmp_path: Path) -> None:
    """One head and one position after the other, with 1 - r added to the pattern, not (1 - r)/T."""
    tensors, about = a_transformer()
    model, pairs = load_zhong2023(saved(tmp_path, (tensors, about))).double(), all_pairs(5)
    w = {name: tensor.double() for name, tensor in tensors.items()}
    for (a, b), got in zip(pairs.tolist(), model(pairs), strict=True):
        columns = w["embed.W_E"][:, [a, b]] + w["pos_embed.W_pos"].T  # [d, pos]
        out, z = columns[:, 1].clone(), []
        for head in range(2):
            q, k, v = (w[f"blocks.0.attn.W_{n}"][head] @ columns for n in "QKV")
            pattern = 0.3 * (q[:, 1] @ k / 2).softmax(dim=0) + 0.7
            z.append(v @ pattern)
        out = out + w["blocks.0.attn.W_O"] @ torch.cat(z)
        hidden = torch.relu(w["blocks.0.mlp.W_in"] @ out + w["blocks.0.mlp.b_in"])
        out = out + w["blocks.0.mlp.W_out"] @ hidden + w["blocks.0.mlp.b_out"]
        torch.testing.assert_close(got, out @ w["unembed.W_U"], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ["A", "B", "C", "D"])
def test_their_embedding_mlps_by_hand(kind: str, tmp_path: Path) -> None:
    tensors, about = an_mlp(kind)
    model, pairs = load_zhong2023(saved(tmp_path, (tensors, about))).double(), all_pairs(5)
    w = {name: tensor.double() for name, tensor in tensors.items()}
    first, second = (w["embed.weight"][column] for column in pairs.T)

    def linear(i: int, x: Tensor) -> Tensor:
        return F.linear(x, w[f"l{i}.weight"], w[f"l{i}.bias"])

    x = {
        "A": lambda: linear(1, first + second),
        "B": lambda: linear(1, first + second),
        "C": lambda: linear(1, first) + linear(1, second),
        "D": lambda: linear(1, torch.cat([first, second], dim=1)),
    }[kind]().relu()
    x = linear(2, x).relu() if kind in "BC" else x
    expected = x @ w["unembed.weight"].T
    torch.testing.assert_close(model(pairs), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("act", ["ReLU", "GeLU"])
def test_original_torch_files_are_the_same_networks(act: str, tmp_path: Path) -> None:
    tensors, about = a_transformer(act=act)
    expected, pairs = load_zhong2023(saved(tmp_path, (tensors, about))), all_pairs(5)
    masked = tensors | {"blocks.0.attn.mask": torch.ones(2, 2).tril()}
    config = {"n_layers": 1, "n_heads": 2, "act_fn": act, "attn_coeff": 0.3, "diff_vocab": 0}
    path = saved_as_theirs(tmp_path, masked, attention_dir="casual", eqn_sign=0, **config)
    assert torch.equal(load_zhong2023(path)(pairs), expected(pairs))
    tensors, about = an_mlp("B")
    expected = load_zhong2023(saved(tmp_path, (tensors, about)))
    path = saved_as_theirs(tmp_path, tensors, model_type="B", n_vocab=5, d_model=256)
    assert torch.equal(load_zhong2023(path)(pairs), expected(pairs))


def test_an_equals_sign_is_one_more_token(tmp_path: Path) -> None:
    tensors, _ = a_transformer()
    draw = torch.Generator().manual_seed(2)
    for name, shape in {
        "embed.W_E": (8, 6),
        "unembed.W_U": (8, 6),
        "pos_embed.W_pos": (3, 8),
    }.items():
        tensors[name] = torch.randn(shape, generator=draw)
    path = saved_as_theirs(tmp_path, tensors, attn_coeff=1.0, eqn_sign=1)
    model = load_zhong2023(path)
    logits, cache = model.run_with_cache(all_pairs(5))
    assert logits.shape == (25, 6)
    sign = tensors["embed.W_E"][:, 5].expand(25, 8)
    assert torch.equal(cache["hook_embed"][:, 2], sign)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"second_token_offset": "5"}, "second_token_offset='5'; only '0' can be loaded"),
        ({"causal": "true"}, "causal='true'"),
        ({"layernorm": "LN"}, "layernorm='LN'"),
        ({"tied": "true"}, "tied='true'"),
        ({"arch": "linear_X"}, "arch in network.safetensors='linear_X' is unknown"),
        ({"act": "Tanh"}, "act_fn='tanh' is unknown"),
        ({"p": "many"}, "p='many'; needs a number"),
        ({"attn_rate": "''"}, "attn_rate=\"''\"; needs a number"),
        ({"p": "7"}, r"embed\.W_E is \[8, 5\] and should be \[8, 7\]"),
        ({"n_layers": "2"}, r"missing blocks\.1\.attn\.W_K \[2, 4, 8\]"),
    ],
)
def test_other_networks_are_refused(about: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_zhong2023(saved(tmp_path, a_transformer(**about)))


@pytest.mark.parametrize("name", ["embed.W_E", "blocks.0.attn.W_Q", "blocks.0.mlp.b_out"])
def test_wrong_tensors_of_a_checkpoint_are_named(name: str, tmp_path: Path) -> None:
    tensors, about = a_transformer()
    missing = {key: tensor for key, tensor in tensors.items() if key != name}
    with pytest.raises(ValueError, match=f"{name}"):
        load_zhong2023(saved(tmp_path, (missing, about)))
    with pytest.raises(ValueError, match=f"{name}"):
        load_zhong2023(saved(tmp_path, (tensors | {name: torch.ones(3)}, about)))
    extra = tensors | {"ln_final.w": torch.ones(8)}
    with pytest.raises(ValueError, match=r"checkpoint, network\.safetensors: extra ln_final\.w"):
        load_zhong2023(saved(tmp_path, (extra, about)))
    tensors, about = an_mlp("B")
    del tensors["l2.bias"]
    with pytest.raises(ValueError, match=r"missing l2\.bias \[7\]"):
        load_zhong2023(saved(tmp_path, (tensors, about)))


class Trap:
    """What a malicious file holds: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


def test_loading_runs_no_code_and_names_unreadable_files(tmp_path: Path) -> None:
    path = saved_as_theirs(tmp_path, {"embed.weight": Trap(tmp_path / "sprung")})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"model_abc\.pt or config_abc\.json is unreadable.*Weigh"):
        load_zhong2023(path)
    assert not (tmp_path / "sprung").exists()
    for content in (b"", b"PK\x03\x04 cut", b"no model at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model_abc\.pt or config_abc\.json is unreadable"):
            load_zhong2023(path)
    torch.save([torch.ones(2)], path)
    with pytest.raises(ValueError, match=r"is unreadable: AttributeError"):
        load_zhong2023(path)
    (tmp_path / "config_abc.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config_abc\.json is missing"):
        load_zhong2023(path)
    whole = saved(tmp_path, a_transformer())
    whole.write_bytes(whole.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is no readable safetensors file"):
        load_zhong2023(whole)
    with pytest.raises(FileNotFoundError, match=r"path='.*nowhere' is no file"):
        load_zhong2023(tmp_path / "nowhere")
    bare = tmp_path / "bare.safetensors"
    save_file({"x": torch.ones(1)}, bare)
    with pytest.raises(ValueError, match=r"arch in bare\.safetensors='' is unknown"):
        load_zhong2023(bare)
