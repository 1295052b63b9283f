"""Initial weights of a transformer, drawn from one generator."""

import torch
from torch import nn

from grokinterp.models.transformer_config import TransformerConfig


class Weights:
    """Draws a network's parameters in turn, as its config's ``init`` says.

    Args:
        config: the architecture, with its sizes filled in.
        rng: advanced by every weight, and not by biases.
    """

    def __init__(self, config: TransformerConfig, rng: torch.Generator) -> None:
        self._config, self._rng = config, rng

    def embedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """A table of vectors, one for each token or position."""
        match self._config.init:
            case "gpt2":
                return self._normal(shape, 0.02)
            case "nanda":
                return self._normal(shape, self._config.d_model**-0.5)
        return self._normal(shape, 1.0)

    def token_embedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """The table of tokens; a tied one of the first paper's is drawn as the unembedding."""
        if self._config.tie_embedding and self._config.init == "paper1":
            return self._normal(shape, self._config.d_model**-0.5)
        return self.embedding(shape)

    def unembedding(self, shape: tuple[int, ...]) -> nn.Parameter:
        """The read-out to the logits."""
        if self._config.init == "nanda":
            assert self._config.d_vocab is not None
            return self._normal(shape, self._config.d_vocab**-0.5)
        return self.linear(shape, fan_in=self._config.d_model)

    def linear(self, shape: tuple[int, ...], *, fan_in: int) -> nn.Parameter:
        """Any other matrix, or several heads' at once."""
        match self._config.init:
            case "gpt2":
                return self._normal(shape, 0.02)
            case "nanda":
                return self._normal(shape, self._config.d_model**-0.5)
            case "paper1":
                return self._normal(shape, fan_in**-0.5)
        bound = fan_in**-0.5
        return nn.Parameter(_empty(shape).uniform_(-bound, bound, generator=self._rng))

    def bias(self, shape: tuple[int, ...]) -> nn.Parameter | None:
        """Zeros, or None in a network without biases."""
        return nn.Parameter(_empty(shape).zero_()) if self._config.biases else None

    def _normal(self, shape: tuple[int, ...], std: float) -> nn.Parameter:
        return nn.Parameter(_empty(shape).normal_(0.0, std, generator=self._rng))


def _empty(shape: tuple[int, ...]) -> torch.Tensor:
    # Named, not left to torch's defaults: a run must not depend on the session's settings.
    return torch.empty(shape, dtype=torch.float32, device="cpu")
