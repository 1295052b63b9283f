"""Computing once what all pairs share: a table of rows, and where each pair finds its own."""

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
    """What the rows of a block's input are, and of which of them its output is wanted.

    Without ``index`` the input has a row for every position of every example. With it, the input
    is a table that all examples share, [1, row, d_model], in order of position, and example n has
    row ``index[n, i]`` at its position i: what is a function of one row, or of two as the scores
    are, is then computed once for all examples that have it.

    Args:
        start: rows from this one on are wanted. In a table it is 0, or where the rows of the last
            position begin.
        index: the examples' rows, if the input is a table.
    """

    start: int = 0
    index: Int[Tensor, "batch pos"] | None = None

    def wanted(self, x: Float[Tensor, "batch row d"]) -> Float[Tensor, "batch wanted d"]:
        """The rows themselves whose output is wanted."""
        return x[:, self.start :]

    def residual(self, x: Float[Tensor, "one row d"]) -> Float[Tensor, "batch query d"]:
        """What each example has at the positions that are wanted."""
        return x[:, self.start :] if self.index is None else F.embedding(self._queries, x[0])

    def scores(
        self, scores: Float[Tensor, "one head wanted row"]
    ) -> Float[Tensor, "batch head query key"]:
        """The scores between each example's positions."""
        if self.index is None:
            return scores
        heads, rows = scores.shape[1], scores.shape[-1]
        pairs = (self._queries - self.start)[:, :, None] * rows + self.index[:, None, :]
        return F.embedding(pairs, scores.reshape(heads, -1).T).movedim(-1, 1)

    def values(
        self, v: Float[Tensor, "one row head d_head"]
    ) -> Float[Tensor, "batch key head d_head"]:
        """The values at each example's positions."""
        if self.index is None:
            return v
        return F.embedding(self.index, v[0].flatten(1)).unflatten(-1, v.shape[2:])

    @property
    def _queries(self) -> Int[Tensor, "batch query"]:
        assert self.index is not None
        return self.index[:, -1:] if self.start else self.index


class TokenTable(nn.Module):
    """Every token at every position where a prompt can have it, in order of position.

    An operand's position has p rows, a symbol's has one.

    Attributes:
        tokens, positions: of each row.
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
        # Rows follow from the config: they move with the model, and are not saved with it.
        self.register_buffer("tokens", torch.cat(tokens), persistent=False)
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("shift", starts - columns[:, 0], persistent=False)

    def rows(self, tokens: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
        """The rows of a prompt's sequences."""
        return tokens + self.shift
