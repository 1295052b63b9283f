"""Initial weights of a transformer, drawn from one generator."""

import torch
from torch import nn

from grokinterp.models.initial_weights import constant, normal, uniform
from grokinterp.models.transformer_config import TransformerConfig


class Weights:
    """Draws a network's parameters in turn, as its config's ``init`` says.

    Args:
        config: the architecture, with its sizes filled in.
        rng: advanced by every weight matrix, not by biases.
    """

    def __init__(self, config: TransformerConfig, rng: torch.Generator) -> None:
        self._config, self._rng = config, rng

    def embedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """A table with one vector per token or position."""
        match self._config.init:
            case "gpt2":
                return self._normal(shape, 0.02)
            case "nanda" | "zhong":
                return self._normal(shape, self._config.d_model**-0.5)
        return self._normal(shape, 1.0)

    def token_embedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """The table of tokens; if it is tied and init is "paper1", drawn like an unembedding."""
        if self._config.tie_embedding and self._config.init == "paper1":
            return self._normal(shape, self._config.d_model**-0.5)
        return self.embedding(shape)

    def unembedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """The read-out to the logits."""
        if self._config.init in ("nanda", "zhong"):
            assert self._config.d_vocab is not None
            return self._normal(shape, self._config.d_vocab**-0.5)
        return self.linear(shape, fan_in=self._config.d_model)

    def linear(self, shape: tuple[int, ...], *, fan_in: int) -> nn.Parameter:
        """Any other matrix, or those of all heads together."""
        match self._config.init:
            case "gpt2":
                return self._normal(shape, 0.02)
            case "nanda" | "zhong":
                return self._normal(shape, self._config.d_model**-0.5)
            case "paper1":
                return self._normal(shape, fan_in**-0.5)
        return uniform(shape, fan_in, self._rng)

    def into_neurons(self, shape: tuple[int, int]) -> nn.Parameter:
        """The neurons' input weights [d_model, d_mlp]."""
        if self._config.init == "zhong":
            return self._normal(shape, shape[1] ** -0.5)
        return self.linear(shape, fan_in=shape[0])

    def bias(self, shape: tuple[int, ...], *, of_mlp: bool = False) -> nn.Parameter | None:
        """Zeros, or None where the network has no bias."""
        exists = bool(self._config.biases) if of_mlp else self._config.biases is True
        return constant(shape, 0.0) if exists else None

    def _normal(self, shape: tuple[int, ...], std: float) -> nn.Parameter:
        return normal(shape, std, self._rng)
