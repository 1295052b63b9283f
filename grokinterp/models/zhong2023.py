"""Loading checkpoints of Zhong et al. 2023, "The Clock and the Pizza", arXiv:2306.17844."""

import json
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors import SafetensorError, safe_open
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.models.base import check_state
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.loading import BUFFERS
from grokinterp.models.prompt import Prompt
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short

# What torch.load raises on files of another kind, and what reading a strange config raises.
_DAMAGED = (pickle.UnpicklingError, EOFError, RuntimeError)
_STRANGE = (AttributeError, KeyError, TypeError, ValueError)
# Their embedding MLPs: how embeddings are combined, the number of hidden layers, and a factor on
# the first layer's bias: model C applies that layer to both embeddings and adds the results.
_MLPS = {
    "linear_A": ("sum", 1, 1),
    "linear_B": ("sum", 2, 1),
    "linear_C": ("sum", 2, 2),
    "linear_D": ("concat", 1, 1),
}
# Metadata that must have these values: networks with such features are not supported.
_WITHOUT = {"causal": "false", "layernorm": "none", "tied": "false", "second_token_offset": "0"}
# What metadata (texts) and JSON (false, 0, null) hold for "no" and for "yes".
_OFF, _ON = ("", "0", "0.0", "false", "none"), ("1", "1.0", "true")


