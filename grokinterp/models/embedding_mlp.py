"""MLPs on embedded tokens, concatenated or summed, with a hook on every activation."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_bool, check_choice, check_int
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.anatomy import words_on
from grokinterp.models.base import HookedModel
from grokinterp.models.hidden_layers import (
    HiddenLayer,
    last_hook,
    layer_gains,
    layer_powers,
    normal,
)
from grokinterp.models.norms import NORMS
from grokinterp.models.prompt import check_prompt, vocabulary
from grokinterp.models.read_out import Neurons, Part, ReadOut
from grokinterp.randomness import generator
from grokinterp.short_text import short

COMBINATIONS = ("concat", "sum")
INITS = ("torch", "zhong")


@frozen_config
class EmbeddingMLPConfig:
    """Architecture and initialisation of a :class:`HookedEmbeddingMLP`.

    Initialisations: "torch" are the defaults of ``nn.Embedding`` (standard normal) and
    ``nn.Linear`` (uniform up to fan_in^(-1/2), biases too). "zhong" differs in the embedding,
    normal with variance 2 / hidden[0], and in the read-out, normal with variance 1 / hidden[-1]
    (the code of Zhong et al. 2023, arXiv:2306.17844).
    """

    d_embed: int = 128  # width of a token's embedding
    hidden: Sequence[int] = (256, 256)  # widths of the hidden layers; kept as a tuple
    combine: str = "concat"  # of the tokens' embeddings: concat or sum
    act: str = "relu"  # square, relu or gelu
    biases: bool = True  # in the hidden layers
    unembed_bias: bool = True
    norm: str | None = None  # after every activation: None, "batch" or "layer"
    prompt: str = "a b"  # what is read, see Prompt
    d_vocab: int | None = None  # tokens that have an embedding; None: those of the prompt
    d_vocab_out: int | None = None  # classes; None: p
    init: str = "torch"  # torch or zhong

    def __post_init__(self) -> None:
        check_int("d_embed", self.d_embed, minimum=1)
        if not isinstance(self.hidden, tuple) or not self.hidden:
            raise TypeError(
                "hidden must hold the widths of at least one hidden layer, as in (256, 256); "
                f"got {short(self.hidden)}"
            )
        check_int("the number of hidden layers", len(self.hidden), minimum=1, maximum=MAX_LAYERS)
        for i, width in enumerate(self.hidden):
            check_int(f"hidden[{i}]", width, minimum=1)
        check_choice("combine", self.combine, COMBINATIONS)
        check_choice("act", self.act, ACTIVATIONS)
        for name in ("biases", "unembed_bias"):
            check_bool(name, getattr(self, name))
        if self.norm is not None:
            check_choice("norm", self.norm, NORMS)
        check_prompt(self.prompt)
        for name in ("d_vocab", "d_vocab_out"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), minimum=2)
        check_choice("init", self.init, INITS)

    @classmethod
    def paper2(cls, **changes: Any) -> "EmbeddingMLPConfig":
        """The "3-layer MLP" of the second paper: "a + b =", 4 x 128 -> 256 -> 256 -> 239, ReLU.

        With its vocabulary of 239 tokens 258,543 parameters and 30,592 of the embedding. Its
        softmax is part of the loss here, not of the network.
        """
        published = cls(prompt="a + b =", d_vocab=239, d_vocab_out=239)
        return replace(published, **changes)

    @classmethod
    def zhong2023(cls, **changes: Any) -> "EmbeddingMLPConfig":
        """Model Beta of Zhong et al. 2023: summed embeddings, 256 -> 256 -> 256 -> p, ReLU."""
        published = cls(d_embed=256, combine="sum", unembed_bias=False, init="zhong")
        return replace(published, **changes)


class HookedEmbeddingMLP(HookedModel):
    """act(... act(x W_in + b_in)) W_U + b_U, x the tokens' embeddings side by side or summed.

    Weights:
        ``embed.W_E`` [d_vocab, d_embed]: the rows 0..p-1 are the residues', then the symbols'.
        ``layers.{i}.W_in`` [width before, width], ``layers.{i}.b_in`` [width]; the first layer's
        input is [pos * d_embed] for "concat" and [d_embed] for "sum".
        ``layers.{i}.norm.gamma`` and ``.beta`` [width], if there are norms.
        ``unembed.W_U`` [width, d_vocab_out], ``unembed.b_U`` [d_vocab_out].

    Hook points, in order:
        ``hook_embed`` [batch, pos, d_embed]; ``hook_combined`` [batch, first layer's input];
        ``layers.{i}.hook_pre`` and ``layers.{i}.hook_post`` [batch, width], then the norm's
        ``layers.{i}.norm.hook_scale`` and ``layers.{i}.norm.hook_normalized``; ``hook_logits``
        [batch, d_vocab_out].

    Args:
        config: the architecture.
        p: the modulus.
        seed: draws the initial weights, from a generator of its own.
    """

    cfg: EmbeddingMLPConfig
    p: int
    config_class = EmbeddingMLPConfig
    dropout_places = ("pre", "post", "embed")

    def __init__(self, config: EmbeddingMLPConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        check_int("seed", seed, minimum=0)
        self.prompt, d_vocab, classes = vocabulary(config, p)
        rng, zhong = generator(seed, "init"), config.init == "zhong"
        std = (2 / config.hidden[0]) ** 0.5 if zhong else 1.0
        self.embed = Embed(normal((d_vocab, config.d_embed), std, rng))
        self.hook_embed, self.hook_combined = HookPoint(), HookPoint()
        tokens = self.prompt.length if config.combine == "concat" else 1
        widths = [tokens * config.d_embed, *config.hidden]
        self.layers = nn.ModuleList()
        for before, width in pairwise(widths):
            W_in = _uniform((before, width), before, rng)
            b_in = _uniform((width,), before, rng) if config.biases else None
            layer = HiddenLayer(width, act=config.act, norm=config.norm, W_in=W_in, b_in=b_in)
            self.layers.append(layer)
        last, shape = widths[-1], (widths[-1], classes)
        self.unembed = Unembed(
            normal(shape, last**-0.5, rng) if zhong else _uniform(shape, last, rng),
            _uniform((classes,), last, rng) if config.unembed_bias else None,
        )
        self.hook_logits = HookPoint()
        self.setup()

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch classes"]:
        """The forward pass without a look at the tokens' values, as vectorised code needs it."""
        embed = self.hook_embed(self.embed(self.prompt.tokens(tokens)))
        combined = embed.flatten(start_dim=1) if self.cfg.combine == "concat" else embed.sum(dim=1)
        hidden = self.hook_combined(combined)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.hook_logits(self.unembed(hidden))

    @property
    def operands_share_input(self) -> bool:
        """If embeddings are summed; of a concatenation each part has rows of W_in to itself."""
        return self.cfg.combine == "sum"

    @property
    def input_weights(self) -> Sequence[Float[Tensor, "p neuron"]]:
        """The residues' embeddings times the rows of the first ``W_in`` that read the operand."""
        W_E, W_in = self.W_E[: self.p], self.layers[0].W_in
        assert isinstance(W_in, Tensor)
        if self.cfg.combine == "sum":
            return [W_E @ W_in]  # one for both
        by_position = W_in.unflatten(0, (self.prompt.length, self.cfg.d_embed))
        return [W_E @ by_position[position] for position in self.prompt.operands]

    @property
    def gains(self) -> dict[int, str]:
        """Every layer's, if the config has a norm."""
        return layer_gains(self.layers)

    @property
    def read_out(self) -> ReadOut:
        """``unembed`` on the last layer's neurons, behind their norm if there is one."""
        hook = last_hook(self.layers)
        return ReadOut.of(self, self.W_U, self.unembed.b_U, hook=hook)

    @property
    def direct_path(self) -> Sequence[Part]:
        """The last layer's neurons."""
        return [Neurons(last_hook(self.layers))]

    @property
    def used_rows(self) -> dict[str, int]:
        """The embeddings of the residues and of the prompt's symbols."""
        return {"embed.W_E": self.prompt.d_vocab}

    @property
    def scale_powers(self) -> dict[str, Sequence[int]] | None:
        """Those of relu and square neurons without norms."""
        read_out = ["unembed.W_U", "unembed.b_U"][: 1 + self.cfg.unembed_bias]
        return layer_powers(self.layers, self.cfg.act, table="embed.W_E", read_out=read_out)

    @classmethod
    def describe(cls, config: EmbeddingMLPConfig) -> str:
        """Widths, neurons and norm, such as "EmbeddingMLP 256-256 relu"."""
        return words_on(cls, "-".join(map(str, config.hidden)), config.act, config.norm)

    @property
    def W_E(self) -> Tensor:
        """The embedding [d_vocab, d_embed]."""
        return self.embed.W_E

    @property
    def W_U(self) -> Tensor:
        """The read-out [last hidden width, d_vocab_out]."""
        return self.unembed.W_U

    @classmethod
    def parameter_count(cls, config: EmbeddingMLPConfig, p: int | None) -> int:
        """Embedding, hidden matrices with biases and norms, and read-out."""
        assert p is not None
        prompt, d_vocab, classes = vocabulary(config, p)
        tokens = prompt.length if config.combine == "concat" else 1
        vectors = int(config.biases) + (0 if config.norm is None else 2)
        hidden = pairwise([tokens * config.d_embed, *config.hidden])
        return (
            d_vocab * config.d_embed
            + sum((before + vectors) * width for before, width in hidden)
            + (config.hidden[-1] + int(config.unembed_bias)) * classes
        )

    @classmethod
    def dropout_points(cls, config: EmbeddingMLPConfig, place: str) -> dict[str, tuple[int, ...]]:
        """The tokens' embeddings ("embed"), the neurons before ("pre") or after ("post") act."""
        points: dict[str, tuple[int, ...]] = {}
        for name in place.split("+"):
            if name == "embed":
                points["hook_embed"] = (len(config.prompt.split()), config.d_embed)
            else:
                points |= {f"layers.{i}.hook_{name}": (n,) for i, n in enumerate(config.hidden)}
        return points


class Embed(nn.Module):
    """A vector for every token."""

    def __init__(self, W_E: nn.Parameter) -> None:
        super().__init__()
        self.W_E = W_E

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_embed"]:
        """Rows of ``W_E``."""
        return F.embedding(tokens, self.W_E)  # its gradient costs half of what indexing's does


class Unembed(nn.Module):
    """The linear read-out."""

    def __init__(self, W_U: nn.Parameter, b_U: nn.Parameter | None) -> None:
        super().__init__()
        self.W_U, self.b_U = W_U, b_U

    def forward(self, x: Float[Tensor, "batch width"]) -> Float[Tensor, "batch classes"]:
        """``x W_U + b_U``."""
        return x @ self.W_U if self.b_U is None else x @ self.W_U + self.b_U


def _uniform(shape: tuple[int, ...], fan_in: int, rng: torch.Generator) -> nn.Parameter:
    drawn = torch.empty(shape, dtype=torch.float32, device="cpu")
    return nn.Parameter(drawn.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=rng))
