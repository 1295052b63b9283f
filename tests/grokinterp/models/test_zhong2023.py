"""The loader of Zhong et al.'s networks, against their numbers and their code by hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from grokinterp.frequencies import replaced_embedding
from grokinterp.models import zhong2023
from grokinterp.models.zhong2023 import load_zhong2023
from tests.grokinterp.models.trap import Trap
from tests.networks import all_pairs

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


def a_transformer(vocab: int = 5, **about: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors laid out as theirs, of a tiny network with p = 5: d 8, 2 heads of 4."""
    draw = torch.Generator().manual_seed(1)
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (8, vocab), "pos_embed.W_pos": (2, 8)}
    shapes |= {"unembed.W_U": (8, vocab)} | {f"blocks.0.attn.W_{x}": (2, 4, 8) for x in "QKV"}
    shapes |= {"blocks.0.attn.W_O": (8, 8), "blocks.0.mlp.W_in": (32, 8)}
    shapes |= {
        "blocks.0.mlp.b_in": (32,),
        "blocks.0.mlp.W_out": (8, 32),
        "blocks.0.mlp.b_out": (8,),
    }
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    plain = {"arch": "transformer", "p": "5", "act": "ReLU", "n_layers": "1", "attn_rate": "0.3"}
    return tensors, plain | about


