"""Computing once what many pairs share: a table of (token, position) rows, and their indices."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from grokinterp.models.prompt import Prompt
from grokinterp.short_text import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class Rows:
    """How a block's input is laid out, and for which rows its output is wanted.

    Without ``index`` the input is [batch, pos, d_model], a row per position of every example. With
    ``index`` it is one table [1, row, d_model] that all examples share, sorted by position, and
    example n has row ``index[n, i]`` at position i. Queries, keys and values are then computed once
    per row, and attention scores once per pair of rows, for all examples together.

    Args:
        start: the output is wanted for rows from this one on. In a table this is 0, or the first
            row of the last position.
        index: the examples' rows in the table; None if the input is not a table.
    """

    start: int = 0
    index: Int[Tensor, "batch pos"] | None = None

    def wanted(self, x: Float[Tensor, "batch row d"]) -> Float[Tensor, "batch wanted d"]:
        """The input's rows whose output is wanted."""
        return x[:, self.start :]

    def residual(self, x: Float[Tensor, "one row d"]) -> Float[Tensor, "batch query d"]:
        """The input of each example at the positions whose output is wanted."""
        return x[:, self.start :] if self.index is None else F.embedding(self._queries, x[0])

    def scores(
        self, scores: Float[Tensor, "one head wanted row"]
    ) -> Float[Tensor, "batch head query key"]:
        """Each example's scores between positions, from the scores between rows."""
        if self.index is None:
            return scores
        heads, rows = scores.shape[1], scores.shape[-1]
        pairs = (self._queries - self.start)[:, :, None] * rows + self.index[:, None, :]
        return F.embedding(pairs, scores.reshape(heads, -1).T).movedim(-1, 1)

    def values(
        self, v: Float[Tensor, "one row head d_head"]
    ) -> Float[Tensor, "batch key head d_head"]:
        """Each example's values by position, from the values of the rows."""
        if self.index is None:
            return v
        return F.embedding(self.index, v[0].flatten(1)).unflatten(-1, v.shape[2:])

    @property
    def _queries(self) -> Int[Tensor, "batch query"]:
        assert self.index is not None
        return self.index[:, -1:] if self.start else self.index


class TokenTable(nn.Module):
    """All (token, position) rows that a prompt can have, sorted by position.

    The position of an operand has p rows, that of a symbol has one.

    Attributes:
        tokens: each row's token.
        positions: each row's position.
        last: the first row of the last position.
    """

    tokens: Int[Tensor, " row"]
    positions: Int[Tensor, " row"]
    shift: Int[Tensor, " pos"]

    def __init__(self, prompt: Prompt, p: int) -> None:
        super().__init__()
        columns = prompt.tokens(torch.arange(p, device="cpu")[:, None].expand(p, 2)).T
        lengths = [p if column[0] != column[-1] else 1 for column in columns]
        sizes = torch.tensor(lengths, device="cpu")
        starts = sizes.cumsum(0) - sizes
        tokens = [column[:size] for column, size in zip(columns, lengths, strict=True)]
        positions = torch.arange(len(sizes), device="cpu").repeat_interleave(sizes)
        self.last = int(starts[-1])
        # Buffers, so that they move with the model; not saved, because they follow from the config.
        self.register_buffer("tokens", torch.cat(tokens), persistent=False)
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("shift", starts - columns[:, 0], persistent=False)

    def rows(self, tokens: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
        """The table's rows for token sequences of the prompt."""
        return tokens + self.shift