@unaffected()
def load_zhong2023(path: str | Path) -> HookedTransformer | HookedEmbeddingMLP:
    """Load a checkpoint of Zhong et al. 2023 as a network for pairs, in evaluation mode.

    Attention is bidirectional with pattern r softmax(scores) + (1 - r), as in their code. Biases
    that their networks lack are set to zero. Code in a file is never run.

    Args:
        path: ``model_ID.pt`` as in their repository (fjzzq2002/pizza), with ``config_ID.json``
            beside it. Or a safetensors file of the same tensors whose metadata has ``arch``
            ("transformer" or "linear_A" .. "linear_D"), ``p`` and ``act``, and for a transformer
            ``n_layers`` and ``attn_rate`` (r).

    Raises:
        FileNotFoundError: the checkpoint or its config is missing.
        ValueError: the file is unreadable, describes another kind of network, or has missing,
            extra or misshapen tensors, which the message names.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is not a file")
    checkpoint = _read_torch(path) if path.suffix == ".pt" else _read_safetensors(path)
    for name, common in _WITHOUT.items():
        if _text(value := checkpoint.about.get(name)) not in _OFF:
            raise ValueError(
                f"{path.name} has {name}={short(value)}; only {common!r} can be loaded"
            )
    arch = str(checkpoint.about.get("arch", ""))
    check_choice(f"arch in {path.name}", arch, ["transformer", *_MLPS])
    model = _transformer(checkpoint) if arch == "transformer" else _mlp(checkpoint, *_MLPS[arch])
    model.operation = "addition"  # the task of all their networks
    return model


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, object]  # the metadata's texts, or the JSON file's values

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
                raise ValueError(f"{self.path.name} must hold weights, but {name} is {got}")
            if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
                # A file of a few bytes can claim any shape, which would then be allocated.
                raise ValueError(
                    f"{self.path.name} does not hold all numbers of {name} {list(tensor.shape)}"
                )

    def number(self, name: str) -> float:
        """A finite number in the metadata."""
        told = self.about.get(name)
        try:
            number = math.nan if isinstance(told, bool) else float(told)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{self.path.name} has {name}={short(told)}; it must be a number")
        return number

    def count(self, name: str, *, at_most: int) -> int:
        """A whole number in the metadata, from 1 to ``at_most``."""
        number = self.number(name)
        if number != int(number) or not 1 <= number <= at_most:
            raise ValueError(
                f"{self.path.name} has {name}={short(self.about[name])}; with its tensors this "
                f"must be a whole number from 1 to {at_most}"
            )
        return int(number)

    @property
    def p(self) -> int:
        """The modulus."""
        return self.count("p", at_most=sum(tensor.numel() for tensor in self.tensors.values()))

    @property
    def act(self) -> str:
        """The activation function's name in our spelling."""
        return str(self.about.get("act", "")).lower()

    def sizes(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of a tensor that must have ``axes`` axes."""
        if name not in self.tensors or self.tensors[name].ndim != axes:
            got = list(self.tensors[name].shape) if name in self.tensors else "nothing"
            raise ValueError(f"{self.path.name} must have {name} with {axes} axes, got {got}")
        return tuple(self.tensors[name].shape)

    def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Raise unless the file has exactly the tensors of these names and shapes."""
        expected = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        check_state(f"checkpoint, {self.path.name}", expected, self.tensors)


def _transformer(checkpoint: _Checkpoint) -> HookedTransformer:
    p, n_layers = checkpoint.p, checkpoint.count("n_layers", at_most=len(checkpoint.tensors))
    words = "a b =" if _flag(checkpoint.path, "equals_sign", checkpoint.about) else "a b"
    V, n_ctx = Prompt(words, p).d_vocab, len(words.split())
    d, _ = checkpoint.sizes("embed.W_E", 2)
    heads, d_head, _ = checkpoint.sizes("blocks.0.attn.W_Q", 3)
    shapes = {"embed.W_E": (d, V), "pos_embed.W_pos": (n_ctx, d), "unembed.W_U": (d, V)}
    for i in range(n_layers):
        shapes |= {f"blocks.{i}.attn.W_{x}": (heads, d_head, d) for x in "QKV"}
        shapes[f"blocks.{i}.attn.W_O"] = (d, heads * d_head)
        shapes |= {f"blocks.{i}.mlp.W_in": (4 * d, d), f"blocks.{i}.mlp.b_in": (4 * d,)}
        shapes |= {f"blocks.{i}.mlp.W_out": (d, 4 * d), f"blocks.{i}.mlp.b_out": (d,)}
    checkpoint.check(shapes)
    config: dict[str, Any] = {"n_layers": n_layers, "n_heads": heads, "d_model": d}
    config |= {"d_head": d_head, "d_vocab_out": V, "prompt": words, "init": "nanda"}
    config |= {"act_fn": checkpoint.act, "attn_rate": checkpoint.number("attn_rate")}
    config["attention_dir"] = "bidirectional"
    model = HookedTransformer(TransformerConfig(**config), p=p)
    state = {name: torch.zeros_like(weight) for name, weight in model.state_dict().items()}
    for name, weight in checkpoint.tensors.items():
        # Their matrices have the output axis first, ours the input axis, except for these two.
        is_same = name in ("pos_embed.W_pos", "unembed.W_U") or weight.ndim == 1
        weight = weight if is_same else weight.mT
        if name.endswith("W_O"):
            weight = rearrange(weight, "(head d_head) d -> head d_head d", head=heads)
        state[name] = weight
    model.adopt(state)
    return model


def _mlp(checkpoint: _Checkpoint, combine: str, n_layers: int, biases: int) -> HookedEmbeddingMLP:
    p = checkpoint.p
    _, d_embed = checkpoint.sizes("embed.weight", 2)
    width, _ = checkpoint.sizes("l1.weight", 2)
    shapes = {"embed.weight": (p, d_embed), "unembed.weight": (p, width)}
    shapes |= {f"l{i}.bias": (width,) for i in range(1, n_layers + 1)}
    shapes |= {f"l{i}.weight": (width, width) for i in range(2, n_layers + 1)}
    shapes["l1.weight"] = (width, 2 * d_embed if combine == "concat" else d_embed)
    checkpoint.check(shapes)
    hidden, act = (width,) * n_layers, checkpoint.act
    config = EmbeddingMLPConfig.zhong2023(d_embed=d_embed, hidden=hidden, combine=combine, act=act)
    tensors = checkpoint.tensors
    state = {"embed.W_E": tensors["embed.weight"], "unembed.W_U": tensors["unembed.weight"].T}
    for i in range(n_layers):
        state[f"layers.{i}.W_in"] = tensors[f"l{i + 1}.weight"].T
        state[f"layers.{i}.b_in"] = tensors[f"l{i + 1}.bias"] * (biases if i == 0 else 1)
    model = HookedEmbeddingMLP(config, p=p)
    model.adopt(state)
    return model


def _flag(path: Path, name: str, about: Mapping[str, object]) -> bool:
    """A yes or no of a config or metadata; no if it is missing."""
    value = about.get(name)
    if _text(value) not in (*_OFF, *_ON):
        raise ValueError(f"{path.name} has {name}={short(value)}; it must be true or false")
    return _text(value) in _ON


def _text(value: object) -> str:
    return str(value).strip().lower()


def _read_safetensors(path: Path) -> _Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about: dict[str, object] = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    return _Checkpoint(path, tensors, about)


def _read_torch(path: Path) -> _Checkpoint:
    beside = path.with_name(path.name.replace("model_", "config_", 1)).with_suffix(".json")
    if not beside.is_file():
        raise FileNotFoundError(f"{beside} is missing; it holds the checkpoint's configuration")
    try:
        config = json.loads(beside.read_text())
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        tensors = {name: w for name, w in tensors.items() if not BUFFERS.fullmatch(name)}
        about: dict[str, object] = {
            "arch": f"linear_{config['model_type']}" if "model_type" in config else "transformer",
            "p": config["C"],
            "act": config.get("act_fn", "ReLU"),
            "n_layers": config.get("n_layers", 1),
            "attn_rate": config.get("attn_coeff"),
        }
    except (*_DAMAGED, *_STRANGE) as error:
        raise ValueError(f"{path} or {beside.name} is unreadable: {error!r}") from error
    about["equals_sign"] = _flag(beside, "eqn_sign", config)
    if _flag(beside, "use_linear", config):
        about["arch"] = "use_linear"  # a kind of network that is not supported
    if _flag(beside, "diff_vocab", config):
        about["second_token_offset"] = config["C"]
    return _Checkpoint(path, tensors, about)