def an_mlp(kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    draw, d_in = torch.Generator().manual_seed(1), 12 if kind == "D" else 6
    layers = {"A": 1, "B": 2, "C": 2, "D": 1, "X": 1}[kind]
    tables = ["embed1.weight", "embed2.weight"] if kind == "X" else ["embed.weight"]
    shapes = dict.fromkeys(tables, (5, 6)) | {"unembed.weight": (5, 7)}
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


@pytest.mark.parametrize("offset", [0, 5])
def test_their_transformer_by_hand(offset: int, tmp_path: Path) -> None:
    """One head and one position after the other, with 1 - r added to the pattern, not (1 - r)/T."""
    tensors, about = a_transformer(5 + offset, second_token_offset=str(offset))
    model, pairs = load_zhong2023(saved(tmp_path, (tensors, about))).double(), all_pairs(5)
    w = {name: tensor.double() for name, tensor in tensors.items()}
    for (a, b), got in zip(pairs.tolist(), model(pairs), strict=True):
        columns = w["embed.W_E"][:, [a, b + offset]] + w["pos_embed.W_pos"].T  # [d, pos]
        out, z = columns[:, 1].clone(), []
        for head in range(2):
            q, k, v = (w[f"blocks.0.attn.W_{n}"][head] @ columns for n in "QKV")
            pattern = 0.3 * (q[:, 1] @ k / 2).softmax(dim=0) + 0.7
            z.append(v @ pattern)
        out = out + w["blocks.0.attn.W_O"] @ torch.cat(z)
        hidden = torch.relu(w["blocks.0.mlp.W_in"] @ out + w["blocks.0.mlp.b_in"])
        out = out + w["blocks.0.mlp.W_out"] @ hidden + w["blocks.0.mlp.b_out"]
        torch.testing.assert_close(got, out @ w["unembed.W_U"], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ["A", "B", "C", "D", "X"])
def test_their_embedding_mlps_by_hand(kind: str, tmp_path: Path) -> None:
    tensors, about = an_mlp(kind)
    model, pairs = load_zhong2023(saved(tmp_path, (tensors, about))).double(), all_pairs(5)
    w = {name: tensor.double() for name, tensor in tensors.items()}
    tables = ("embed1.weight", "embed2.weight") if kind == "X" else ("embed.weight",) * 2
    first, second = (w[name][column] for name, column in zip(tables, pairs.T, strict=True))

    def linear(i: int, x: Tensor) -> Tensor:
        return F.linear(x, w[f"l{i}.weight"], w[f"l{i}.bias"])

    x = {
        "A": lambda: linear(1, first + second),
        "X": lambda: linear(1, first + second),
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


@pytest.mark.parametrize("no", [False, 0, None, "False", "false", "0", 0.0])
def test_what_their_configs_say_is_not_there(no: object, tmp_path: Path) -> None:
    """Seven of their 18 files have ``"eqn_sign": false``, the others 0."""
    tensors, about = a_transformer()
    expected, pairs = load_zhong2023(saved(tmp_path, (tensors, about))), all_pairs(5)
    config = {"diff_vocab": no, "use_linear": no, "n_layers": 1, "act_fn": "ReLU"}
    path = saved_as_theirs(tmp_path, tensors, attn_coeff=0.3, eqn_sign=no, **config)
    assert torch.equal(load_zhong2023(path)(pairs), expected(pairs))
    if isinstance(no, str):  # the metadata of a safetensors file are texts
        names = ("causal", "tied", "second_token_offset", "equals_sign", "layernorm")
        again = load_zhong2023(saved(tmp_path, (tensors, about | dict.fromkeys(names, no))))
        assert torch.equal(again(pairs), expected(pairs))


@pytest.mark.parametrize("yes", [True, 1, "True", "true", "1"])
def test_an_equals_sign_is_one_more_token(yes: object, tmp_path: Path) -> None:
    tensors, about = a_transformer()
    draw = torch.Generator().manual_seed(2)
    for name, shape in {
        "embed.W_E": (8, 6),
        "unembed.W_U": (8, 6),
        "pos_embed.W_pos": (3, 8),
    }.items():
        tensors[name] = torch.randn(shape, generator=draw)
    model = load_zhong2023(saved_as_theirs(tmp_path, tensors, attn_coeff=0.3, eqn_sign=yes))
    logits, cache = model.run_with_cache(all_pairs(5))
    assert logits.shape == (25, 6)
    sign = tensors["embed.W_E"][:, 5].expand(25, 8)
    assert torch.equal(cache["hook_embed"][:, 2], sign)
    if isinstance(yes, str):
        again = load_zhong2023(saved(tmp_path, (tensors, about | {"equals_sign": yes})))
        assert torch.equal(again.run_with_cache(all_pairs(5))[0], logits)


@pytest.mark.parametrize("sign", [False, True])
def test_a_second_table_is_that_of_the_second_operand(sign: bool, tmp_path: Path) -> None:
    """``diff_vocab`` in their configuration; what reads or replaces tables is given both."""
    tensors, _ = a_transformer(10 + sign)
    tensors["pos_embed.W_pos"] = torch.linspace(-1, 1, (2 + sign) * 8).view(-1, 8)
    tensors = {name: tensor.double() for name, tensor in tensors.items()}
    path = saved_as_theirs(tmp_path, tensors, attn_coeff=0.3, diff_vocab=1, eqn_sign=sign)
    model, pairs = load_zhong2023(path), all_pairs(5)
    W_E = tensors["embed.W_E"].T
    first, second = model.input_tables.values()
    assert torch.equal(first, W_E[:5])
    assert torch.equal(second, W_E[5:10])
    assert not model.operands_share_input
    logits, cache = model.run_with_cache(pairs)
    assert torch.equal(cache["hook_embed"][:, 0], W_E[pairs[:, 0]])
    assert torch.equal(cache["hook_embed"][:, 1], W_E[5 + pairs[:, 1]])
    if sign:
        assert torch.equal(cache["hook_embed"][:, 2], W_E[10].expand(25, 8))
    # Without hooks the keys and values are computed once for every token at a position.
    torch.testing.assert_close(model(pairs), logits, rtol=1e-11, atol=1e-11)
    with replaced_embedding(model, {"W_E[0]": W_E[:5], "W_E[1]": W_E[[5] * 5]}):
        by_second = model(pairs).reshape(5, 5, -1)
    torch.testing.assert_close(by_second, by_second[:, :1].expand(5, 5, -1))


@pytest.mark.parametrize("yes", [True, 1, "True", "1"])
def test_their_other_networks_are_refused(yes: object, tmp_path: Path) -> None:
    tensors, _ = a_transformer()
    with pytest.raises(ValueError, match=r"arch='use_linear' in model_abc\.pt is unknown"):
        load_zhong2023(saved_as_theirs(tmp_path, tensors, attn_coeff=0.3, use_linear=yes))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_layers": 10**9}, "n_layers=1000000000; with its tensors .* from 1 to 11"),
        ({"n_layers": "1e9"}, "n_layers='1e9'; with its tensors .* from 1 to 11"),
        ({"n_layers": 1.5}, "n_layers=1.5; with its tensors this must be a whole number"),
        ({"n_layers": 0}, "n_layers=0; with its tensors this must be"),
        ({"n_layers": True}, "n_layers=True; it must be a number"),
        ({"n_layers": [1]}, r"n_layers=\[1\]; it must be a number"),
        ({"C": 10**30}, "p=1000000000000000000000000000000; with its tensors"),
        ({"C": 10**400}, "p=an integer of 400 digits; it must be a number"),
        ({"C": float("inf")}, "p=inf; it must be a number"),
        ({"C": -5}, "p=-5; with its tensors this must be"),
        ({"C": 100_000}, r"p=100000; with its tensors .* from 1 to 9\d\d"),
        ({"attn_coeff": float("nan")}, "attn_rate=nan; it must be a number"),
        ({"attn_coeff": 2}, r"attn_rate must lie in \[0, 1\], got 2"),
        ({"eqn_sign": "maybe"}, "config_abc.json has eqn_sign='maybe'; it must be true or false"),
        ({"eqn_sign": 2}, "eqn_sign=2; it must be true or false"),
        ({"diff_vocab": [0]}, r"diff_vocab=\[0\]; it must be true or false"),
        ({"act_fn": None}, "act_fn='none' is unknown"),
    ],
)
def test_values_that_no_network_has_are_refused_before_it_is_built(
    config: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zhong2023, "HookedTransformer", None)  # would fail if it was built
    path = saved_as_theirs(tmp_path, a_transformer()[0], **{"attn_coeff": 0.3} | config)
    with pytest.raises(ValueError, match=message):
        load_zhong2023(path)


