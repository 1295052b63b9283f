"""Saving and loading of every network in huggingface_hub's way, on a local folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from grokinterp.models import HookedMLP, MLPConfig
from grokinterp.models.base import HookedModel
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from tests.networks import all_pairs

P = 5
PAIRS = all_pairs(P)


def transformer(**fields: Any) -> HookedTransformer:
    config = TransformerConfig(**{"d_model": 8, "n_heads": 2, "act_fn": "gelu"} | fields)
    return HookedTransformer(config, p=P, seed=2)


def embedding_mlp(**fields: Any) -> HookedEmbeddingMLP:
    config = EmbeddingMLPConfig(**{"d_embed": 4, "hidden": (6, 7)} | fields)
    return HookedEmbeddingMLP(config, p=P, seed=2)


MODELS: dict[str, Callable[[], HookedModel]] = {
    "mlp": lambda: HookedMLP(MLPConfig(d_mlp=6, n_layers=2), p=P, seed=2),
    "mlp with batch norm": lambda: HookedMLP(MLPConfig(d_mlp=6, norm="batch"), p=P, seed=2),
    "mlp with layer norm": lambda: HookedMLP(MLPConfig(d_mlp=6, norm="layer"), p=P, seed=2),
    "concatenated embeddings": lambda: embedding_mlp(prompt="a + b =", norm="batch"),
    "summed embeddings": lambda: embedding_mlp(combine="sum", biases=False, d_vocab_out=9),
    "transformer": transformer,
    "transformer with norms": lambda: transformer(normalization_type="LN", n_layers=2),
    "transformer with biases in the MLP": lambda: transformer(biases="mlp", prompt="a p+b ="),
    "tied transformer": lambda: transformer(
        tie_embedding=True, positional_embedding_type="sinusoidal", attn_rate=0.5, biases=False
    ),
    "lstm": lambda: HookedLSTM(LSTMConfig(d_embed=4, d_hidden=6), p=P, seed=2),
}


def trained(name: str) -> HookedModel:
    """The network after a batch in training mode, so that running statistics have moved."""
    model = MODELS[name]()
    with torch.no_grad():
        model(PAIRS[:9])
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_every_network_comes_back(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = trained(name).to(dtype)
    model.save_pretrained(tmp_path / "model")
    again = type(model).from_pretrained(tmp_path / "model")
    assert type(again) is type(model)
    assert (again.cfg, again.p, again.training) == (model.cfg, P, False)
    state = model.state_dict()
    assert again.state_dict().keys() == state.keys()
    for key, value in again.state_dict().items():
        assert value.dtype == dtype
        assert torch.equal(value, state[key])
    with torch.no_grad():
        assert torch.equal(again(PAIRS), model(PAIRS))
    assert list(again.hook_dict) == list(model.hook_dict)


def test_the_folder_holds_json_and_safetensors_and_a_card(tmp_path: Path) -> None:
    model = trained("mlp with batch norm")
    model.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md"}
    plain = json.loads((tmp_path / "config.json").read_text())
    assert plain["class"] == "HookedMLP"
    assert plain["p"] == P
    assert plain["config"]["norm"] == "batch"
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()


def test_saving_twice_keeps_the_last(tmp_path: Path) -> None:
    trained("lstm").save_pretrained(tmp_path)
    trained("mlp").save_pretrained(tmp_path)
    assert HookedMLP.from_pretrained(tmp_path).cfg == MLPConfig(d_mlp=6, n_layers=2)


def test_views_and_transposed_weights_are_saved(tmp_path: Path) -> None:
    """What shares memory or is not contiguous, safetensors refuses."""
    model = HookedMLP(MLPConfig(d_mlp=P), p=P)
    both = torch.randn(2, P, P, generator=torch.Generator().manual_seed(0))
    model.W_E.data, model.W_U.data = both.mT, both[0]
    model.save_pretrained(tmp_path)
    assert torch.equal(HookedMLP.from_pretrained(tmp_path)(PAIRS), model.eval()(PAIRS))


CONFIGS = [
    (
        {"class": "HookedTransformer"},
        r"class='HookedTransformer' in .* is unknown.*Known: HookedMLP",
    ),
    ({"p": None}, r"config\.json is not a saved config: KeyError"),
    ({"class": None}, r"config: KeyError\('class'\)"),
    ({"config": [1]}, r"config\.json is not a saved config"),
    ({"operation": 3}, "operation in .* must be a string"),
    ({"config": {"d_mlp": 0}}, "d_mlp must be at least 1"),
    (
        {"config": {"n_layer": 3}},
        r"field='n_layer' in .* is unknown\. Did you mean 'n_layers'",
    ),
    (
        {"config": {"d_mlp": 7}},
        r"W_E is \[2, 5, 6\] and should be \[2, 5, 7\].*Build the model from",
    ),
    ({"config": {"d_mlp": 10_000}}, "describes a far larger network than is stored"),  # 1e8 numbers
    ({"config": {"norm": "layer"}}, r"missing layers\.0\.norm\.beta \[6\]"),
]


@pytest.mark.parametrize(("changes", "message"), CONFIGS)
def test_configs_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    trained("mlp").save_pretrained(tmp_path)
    plain = json.loads((tmp_path / "config.json").read_text())
    for name, value in changes.items():
        plain[name] = plain[name] | value if isinstance(value, dict) else value
    written = {name: value for name, value in plain.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(TypeError if "operation" in changes else ValueError, match=message):
        HookedMLP.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '"HookedMLP"'])
def test_a_config_that_is_no_json_object_is_named(content: str, tmp_path: Path) -> None:
    trained("mlp").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is not a saved config"):
        HookedMLP.from_pretrained(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights_are_named(keep: int, tmp_path: Path) -> None:
    trained("mlp").save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a readable safetensors file"):
        HookedMLP.from_pretrained(tmp_path)


def test_wrong_tensors_are_all_named(tmp_path: Path) -> None:
    trained("mlp").save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["W_Q"], state["W_U"] = torch.ones(3), torch.ones(6, 4)
    del state["layers.1.W_in"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit this HookedMLP") as caught:
        HookedMLP.from_pretrained(tmp_path)
    assert "missing layers.1.W_in [6, 6]" in str(caught.value)
    assert "extra W_Q [3]" in str(caught.value)
    assert "W_U is [6, 4] and should be [6, 5]" in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_named(name: str, tmp_path: Path) -> None:
    trained("mlp").save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing; .* holds no saved model"):
        HookedMLP.from_pretrained(tmp_path)


class Hub:
    """A Hub in a folder, with the two calls that huggingface_hub makes to upload."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, []

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        self.calls.append(("create_repo", repo_id, options["private"]))
        return type("Created", (), {"repo_id": repo_id})

    def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> str:
        self.calls.append(("upload_folder", repo_id, options["repo_type"]))
        shutil.copytree(folder_path, self.folder / repo_id)
        return "a commit"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")

    def download(repo_id: str, filename: str, **options: Any) -> str:
        return str(hub.folder / repo_id / filename)

    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", lambda **options: hub)
    monkeypatch.setattr("grokinterp.models.hub.hf_hub_download", download)
    return hub


@pytest.mark.parametrize("name", ["mlp with batch norm", "transformer", "lstm"])
def test_networks_go_to_the_hub_and_back(name: str, hub: Hub) -> None:
    model = trained(name)
    assert model.push_to_hub("someone/grokked", private=True) == "a commit"
    assert hub.calls == [
        ("create_repo", "someone/grokked", True),
        ("upload_folder", "someone/grokked", "model"),
    ]
    again = type(model).from_pretrained("someone/grokked")
    with torch.no_grad():
        assert torch.equal(again(PAIRS), model(PAIRS))


def test_hooks_are_not_saved_and_do_not_disturb(tmp_path: Path) -> None:
    model = trained("mlp")
    before = model(PAIRS)

    def zero(activation: Tensor, hook: Any) -> Tensor:
        return torch.zeros_like(activation)

    with model.hooks(fwd_hooks=[("layers.0.hook_post", zero)]):
        model.save_pretrained(tmp_path)
    assert torch.equal(HookedMLP.from_pretrained(tmp_path)(PAIRS), before)
