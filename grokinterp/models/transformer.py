"""A transformer with the interface of TransformerLens' ``HookedTransformer``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.models.anatomy import words_on
from grokinterp.models.base import HookedModel
from grokinterp.models.prompt import Prompt
from grokinterp.models.read_out import Part, ReadOut
from grokinterp.models.rows import Rows, TokenTable
from grokinterp.models.transformer_config import TransformerConfig, count_parameters
from grokinterp.models.transformer_init import Weights
from grokinterp.models.transformer_parts import Block, Embed, LayerNorm, PosEmbed, Unembed
from grokinterp.models.transformer_path import direct_path
from grokinterp.models.transformer_weights import TransformerWeights
from grokinterp.randomness import generator


class HookedTransformer(TransformerWeights, HookedModel):
    """A transformer with the config fields, weights, hooks and cache of TransformerLens' class.

    Without ``p`` it maps tokens [batch, pos] to logits [batch, pos, d_vocab_out], as there. With
    ``p`` it computes f(a, b) mod p: it writes pairs [batch, 2] as the config's prompt and returns
    the logits of the last position, [batch, d_vocab_out], whose first p classes are the residues.

    With ``p`` and without hooks, only what the last position's logits need is computed; for many
    pairs, the first layer's queries, keys and values are computed once per (token, position). With
    any hook, all positions are computed and every activation has TransformerLens' shape. Both give
    the same logits up to rounding.

    Gains and offsets of norms are not folded into the next matrix. As for unfolded networks of
    TransformerLens, ``apply_ln`` and ``logit_attrs`` of the cache leave them out.

    Args:
        config: the architecture; ``cfg`` is this config with all sizes filled in.
        p: the modulus; None for a network on any token sequences.
        seed: of the initial weights, which never come from torch's global generator.
    """

    cfg: TransformerConfig
    config_class = TransformerConfig
    dropout_places = ("pre", "post", "embed", "attention", "residual", "mlp_out")

    def __init__(self, config: TransformerConfig, *, p: int | None = None, seed: int = 0) -> None:
        super().__init__(config, p=p)
        check_int("seed", seed, minimum=0)
        self.cfg = config = config.resolved(p)
        weights = Weights(config, generator(seed, "init"))
        self.embed, self.hook_embed = Embed(config, weights), HookPoint()
        self.pos_embed, self.hook_pos_embed = PosEmbed(config, weights), HookPoint()
        self.blocks = nn.ModuleList(Block(config, weights) for _ in range(config.n_layers))
        self.ln_final = None
        if config.normalization_type is not None and config.norm_position == "pre":
            self.ln_final = LayerNorm(config)
        self.unembed = Unembed(
            config, weights, tied_to=self.embed if config.tie_embedding else None
        )
        self.prompt = self.table = None
        if p is not None:
            self.prompt = Prompt(config.prompt, p)
            self.table = TokenTable(self.prompt, p)
        self.setup()

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch *pos classes"]:
        """Logits of pairs at the last position; without ``p``, of sequences at all positions."""
        if self.p is not None:
            return super().forward(tokens)
        self._check_sequences(tokens)
        return self._hooked_logits(tokens)

    def logits(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch *pos classes"]:
        """Forward pass without token validation (safe under vmap)."""
        wanted = [Rows() for _ in self.blocks]
        if self.p is not None and self.prompt is None:
            raise ValueError(
                f"p={self.p} was set on a HookedTransformer that was built without p; pass p to "
                "its constructor, which also sets up how pairs are written"
            )
        if self.prompt is None or self.table is None:
            return self._of_sequences(tokens.long(), wanted)
        sequences = self.prompt.tokens(tokens)
        if self.is_hooked:
            return self._of_sequences(sequences, wanted)[:, -1]
        wanted[-1] = Rows(start=sequences.shape[1] - 1)
        if sequences.numel() < len(self.table.tokens):  # sharing does not pay for few pairs
            return self._of_sequences(sequences, wanted)[:, 0]
        start = self.table.last if len(wanted) == 1 else 0
        wanted[0] = Rows(start=start, index=self.table.rows(sequences))
        return self._logits(self.table.tokens[None], self.table.positions, wanted)[:, 0]

    def _of_sequences(
        self, tokens: Int[Tensor, "batch pos"], wanted: list[Rows]
    ) -> Float[Tensor, "batch wanted classes"]:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self._logits(tokens, positions, wanted)

    def _logits(
        self, tokens: Int[Tensor, "one row"], positions: Int[Tensor, " row"], wanted: list[Rows]
    ) -> Float[Tensor, "batch pos classes"]:
        embed = self.hook_embed(self.embed(tokens))
        pos_embed = self.pos_embed(positions).repeat(len(tokens), 1, 1)
        resid = embed + self.hook_pos_embed(pos_embed)
        for block, rows in zip(self.blocks, wanted, strict=True):
            resid = block(resid, rows)
        return self.unembed(resid if self.ln_final is None else self.ln_final(resid))

    def run_with_cache(
        self,
        *args: Any,
        return_cache_object: bool = True,
        remove_batch_dim: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """TransformerLens' ``run_with_cache``: the output and all activations.

        Args:
            *args: the tokens.
            return_cache_object: return activations as ``ActivationCache``; False: as a dict.
            remove_batch_dim: drop the batch axis of a single example.
            **kwargs: ``names_filter`` and more, see ``HookedRootModule.run_with_cache``.
        """
        logits, cache = super().run_with_cache(*args, remove_batch_dim=remove_batch_dim, **kwargs)
        if not return_cache_object:
            return logits, cache
        make = PostNormCache if self.cfg.norm_position == "post" else ActivationCache
        return logits, make(cache, self, has_batch_dim=not remove_batch_dim)

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        """``W_E``, or two parts of it where the prompt gives each operand a table."""
        return {"W_E": self.W_E} if self.prompt is None else self.prompt.tables(self.W_E)

    @property
    def read_out(self) -> ReadOut:
        """``unembed``, applied to the residual stream after the last norm."""
        last, hook = self.unembed, "unembed.hook_in"
        return ReadOut.of(self, last.W_U, last.b_U, hook=hook, scale=last.scale)

    @property
    def direct_path(self) -> Sequence[Part]:
        """All that is added to the residual stream at the last position."""
        return direct_path(self.blocks, self.ln_final)

    @property
    def used_rows(self) -> dict[str, int]:
        """Only the prompt's tokens and positions are used; unknown (empty) without ``p``.

        If the embedding is tied, the rows of all classes get gradients through the read-out, too.
        """
        if self.prompt is None:
            return {}
        classes = self.W_U.shape[1] if self.cfg.tie_embedding else 0
        tokens = max(self.prompt.d_vocab, classes)
        return {"embed.W_E": tokens, "pos_embed.W_pos": self.prompt.length}

    @classmethod
    def describe(cls, config: TransformerConfig) -> str:
        """Layers times width, neurons and norm, such as "Transformer 1x128 relu LN"."""
        size = f"{config.n_layers}x{config.d_model}"
        return words_on(cls, size, config.act_fn, config.normalization_type)

    @classmethod
    def parameter_count(cls, config: TransformerConfig, p: int | None) -> int:
        """Parameters of all parts; fixed position vectors count as if they were learned."""
        return count_parameters(config.resolved(p))

    @classmethod
    def dropout_points(cls, config: TransformerConfig, place: str) -> dict[str, tuple[int, ...]]:
        """Hook points that dropout at ``place`` multiplies, with their shapes for one example.

        Args:
            config: the architecture.
            place: one of the following, or several joined by "+". "embed": the sum of the
                embeddings. In every layer, "attention": the pattern; "pre", "post": the neurons
                before and after the activation; "residual": the outputs of attention and MLP;
                "mlp_out": that of the MLP alone.

        Raises:
            ValueError: a place is unknown, or needs an MLP that ``attn_only`` leaves out.
        """
        pos, width = len(config.prompt.split()), config.d_model
        neurons = (pos, config.d_mlp or 4 * width)
        by_place = {
            "pre": {"mlp.hook_pre": neurons},
            "post": {"mlp.hook_post": neurons},
            "embed": {"hook_resid_pre": (pos, width)},
            "attention": {"attn.hook_pattern": (config.n_heads, pos, pos)},
            "residual": {"hook_attn_out": (pos, width), "hook_mlp_out": (pos, width)},
            "mlp_out": {"hook_mlp_out": (pos, width)},
        }
        points: dict[str, tuple[int, ...]] = {}
        for name in place.split("+"):
            check_choice("dropout place", name, cls.dropout_places)
            if config.attn_only and name in ("pre", "post", "mlp_out"):
                raise ValueError(f"dropout at {name!r} needs an MLP; attn_only=True has none")
            for layer in range(1 if name == "embed" else config.n_layers):
                points |= {f"blocks.{layer}.{hook}": at for hook, at in by_place[name].items()}
        if config.attn_only:
            return {name: shape for name, shape in points.items() if "mlp_out" not in name}
        return points

    def _check_sequences(self, tokens: Tensor) -> None:
        n_ctx, d_vocab = self.cfg.n_ctx, self.cfg.d_vocab
        assert n_ctx is not None
        assert d_vocab is not None
        if not isinstance(tokens, Tensor) or tokens.dtype not in _INTEGERS:
            kind = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
            raise TypeError(f"tokens must be an integer tensor [batch, pos], got {kind}")
        if tokens.ndim != 2 or not 0 < tokens.shape[1] <= n_ctx:
            raise ValueError(
                f"tokens must have shape [batch, pos] with 1 to n_ctx={n_ctx} positions, "
                f"got {list(tokens.shape)}"
            )
        if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) >= d_vocab):
            raise ValueError(
                f"tokens must lie in 0..{d_vocab - 1} for d_vocab={d_vocab}, got values from "
                f"{int(tokens.min())} to {int(tokens.max())}"
            )


class PostNormCache(ActivationCache):
    """TransformerLens' cache for post-norm networks, whose residual stream is no sum of outputs.

    Every norm rescales the stream, so decompositions into layers' outputs are refused.
    """

    def decompose_resid(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        raise ValueError(
            "norm_position='post': every norm rescales the residual stream, which is therefore no "
            "sum of the layers' outputs. Look at the outputs one by one: cache['attn_out', layer], "
            "cache['mlp_out', layer], or stack them with accumulated_resid"
        )

    def get_full_resid_decomposition(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        self.decompose_resid()


_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
