"""An MLP on concatenated or summed token embeddings, with a hook on every activation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_bool, check_choice, check_int
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.anatomy import words_on
from grokinterp.models.base import HookedModel
from grokinterp.models.hidden_layers import HiddenLayer, last_hook, layer_gains, layer_powers
from grokinterp.models.initial_weights import normal, uniform
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

    Initialisation "torch" takes PyTorch's defaults: embeddings are standard normal, all other
    weights and biases uniform within +-fan_in^(-1/2). "zhong" is that of the code of Zhong et al.
    2023 (arXiv:2306.17844): it differs in the embedding, normal with variance 2 / hidden[0], and
    in the read-out, normal with variance 1 / hidden[-1].

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.EmbeddingMLPConfig(d_embed=16, hidden=(32, 24), combine="sum", norm="layer")
        >>> gi.HookedEmbeddingMLP.describe(config)
        'EmbeddingMLP 32-24 relu layer'
    """

    d_embed: int = 128  # width of a token's embedding
    hidden: Sequence[int] = (256, 256)  # widths of the hidden layers; kept as a tuple
    combine: str = "concat"  # how the tokens' embeddings are joined: concat or sum
    act: str = "relu"  # square, relu or gelu
    biases: bool = True  # in the hidden layers
    unembed_bias: bool = True
    norm: str | None = None  # after every activation: None, "batch" or "layer"
    prompt: str = "a b"  # token sequence of a pair, see Prompt
    d_vocab: int | None = None  # number of tokens; None: just those of the prompt
    d_vocab_out: int | None = None  # number of classes; None: p
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

        It has 258,543 parameters besides the 30,592 of its embedding, whose vocabulary has 239
        tokens. The published network ends in a softmax, which is part of the loss here.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.EmbeddingMLPConfig.paper2()
            >>> gi.HookedEmbeddingMLP.parameter_count(config, p=97) == 258_543 + 30_592
            True
        """
        published = cls(prompt="a + b =", d_vocab=239, d_vocab_out=239)
        return replace(published, **changes)

    @classmethod
    def zhong2023(cls, **changes: Any) -> "EmbeddingMLPConfig":
        """Model Beta of Zhong et al. 2023: summed embeddings, 256 -> 256 -> 256 -> p, ReLU.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.EmbeddingMLPConfig.zhong2023()
            >>> config.combine, config.hidden, config.init
            ('sum', (256, 256), 'zhong')
        """
        published = cls(d_embed=256, combine="sum", unembed_bias=False, init="zhong")
        return replace(published, **changes)


class HookedEmbeddingMLP(HookedModel):
    """An MLP on token embeddings: act(... act(x W_in + b_in)) W_U + b_U.

    The input x is the concatenation or the sum of the tokens' embeddings.

    Weights:
        ``embed.W_E`` [d_vocab, d_embed]: rows 0..p-1 are the residues, the next rows the symbols.
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
        seed: of the initial weights, which never come from torch's global generator.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedEmbeddingMLP(gi.EmbeddingMLPConfig(d_embed=8, hidden=(16,)), p=13)
        >>> logits, cache = model.run_with_cache(torch.tensor([[2, 3], [12, 5]]))
        >>> for name, activation in cache.items():
        ...     print(name, tuple(activation.shape))
        hook_embed (2, 2, 8)
        hook_combined (2, 16)
        layers.0.hook_pre (2, 16)
        layers.0.hook_post (2, 16)
        hook_logits (2, 13)
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
        self.embed = nn.ParameterDict({"W_E": normal((d_vocab, config.d_embed), std, rng)})
        self.hook_embed, self.hook_combined = HookPoint(), HookPoint()
        tokens = self.prompt.length if config.combine == "concat" else 1
        widths = [tokens * config.d_embed, *config.hidden]
        self.layers = nn.ModuleList()
        for before, width in pairwise(widths):
            W_in = uniform((before, width), before, rng)
            b_in = uniform((width,), before, rng) if config.biases else None
            layer = HiddenLayer(width, act=config.act, norm=config.norm, W_in=W_in, b_in=b_in)
            self.layers.append(layer)
        last, shape = widths[-1], (widths[-1], classes)
        W_U = normal(shape, last**-0.5, rng) if zhong else uniform(shape, last, rng)
        self.unembed = nn.ParameterDict({"W_U": W_U})
        if config.unembed_bias:
            self.unembed["b_U"] = uniform((classes,), last, rng)
        self.hook_logits = HookPoint()
        self.setup()

    def logits(self, tokens: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch classes"]:
        """Forward pass without token validation (safe under vmap)."""
        # The gradient of F.embedding costs half of what that of indexing does.
        embed = self.hook_embed(F.embedding(self.prompt.tokens(tokens), self.W_E))
        combined = embed.flatten(start_dim=1) if self.cfg.combine == "concat" else embed.sum(dim=1)
        hidden = self.hook_combined(combined)
        for layer in self.layers:
            hidden = layer(hidden)
        logits = hidden @ self.W_U
        return self.hook_logits(logits if self.b_U is None else logits + self.b_U)

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        """``W_E``, or two parts of it where the prompt gives each operand a table."""
        return self.prompt.tables(self.W_E)

    @property
    def operands_share_input(self) -> bool:
        """True if embeddings of one table are summed.

        A concatenation has rows of ``W_in`` for each operand.
        """
        return self.cfg.combine == "sum" and not self.prompt.has_two_tables

    @property
    def input_weights(self) -> Sequence[Float[Tensor, "p neuron"]]:
        """Embeddings of the residues, times the rows of the first ``W_in`` that read an operand."""
        tables = [table[: self.p] for table in self.input_tables.values()]
        W_in = self.layers[0].W_in
        assert isinstance(W_in, Tensor)
        if self.cfg.combine == "sum":
            return [table @ W_in for table in tables]  # the same for both operands, or one each
        by_position = rearrange(W_in, "(pos d) neuron -> pos d neuron", pos=self.prompt.length)
        first, second = (by_position[position] for position in self.prompt.operands)
        return [tables[0] @ first, tables[-1] @ second]

    @property
    def gains(self) -> dict[int, str]:
        """The gains of every layer's norm; empty without norms."""
        return layer_gains(self.layers)

    @property
    def read_out(self) -> ReadOut:
        """``unembed``, applied to the last layer's neurons, normalised if there is a norm."""
        return ReadOut.of(self, self.W_U, self.b_U, hook=last_hook(self.layers))

    @property
    def direct_path(self) -> Sequence[Part]:
        """Only the last layer's neurons."""
        return [Neurons(last_hook(self.layers))]

    @property
    def used_rows(self) -> dict[str, int]:
        """Only embeddings of the residues and of the prompt's symbols are used."""
        return {"embed.W_E": self.prompt.d_vocab}

    @property
    def scale_powers(self) -> dict[str, Sequence[int]] | None:
        """Known for relu and square neurons without norms, otherwise None."""
        read_out = ["unembed.W_U", "unembed.b_U"][: 1 + self.cfg.unembed_bias]
        return layer_powers(self.layers, self.cfg.act, table="embed.W_E", read_out=read_out)

    @classmethod
    def describe(cls, config: EmbeddingMLPConfig) -> str:
        """Widths, neurons and norm, such as "EmbeddingMLP 256-256 relu"."""
        return words_on(cls, "-".join(map(str, config.hidden)), config.act, config.norm)

    @property
    def W_E(self) -> Tensor:
        """The embedding [d_vocab, d_embed]."""
        return self.embed["W_E"]

    @property
    def W_U(self) -> Tensor:
        """The read-out [last hidden width, d_vocab_out]."""
        return self.unembed["W_U"]

    @property
    def b_U(self) -> Tensor | None:
        """The read-out's bias [d_vocab_out]; None if the config has none."""
        return self.unembed["b_U"] if self.cfg.unembed_bias else None

    @classmethod
    def parameter_count(cls, config: EmbeddingMLPConfig, p: int | None) -> int:
        """Parameters of the embedding, the hidden layers with their norms, and the read-out."""
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
        """The embeddings ("embed"), the neurons before ("pre") or after ("post") the activation."""
        points: dict[str, tuple[int, ...]] = {}
        for name in place.split("+"):
            if name == "embed":
                points["hook_embed"] = (len(config.prompt.split()), config.d_embed)
            else:
                points |= {f"layers.{i}.hook_{name}": (n,) for i, n in enumerate(config.hidden)}
        return points
