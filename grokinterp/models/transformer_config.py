"""The architecture of a transformer, with TransformerLens' field names."""

import dataclasses
from typing import Any, ClassVar

from grokinterp.checks import check_bool, check_choice, check_int, check_number
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.prompt import Prompt, check_prompt, fitting_size
from grokinterp.short_text import short

NORMALIZATIONS = ("LN", "LNPre")
NORM_POSITIONS = ("pre", "post")
ATTENTION_DIRS = ("bidirectional", "causal")
POSITIONAL_EMBEDDINGS = ("sinusoidal", "standard")
INITS = ("gpt2", "nanda", "paper1", "paper2", "zhong")


@frozen_config
class TransformerConfig:
    """Architecture and initialisation of a :class:`HookedTransformer`.

    Fields that TransformerLens has too keep their names; its ``attn_scale`` of -1 is None here.
    The sizes ``d_vocab``, ``d_vocab_out`` and ``n_ctx`` may be None in a network that is built
    with a modulus p, because they follow from p and the prompt.

    ``mup`` = s divides the logits by d_model^((1 + s) / 2) and the attention scores by
    d_head^((1 + s) / 2), as in Doshi et al. 2023; s = 1 is muP. None divides only the scores, by
    sqrt(d_head).

    Initial weights have zero mean; biases start at zero. ``init`` is one of

    - "gpt2": normal, standard deviation 0.02;
    - "paper1": embeddings N(0, 1), all else N(0, 1 / fan_in), as in the code of Doshi et al. 2023
      (arXiv:2310.13061); a tied embedding is drawn like an unembedding;
    - "paper2": embeddings N(0, 1), all else uniform within +-1 / sqrt(fan_in), PyTorch's defaults,
      as in the code of the grokking project that the second paper builds on;
    - "nanda": N(0, 1 / d_model), but the unembedding N(0, 1 / d_vocab), as in the code of Nanda et
      al. 2023 (arXiv:2301.05217);
    - "zhong": like "nanda", but the neurons' input weights N(0, 1 / d_mlp), as in the code of Zhong
      et al. 2023 (arXiv:2306.17844).

    N(m, v) is the normal distribution with mean m and variance v.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.TransformerConfig(n_layers=2, d_model=64, normalization_type="LN")
        >>> gi.HookedTransformer.describe(config)
        'Transformer 2x64 relu LN'
        >>> gi.HookedTransformer(config, p=13).cfg.d_vocab  # 13 residues and "="
        14
    """

    n_layers: int = 1
    d_model: int = 128
    n_heads: int = 4
    d_head: int | None = None  # None: d_model / n_heads
    d_mlp: int | None = None  # None: 4 d_model
    act_fn: str = "relu"  # relu, gelu or square
    attn_only: bool = False  # no MLPs
    normalization_type: str | None = None  # None, LN, or LNPre: LN without gain and offset
    norm_position: str = "pre"  # pre; or post: after each residual addition (Vaswani et al. 2017)
    eps: float = 1e-5  # added to the variance in a norm
    attention_dir: str = "causal"  # or bidirectional
    positional_embedding_type: str = "standard"  # standard: learned; or sinusoidal: fixed
    use_attn_scale: bool = True
    attn_scale: float | None = None  # scores are divided by it; None: d_head^((1 + mup) / 2)
    attn_rate: float = 1.0  # r: pattern = r softmax + (1 - r), Zhong et al. 2023
    mup: float | None = None  # s: logits are divided by d_model^((1 + s) / 2); None: by 1
    tie_embedding: bool = False  # W_U is W_E transposed
    biases: bool | str = True  # of attention, MLP and unembedding; "mlp": of the MLPs alone
    n_ctx: int | None = None  # largest number of positions; None: that of the prompt
    d_vocab: int | None = None  # number of tokens; None: that of the prompt
    d_vocab_out: int | None = None  # number of classes; None: p, or d_vocab without p
    prompt: str = "a b ="  # how a pair is written as tokens, see Prompt
    init: str = "gpt2"

    # What TransformerLens' tools ask of a config, the same for all of these networks.
    device: ClassVar[None] = None  # torch's default
    n_key_value_heads: ClassVar[None] = None  # each head has its own keys and values
    use_attn_result: ClassVar[bool] = False
    use_split_qkv_input: ClassVar[bool] = False
    use_attn_in: ClassVar[bool] = False
    use_hook_mlp_in: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_int("n_layers", self.n_layers, minimum=1, maximum=MAX_LAYERS)
        for name in ("d_model", "n_heads"):
            check_int(name, getattr(self, name), minimum=1)
        for name in ("d_head", "d_mlp", "n_ctx", "d_vocab", "d_vocab_out"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), minimum=1)
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}; "
                "change one of them, or give d_head"
            )
        for name in ("attn_only", "use_attn_scale", "tie_embedding"):
            check_bool(name, getattr(self, name))
        of_mlps = isinstance(self.biases, str) and self.biases == "mlp"
        if not isinstance(self.biases, bool) and not of_mlps:
            raise TypeError(f"biases must be True, False or 'mlp', got {short(self.biases)}")
        check_choice("act_fn", self.act_fn, ACTIVATIONS)
        if self.normalization_type is not None:
            check_choice("normalization_type", self.normalization_type, NORMALIZATIONS)
        check_choice("norm_position", self.norm_position, NORM_POSITIONS)
        if self.norm_position == "post" and self.normalization_type is None:
            raise ValueError("norm_position='post' needs a normalization_type, such as 'LN'")
        check_number("eps", self.eps, minimum=0)
        check_choice("attention_dir", self.attention_dir, ATTENTION_DIRS)
        check_choice(
            "positional_embedding_type", self.positional_embedding_type, POSITIONAL_EMBEDDINGS
        )
        if self.attn_scale is not None:
            check_number("attn_scale", self.attn_scale, minimum=0, strict=True)
        check_number("attn_rate", self.attn_rate, minimum=0)
        if self.attn_rate > 1:
            raise ValueError(f"attn_rate must lie in [0, 1], got {self.attn_rate}")
        if self.mup is not None:
            check_number(
                "mup", self.mup, minimum=-10.0, below=10.0
            )  # keeps powers of d_model finite
        check_prompt(self.prompt)
        check_choice("init", self.init, INITS)

    @classmethod
    def paper1(cls, **changes: Any) -> "TransformerConfig":
        """The encoder of Doshi et al. 2023 (Figs. 7a, 12, 13), from the text and the code.

        It reads two tokens, has no norms and no biases, and scales as muP does. At p = 97 it has
        209,024 parameters besides the embeddings.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.TransformerConfig.paper1()
            >>> embeddings = (97 + 2) * 128  # of tokens and of positions
            >>> gi.HookedTransformer.parameter_count(config, p=97) - embeddings
            209024
        """
        published = cls(
            prompt="a b", attention_dir="bidirectional", biases=False, mup=1.0, init="paper1"
        )
        return dataclasses.replace(published, **changes)

    @classmethod
    def paper2(cls, **changes: Any) -> "TransformerConfig":
        """The decoder of the second paper, from its code: 394,240 parameters besides W_E and W_U.

        It has two layers, norms after the residual additions, fixed positions, and no biases but
        those of the norms. Its vocabulary of 239 has tokens that modular addition never uses.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.TransformerConfig.paper2()
            >>> config.n_layers, config.norm_position, config.d_vocab
            (2, 'post', 239)
        """
        fields: dict[str, Any] = {"n_layers": 2, "d_vocab": 239, "d_vocab_out": 239}
        fields |= {"normalization_type": "LN", "norm_position": "post", "biases": False}
        fields |= {"positional_embedding_type": "sinusoidal", "init": "paper2"}
        fields["prompt"] = "eos a + b ="
        return cls(**fields | changes)

    @classmethod
    def nanda2023(cls, **changes: Any) -> "TransformerConfig":
        """The network of Nanda et al. 2023 (arXiv:2301.05217), from their code.

        One causal layer, "a b =", no norms, biases in the MLP alone. Its classes are all p + 1
        tokens: give ``d_vocab_out=p + 1`` too, as :meth:`RunConfig.nanda2023` does.

        Examples:
            >>> import grokinterp as gi
            >>> model = gi.HookedTransformer(gi.TransformerConfig.nanda2023(d_vocab_out=114), p=113)
            >>> model.cfg.d_vocab, model.cfg.d_vocab_out, model.cfg.n_ctx
            (114, 114, 3)
        """
        network: dict[str, Any] = {"biases": "mlp", "init": "nanda"}
        return cls(**network | changes)

    @classmethod
    def zhong2023(cls, **changes: Any) -> "TransformerConfig":
        """The transformers of Zhong et al. 2023 (arXiv:2306.17844), from their code.

        One bidirectional layer, "a b", no norms, biases in the MLP alone. ``attn_rate`` is 0 in
        their Model A (Pizza) and 1 in Model B (Clock).

        Examples:
            >>> import grokinterp as gi
            >>> pizza = gi.TransformerConfig.zhong2023(attn_rate=0.0)
            >>> pizza.attention_dir, pizza.prompt, pizza.attn_rate
            ('bidirectional', 'a b', 0.0)
        """
        network: dict[str, Any] = {"prompt": "a b", "attention_dir": "bidirectional"}
        network |= {"biases": "mlp", "init": "zhong"}
        return cls(**network | changes)

    def resolved(self, p: int | None) -> "TransformerConfig":
        """The config with every size filled in, from its other fields and from ``p``.

        Raises:
            ValueError: a size is missing, or too small for the modulus and the prompt.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.TransformerConfig(d_model=64).resolved(p=97)
            >>> config.d_head, config.d_mlp, config.n_ctx, config.d_vocab
            (16, 256, 3, 98)
        """
        if p is None:
            d_vocab, n_ctx = _given("d_vocab", self.d_vocab), _given("n_ctx", self.n_ctx)
            classes = self.d_vocab_out or d_vocab
        else:
            words = Prompt(self.prompt, p)
            task = f"p={p} and the prompt {self.prompt!r}"
            d_vocab = fitting_size("d_vocab", self.d_vocab, words.d_vocab, task)
            n_ctx = fitting_size("n_ctx", self.n_ctx, words.length, task)
            classes = fitting_size("d_vocab_out", self.d_vocab_out, p, task)
        if self.tie_embedding and classes > d_vocab:
            raise ValueError(
                f"d_vocab_out={classes} must be at most d_vocab={d_vocab} in a tied embedding"
            )
        return dataclasses.replace(
            self,
            d_head=self.d_head or self.d_model // self.n_heads,
            d_mlp=self.d_mlp or 4 * self.d_model,
            d_vocab=d_vocab,
            n_ctx=n_ctx,
            d_vocab_out=classes,
        )


def count_parameters(config: TransformerConfig) -> int:
    """Parameters of a resolved config's network; fixed position vectors count as parameters."""
    heads, width, neurons = config.n_heads * (config.d_head or 0), config.d_model, config.d_mlp or 0
    biases, of_mlp = int(config.biases is True), int(bool(config.biases))
    norm = 2 * width if config.normalization_type == "LN" else 0
    attention = 4 * heads * width + biases * (3 * heads + width)
    mlp = 0 if config.attn_only else 2 * neurons * width + of_mlp * (neurons + width) + norm
    classes = config.d_vocab_out or 0
    return (
        ((config.d_vocab or 0) + (config.n_ctx or 0)) * width
        + config.n_layers * (attention + norm + mlp)
        + (norm if config.norm_position == "pre" else 0)
        + (0 if config.tie_embedding else width * classes)
        + biases * classes
    )


def _given(name: str, size: int | None) -> int:
    if size is None:
        raise ValueError(f"{name}=None needs a modulus p, from which it follows; give {name} or p")
    return size
