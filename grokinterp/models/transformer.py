"""A transformer with the interface of TransformerLens' ``HookedTransformer``."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.models.anatomy import words_on
from grokinterp.models.prompt import Prompt
from grokinterp.models.read_out import Part, ReadOut
from grokinterp.models.rows import Rows, TokenTable
from grokinterp.models.transformer_calls import TransformerCalls
from grokinterp.models.transformer_config import TransformerConfig, count_parameters
from grokinterp.models.transformer_fold import folded
from grokinterp.models.transformer_init import Weights
from grokinterp.models.transformer_parts import Block, Embed, LayerNorm, PosEmbed, Unembed
from grokinterp.models.transformer_path import direct_path
from grokinterp.models.transformer_weights import TransformerWeights
from grokinterp.randomness import generator


class HookedTransformer(TransformerWeights, TransformerCalls):
    """A transformer with the config fields, weights, hooks and cache of TransformerLens' class.

    Without ``p`` it maps tokens [batch, pos] to logits [batch, pos, d_vocab_out], as there. With
    ``p`` it computes f(a, b) mod p: it writes pairs [batch, 2] as the config's prompt and returns
    the logits of the last position, [batch, d_vocab_out], whose first p classes are the residues.
    Given the prompt's tokens themselves, of :meth:`sequences`, it returns logits of all positions.

    With ``p`` and without hooks, only what the last position's logits need is computed; for many
    pairs, the first layer's queries, keys and values are computed once per (token, position). With
    any hook, all positions are computed and every activation has TransformerLens' shape. Both give
    the same logits up to rounding.

    Gains and offsets of norms are not folded into the next matrix. As for unfolded networks of
    TransformerLens, ``apply_ln`` of the cache leaves them out; ``logit_attrs`` is refused. Take
    :meth:`folded` for these.

    Args:
        config: the architecture; ``cfg`` is this config with all sizes filled in.
        p: the modulus; None for a network on any token sequences.
        seed: of the initial weights, which never come from torch's global generator.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> model = gi.HookedTransformer(gi.TransformerConfig(d_model=16, n_heads=2), p=13)
        >>> logits, cache = model.run_with_cache(torch.tensor([[2, 3], [12, 5]]))
        >>> logits.shape, cache["pattern", 0].shape
        (torch.Size([2, 13]), torch.Size([2, 2, 3, 3]))
        >>> cache["pattern", 0].sum(dim=-1).allclose(torch.ones(2, 2, 3))
        True
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

    def logits(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch *pos classes"]:
        """Forward pass without token validation (safe under vmap)."""
        wanted = [Rows() for _ in self.blocks]
        if self.p is not None and self.prompt is None:
            raise ValueError(
                f"p={self.p} was set on a HookedTransformer that was built without p; pass p to "
                "its constructor, which also sets up how pairs are written"
            )
        if self.prompt is None or self.table is None or tokens.shape[1] != 2:
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
        resid = self._through(self.blocks, tokens, positions, wanted)
        return self.unembed(resid if self.ln_final is None else self.ln_final(resid))

    def _through(
        self,
        blocks: Iterable[nn.Module],
        tokens: Int[Tensor, "one row"],
        positions: Int[Tensor, " row"],
        wanted: list[Rows],
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream behind some of the first blocks."""
        embed = self.hook_embed(self.embed(tokens))
        pos_embed = self.pos_embed(positions).repeat(len(tokens), 1, 1)
        resid = embed + self.hook_pos_embed(pos_embed)
        for block, rows in zip(blocks, wanted, strict=True):
            resid = block(resid, rows)
        return resid

    def _stream(
        self, tokens: Int[Tensor, "batch word"], n_layers: int
    ) -> Float[Tensor, "batch pos d_model"]:
        sequences = tokens.long()
        if self.prompt is not None and tokens.shape[1] == 2:
            sequences = self.prompt.tokens(tokens)
        positions = torch.arange(sequences.shape[1], device=tokens.device)
        wanted = [Rows()] * n_layers
        return self._through(self.blocks[:n_layers], sequences, positions, wanted)

    def folded(self) -> "HookedTransformer":
        """The same function with the norms' gains and offsets folded into the next matrices.

        A new network with the same activations at all hook points but ``unembed.hook_in``, which is
        behind the last norm's gains. It has ``normalization_type="LNPre"`` and biases everywhere; a
        network without gains is just copied.

        Raises:
            ValueError: norms after the residual additions, which no matrix follows.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> config = gi.TransformerConfig(d_model=16, normalization_type="LN", init="paper1")
            >>> model = gi.HookedTransformer(config, p=13).eval()
            >>> folded, pairs = model.folded(), torch.tensor([[2, 3], [12, 5]])
            >>> folded.cfg.normalization_type
            'LNPre'
            >>> torch.allclose(folded(pairs), model(pairs), atol=1e-4)
            True
        """
        config, state = folded(self.cfg, self)
        model = HookedTransformer(config, p=self.p)
        model.to(self.W_E.device).adopt(state)
        model.operation = self.operation
        return model

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
