"""The architecture of a transformer, in TransformerLens' words."""

import dataclasses
from typing import Any

from grokinterp.checks import check_bool, check_choice, check_int, check_number
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_LAYERS
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.prompt import Prompt, check_prompt, fitting_size

NORMALIZATIONS = ("LN", "LNPre")
NORM_POSITIONS = ("pre", "post")
ATTENTION_DIRS = ("bidirectional", "causal")
POSITIONAL_EMBEDDINGS = ("sinusoidal", "standard")
INITS = ("gpt2", "nanda", "paper1", "paper2")


@frozen_config
class TransformerConfig:
    """Architecture and initialisation of a :class:`HookedTransformer`.

    Field names are those of TransformerLens' configs where it has the field; its ``attn_scale`` of
    -1 is None here. What depends on the task (``d_vocab``, ``d_vocab_out``, ``n_ctx``) may stay
    None for a network that is built with a modulus p.

    With ``mup`` = s the read-out and the attention scale with the width as in Doshi et al. 2023:
    s = 1 is muP, s = 0 divides the logits by sqrt(d_model). Without it (None) the logits are not
    divided, and the scores by sqrt(d_head) as always.

    Initial weights have zero mean; all biases start at zero. ``init`` is one of

    - "gpt2": normal, standard deviation 0.02;
    - "paper1": embeddings N(0, 1), all else N(0, 1 / fan_in), as in the code of Doshi et al. 2023
      (arXiv:2310.13061); a tied embedding starts as the unembedding does;
    - "paper2": embeddings N(0, 1), all else uniform on +-1 / sqrt(fan_in), PyTorch's defaults, as
      in the code of the grokking project that the second paper builds on;
    - "nanda": N(0, 1 / d_model), and the unembedding N(0, 1 / d_vocab), as in the code of Nanda et
      al. 2023 (arXiv:2301.05217).
    """

    n_layers: int = 1
    d_model: int = 128
    n_heads: int = 4
    d_head: int | None = None  # None: d_model / n_heads
    d_mlp: int | None = None  # None: 4 d_model
    act_fn: str = "relu"  # relu, gelu or square
    attn_only: bool = False  # no MLPs
    normalization_type: str | None = None  # None, LN, or LNPre: LN without its affine part
    norm_position: str = "pre"  # post: after adding to the residual stream (Vaswani et al. 2017)
    eps: float = 1e-5  # added to the variance in a norm
    attention_dir: str = "causal"  # or bidirectional
    positional_embedding_type: str = "standard"  # standard: learned; or sinusoidal: fixed
    use_attn_scale: bool = True
    attn_scale: float | None = None  # scores are divided by it; None: d_head^((1 + mup) / 2)
    attn_rate: float = 1.0  # r: the pattern is r softmax + (1 - r), Zhong et al. 2023
    mup: float | None = None  # s: logits are divided by d_model^((1 + s) / 2); None: by 1
    tie_embedding: bool = False  # W_U is W_E transposed
    biases: bool = True  # of attention, MLP and unembedding
    n_ctx: int | None = None  # most positions; None: as the prompt has
    d_vocab: int | None = None  # tokens; None: as the prompt has
    d_vocab_out: int | None = None  # classes; None: p, or d_vocab without p
    prompt: str = "a b ="  # how a pair is written; other words than a and b are symbols
    init: str = "gpt2"

    def __post_init__(self) -> None:
        check_int("n_layers", self.n_layers, minimum=1, maximum=MAX_LAYERS)
        for name in ("d_model", "n_heads"):
            check_int(name, getattr(self, name), minimum=1)
        for name in ("d_head", "d_mlp", "n_ctx", "d_vocab", "d_vocab_out"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), minimum=1)
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model={self.d_model} is no multiple of n_heads={self.n_heads}; "
                "change one of them, or give d_head"
            )
        for name in ("attn_only", "use_attn_scale", "tie_embedding", "biases"):
            check_bool(name, getattr(self, name))
        check_choice("act_fn", self.act_fn, ACTIVATIONS)
        if self.normalization_type is not None:
            check_choice("normalization_type", self.normalization_type, NORMALIZATIONS)
        check_choice("norm_position", self.norm_position, NORM_POSITIONS)
        if self.norm_position == "post" and self.normalization_type is None:
            raise ValueError(
                "norm_position='post' needs a normalization_type: 'LN' for the original one"
            )
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
            check_number("mup", self.mup, minimum=-10.0, below=10.0)  # of a power of d_model
        check_prompt(self.prompt)
        check_choice("init", self.init, INITS)

    @classmethod
    def paper1(cls, **changes: Any) -> "TransformerConfig":
        """The encoder of Doshi et al. 2023 (Figs. 7a, 12, 13), from the text and the code.

        Two tokens, no norms and no biases, muP's scales; 209,024 parameters besides the embeddings
        at p = 97.
        """
        network: dict[str, Any] = {
            "prompt": "a b", "attention_dir": "bidirectional", "biases": False, "mup": 1.0,
            "init": "paper1",
        }  # fmt: skip
        return cls(**network | changes)

    @classmethod
    def paper2(cls, **changes: Any) -> "TransformerConfig":
        """The decoder of the second paper, from its code: 394,240 parameters besides W_E and W_U.

        Two layers, norms after the residual additions, fixed positions, no other biases than the
        norms'. Its vocabulary of 239 has tokens that modular addition never uses.
        """
        network: dict[str, Any] = {
            "n_layers": 2, "prompt": "eos a + b =", "normalization_type": "LN",
            "norm_position": "post", "positional_embedding_type": "sinusoidal", "biases": False,
            "d_vocab": 239, "d_vocab_out": 239, "init": "paper2",
        }  # fmt: skip
        return cls(**network | changes)

    def resolved(self, p: int | None) -> "TransformerConfig":
        """The config with the sizes filled in that it leaves to its other fields and to ``p``.

        Raises:
            ValueError: a size is missing, or too small for the modulus and the prompt.
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
    """Embeddings, blocks, norms and unembedding of a resolved config, fixed positions included."""
    heads, width, neurons = config.n_heads * (config.d_head or 0), config.d_model, config.d_mlp or 0
    biases, norm = int(config.biases), 2 * width if config.normalization_type == "LN" else 0
    attention = 4 * heads * width + biases * (3 * heads + width)
    mlp = 0 if config.attn_only else 2 * neurons * width + biases * (neurons + width) + norm
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
        raise ValueError(f"{name}=None follows from a modulus p; give {name}, or p")
    return size
