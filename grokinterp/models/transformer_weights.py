"""A transformer's weights under TransformerLens' names, stacked over layers."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import FactoredMatrix

from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.transformer_parts import Embed, PosEmbed, Unembed


class TransformerWeights:
    """Properties and methods of a model that notebooks and TransformerLens' cache use.

    Weights of the layers are stacked along a first axis. Without biases, the biases are zeros.
    ``QK`` = W_Q W_K^T and ``OV`` = W_V W_O are [layer, head, d_model, d_model].
    """

    cfg: TransformerConfig
    embed: Embed
    pos_embed: PosEmbed
    blocks: nn.ModuleList
    unembed: Unembed

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        """Token embeddings."""
        return self.embed.W_E

    @property
    def W_pos(self) -> Float[Tensor, "n_ctx d_model"]:
        """Position embeddings, learned or fixed."""
        return self.pos_embed.W_pos

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab_out"]:
        """The read-out; if ``mup`` is set, logits are ``unembed.scale`` times its product."""
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, " d_vocab_out"]:
        """Biases of the logits."""
        b_U = self.unembed.b_U
        return self.W_U.new_zeros(self.W_U.shape[1]) if b_U is None else b_U

    @property
    def W_Q(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Query weights."""
        return self._stack("attn.W_Q")

    @property
    def W_K(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Key weights."""
        return self._stack("attn.W_K")

    @property
    def W_V(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Value weights."""
        return self._stack("attn.W_V")

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:
        """The heads' output weights."""
        return self._stack("attn.W_O")

    @property
    def b_Q(self) -> Float[Tensor, "layer head d_head"]:
        """Query biases."""
        return self._biases("attn.b_Q", self.W_Q[:, :, 0])

    @property
    def b_K(self) -> Float[Tensor, "layer head d_head"]:
        """Key biases."""
        return self._biases("attn.b_K", self.W_K[:, :, 0])

    @property
    def b_V(self) -> Float[Tensor, "layer head d_head"]:
        """Value biases."""
        return self._biases("attn.b_V", self.W_V[:, :, 0])

    @property
    def b_O(self) -> Float[Tensor, "layer d_model"]:
        """Attention's output biases."""
        return self._biases("attn.b_O", self.W_O[:, 0, 0])

    @property
    def W_in(self) -> Float[Tensor, "layer d_model d_mlp"]:
        """The neurons' input weights."""
        return self._stack("mlp.W_in")

    @property
    def b_in(self) -> Float[Tensor, "layer d_mlp"]:
        """The neurons' biases."""
        return self._biases("mlp.b_in", self.W_in[:, 0])

    @property
    def W_out(self) -> Float[Tensor, "layer d_mlp d_model"]:
        """The neurons' output weights."""
        return self._stack("mlp.W_out")

    @property
    def b_out(self) -> Float[Tensor, "layer d_model"]:
        """The MLPs' output biases."""
        return self._biases("mlp.b_out", self.W_out[:, 0])

    @property
    def QK(self) -> FactoredMatrix:
        """The bilinear form of attention scores: how directions attend to each other."""
        return FactoredMatrix(self.W_Q, self.W_K.mT)

    @property
    def OV(self) -> FactoredMatrix:
        """The linear map from the direction that a head reads to the one that it writes."""
        return FactoredMatrix(self.W_V, self.W_O)

    def tokens_to_residual_directions(
        self, tokens: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch d_model"]:
        """Directions of the residual stream, after the last norm, that raise the tokens' logits.

        The dot product with the stream is the logit without its bias. These are columns of ``W_U``
        times ``unembed.scale``.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> config = gi.TransformerConfig(d_model=16, init="paper1")
            >>> model = gi.HookedTransformer(config, p=13)
            >>> logits, cache = model.run_with_cache(torch.tensor([[2, 3]]))
            >>> stream = cache["resid_post", -1][0, -1]  # at the last position
            >>> by_hand = stream @ model.tokens_to_residual_directions(5)
            >>> torch.isclose(by_hand, logits[0, 5], atol=1e-4).item()  # biases are 0 at first
            True
        """
        return self.unembed.scale * self.W_U.T[tokens]

    def accumulated_bias(
        self, layer: int, mlp_input: bool = False, include_mlp_biases: bool = True
    ) -> Float[Tensor, " d_model"]:
        """Sum of the biases added to the residual stream before a layer, or before its MLP.

        Args:
            layer: 0 to n_layers; n_layers means before the unembedding.
            mlp_input: before the layer's MLP instead of its attention.
            include_mlp_biases: add ``b_out`` as well as ``b_O``.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> model = gi.HookedTransformer(gi.TransformerConfig(n_layers=2, d_model=16), p=13)
            >>> bias = model.blocks[0].mlp.b_out.data.fill_(0.5)  # all others are 0 at first
            >>> torch.equal(model.accumulated_bias(2), bias)
            True
        """
        total = self.b_O[: layer + mlp_input].sum(dim=0)
        if include_mlp_biases and not self.cfg.attn_only:
            total = total + self.b_out[:layer].sum(dim=0)
        return total

    def _stack(self, name: str) -> Tensor:
        part, leaf = name.split(".")
        return torch.stack([getattr(getattr(block, part), leaf) for block in self.blocks])

    def _biases(self, name: str, shaped_alike: Tensor) -> Tensor:
        exist = self.cfg.biases if name.startswith("mlp") else self.cfg.biases is True
        return self._stack(name) if exist else torch.zeros_like(shaped_alike)