def test_tensors_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    tensors, _ = a_transformer()
    for wrong, message in (
        (torch.ones(1).expand(10**6, 10**6), r"does not hold all numbers of unembed.W_U \[1000000"),
        (torch.ones(8, 5, dtype=torch.int64), "unembed.W_U is torch.int64"),
        (3.0, "unembed.W_U is float"),
    ):
        given: Any = tensors | {"unembed.W_U": wrong}
        with pytest.raises(ValueError, match=message):
            load_zhong2023(saved_as_theirs(tmp_path, given, attn_coeff=0.3))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"second_token_offset": "7"}, "second_token_offset='7'; only 0 and p=5 can be loaded"),
        ({"causal": "true"}, "causal='true'"),
        ({"layernorm": "LN"}, "layernorm='LN'"),
        ({"tied": "true"}, "tied='true'"),
        ({"arch": "linear_Y"}, "arch='linear_Y' in network.safetensors is unknown"),
        ({"act": "Tanh"}, "act_fn='tanh' is unknown"),
        ({"p": "many"}, "p='many'; it must be a number"),
        ({"attn_rate": "''"}, "attn_rate=\"''\"; it must be a number"),
        ({"p": "7"}, r"embed\.W_E is \[8, 5\] and should be \[8, 7\]"),
        ({"n_layers": "2"}, r"missing blocks\.1\.attn\.W_K \[2, 4, 8\]"),
    ],
)
def test_other_networks_are_refused(about: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_zhong2023(saved(tmp_path, a_transformer(5, **about)))


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


def test_loading_runs_no_code_and_names_unreadable_files(tmp_path: Path) -> None:
    path = saved_as_theirs(tmp_path, {"embed.weight": Trap(tmp_path / "sprung")})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"model_abc\.pt or config_abc\.json is unreadable.*Weigh"):
        load_zhong2023(path)
    assert not (tmp_path / "sprung").exists()
    torch.save(a_transformer()[0], path)
    for content in (b"", b"PK\x03\x04 cut", b"no model at all", path.read_bytes()[:-200]):
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
    with pytest.raises(ValueError, match="is not a readable safetensors file"):
        load_zhong2023(whole)
    with pytest.raises(FileNotFoundError, match=r"path='.*nowhere' is not a file"):
        load_zhong2023(tmp_path / "nowhere")
    bare = tmp_path / "bare.safetensors"
    save_file({"x": torch.ones(1)}, bare)
    with pytest.raises(ValueError, match=r"arch='' in bare\.safetensors is unknown"):
        load_zhong2023(bare)
