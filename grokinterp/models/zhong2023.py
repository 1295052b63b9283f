"""Loading checkpoints of Zhong et al. 2023, "The Clock and the Pizza", arXiv:2306.17844."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.loading import BUFFERS
from grokinterp.models.output_first import (
    UNREADABLE,
    check_shapes,
    check_weights,
    input_first,
    read_tensors_only,
    sizes,
    transformer_shapes,
)
from grokinterp.models.prompt import Prompt
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short

# Their embedding MLPs: how embeddings are combined, the number of hidden layers, and a factor on
# the first layer's bias: model C applies that layer to both embeddings and adds the results. Model
# X is A with a table for each operand.
_MLPS = {
    "linear_A": ("sum", 1, 1),
    "linear_B": ("sum", 2, 1),
    "linear_C": ("sum", 2, 2),
    "linear_D": ("concat", 1, 1),
    "linear_X": ("sum", 1, 1),
}
# Metadata that must have these values: networks with such features are not supported.
_WITHOUT = {"causal": "false", "layernorm": "none", "tied": "false"}
# What metadata (texts) and JSON (false, 0, null) hold for "no" and for "yes".
_OFF, _ON = ("", "0", "0.0", "false", "none"), ("1", "1.0", "true")


@unaffected()
def load_zhong2023(path: str | Path) -> HookedTransformer | HookedEmbeddingMLP:
    """Load a checkpoint of Zhong et al. 2023 as a network for pairs, in evaluation mode.

    Attention is bidirectional with pattern r softmax(scores) + (1 - r), as in their code. Where the
    second operand has an embedding of its own, the prompt has "p+b" in place of "b" and
    ``input_tables`` holds both. Code in a file is never run.

    Args:
        path: ``model_ID.pt`` as in their repository (fjzzq2002/pizza), with ``config_ID.json``
            beside it. Or a safetensors file of the same tensors whose metadata has ``arch``
            ("transformer", "linear_A" .. "linear_D" or "linear_X"), ``p`` and ``act``, for a
            transformer ``n_layers`` and ``attn_rate`` (r), and ``second_token_offset`` = p where
            the second operand's tokens are p..2p-1.

    Raises:
        FileNotFoundError: the checkpoint or its config is missing.
        ValueError: the file is unreadable, describes another kind of network, or has missing,
            extra or misshapen tensors, which the message names.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from safetensors.torch import save_file
        >>> shapes = {"embed.weight": (13, 6), "l1.weight": (8, 6), "l1.bias": (8,)}
        >>> shapes |= {"unembed.weight": (13, 8)}
        >>> tensors = {name: torch.rand(shape) for name, shape in shapes.items()}
        >>> save_file(tensors, "theirs.safetensors", {"arch": "linear_A", "p": "13", "act": "ReLU"})
        >>> model = gi.load_zhong2023("theirs.safetensors")
        >>> model.p, model.description, model.operation
        (13, 'EmbeddingMLP 8 relu', 'addition')
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
        check_weights(self.path.name, self.tensors)

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

    @property
    def second_operand(self) -> str:
        """How the prompt writes the second operand."""
        told = self.about.get("second_token_offset")
        if _text(told) in _OFF:
            return "b"
        offset, p = self.number("second_token_offset"), self.p
        if offset != p:
            raise ValueError(
                f"{self.path.name} has second_token_offset={short(told)}; only 0 and p={p} can be "
                "loaded"
            )
        return "p+b"

    def sizes(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of a tensor that must have ``axes`` axes."""
        return sizes(self.path.name, self.tensors, name, axes)

    def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Raise unless the file has exactly the tensors of these names and shapes."""
        check_shapes(self.path.name, self.tensors, shapes)


def _transformer(checkpoint: _Checkpoint) -> HookedTransformer:
    p, n_layers = checkpoint.p, checkpoint.count("n_layers", at_most=len(checkpoint.tensors))
    words = f"a {checkpoint.second_operand}"
    if _flag(checkpoint.path, "equals_sign", checkpoint.about):
        words += " ="
    prompt = Prompt(words, p)
    d, _ = checkpoint.sizes("embed.W_E", 2)
    heads, d_head, _ = checkpoint.sizes("blocks.0.attn.W_Q", 3)
    prompted = {"n_ctx": prompt.length, "d_vocab": prompt.d_vocab, "n_layers": n_layers}
    shapes = transformer_shapes(d_model=d, d_mlp=4 * d, heads=heads, d_head=d_head, **prompted)
    checkpoint.check(shapes)
    config: dict[str, Any] = {"n_layers": n_layers, "n_heads": heads, "d_model": d}
    config |= {"d_head": d_head, "d_vocab_out": prompt.d_vocab, "prompt": words}
    config |= {"act_fn": checkpoint.act, "attn_rate": checkpoint.number("attn_rate")}
    model = HookedTransformer(TransformerConfig.zhong2023(**config), p=p)
    model.adopt(input_first(checkpoint.tensors, heads))
    return model


def _mlp(checkpoint: _Checkpoint, combine: str, n_layers: int, biases: int) -> HookedEmbeddingMLP:
    p, second = checkpoint.p, checkpoint.second_operand
    tables, rows = ["embed.weight"], 2 * p if second == "p+b" else p
    if checkpoint.about["arch"] == "linear_X":
        tables, rows, second = ["embed1.weight", "embed2.weight"], p, "p+b"
    _, d_embed = checkpoint.sizes(tables[0], 2)
    width, _ = checkpoint.sizes("l1.weight", 2)
    shapes = dict.fromkeys(tables, (rows, d_embed)) | {"unembed.weight": (p, width)}
    shapes |= {f"l{i}.bias": (width,) for i in range(1, n_layers + 1)}
    shapes |= {f"l{i}.weight": (width, width) for i in range(2, n_layers + 1)}
    shapes["l1.weight"] = (width, 2 * d_embed if combine == "concat" else d_embed)
    checkpoint.check(shapes)
    config = EmbeddingMLPConfig.zhong2023(
        d_embed=d_embed,
        hidden=(width,) * n_layers,
        combine=combine,
        act=checkpoint.act,
        prompt=f"a {second}",
    )
    tensors = checkpoint.tensors
    state = {
        "embed.W_E": torch.cat([tensors[name] for name in tables]),
        "unembed.W_U": tensors["unembed.weight"].T,
    }
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
        tensors = read_tensors_only(path)
        tensors = {name: w for name, w in tensors.items() if not BUFFERS.fullmatch(name)}
        about: dict[str, object] = {
            "arch": f"linear_{config['model_type']}" if "model_type" in config else "transformer",
            "p": config["C"],
            "act": config.get("act_fn", "ReLU"),
            "n_layers": config.get("n_layers", 1),
            "attn_rate": config.get("attn_coeff"),
        }
    except UNREADABLE as error:
        raise ValueError(f"{path} or {beside.name} is unreadable: {error!r}") from error
    about["equals_sign"] = _flag(beside, "eqn_sign", config)
    if _flag(beside, "use_linear", config):
        about["arch"] = "use_linear"  # a kind of network that is not supported
    if _flag(beside, "diff_vocab", config):
        about["second_token_offset"] = config["C"]
    return _Checkpoint(path, tensors, about)
