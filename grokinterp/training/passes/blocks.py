"""Examples of one run, cut into blocks whose activations fit into a core's cache.

The first layer of a pair (a, b) is the sum of two rows of a table: that of a, and that of b. Its
gradient adds up the examples of each row. In float32 two gathers and two scattered adds are the
fastest on a CPU; in bfloat16 it is torch's embedding bags, which read and write everything once and
add in float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.short_text import short_repr


@runtime_checkable  # for the type checks in tests
class Rows(Protocol):
    """The two rows of a table of every example of a block."""

    def __init__(self, pairs: Int[Tensor, "n 2"], p: int) -> None: ...

    def sums(
        self, table: Float[Tensor, "row width"], out: Tensor, spare: Tensor
    ) -> Float[Tensor, "n width"]:
        """The sum of each example's two rows, in ``out`` or in new memory."""
        ...

    def add_back(self, table: Float[Tensor, "row width"], delta: Float[Tensor, "n width"]) -> None:
        """Add to each row of ``table`` the sum of its examples' ``delta``."""
        ...


class Gathers:
    """Two gathers, and two scattered adds."""

    def __init__(self, pairs: Int[Tensor, "n 2"], p: int) -> None:
        self._first, self._second = pairs[:, 0].contiguous(), pairs[:, 1] + p

    def sums(
        self, table: Float[Tensor, "row width"], out: Tensor, spare: Tensor
    ) -> Float[Tensor, "n width"]:
        """See :class:`Rows`."""
        torch.index_select(table, 0, self._first, out=out)
        return out.add_(torch.index_select(table, 0, self._second, out=spare))

    def add_back(self, table: Float[Tensor, "row width"], delta: Float[Tensor, "n width"]) -> None:
        """See :class:`Rows`."""
        table.index_add_(0, self._first, delta)
        table.index_add_(0, self._second, delta)


class Bags:
    """Embedding bags: of two rows per example, and of all examples of a row."""

    def __init__(self, pairs: Int[Tensor, "n 2"], p: int) -> None:
        entries = pairs + torch.tensor([0, p], device="cpu")
        owners, order = entries.T.flatten().sort(stable=True)
        every = torch.arange(2 * p, device="cpu")
        # Of 32 bits each, since every run of a stack has its own.
        self._entries = entries.flatten().int()
        self._firsts = torch.arange(0, 2 * len(pairs), 2, dtype=torch.int32, device="cpu")
        self._examples = (order % len(pairs)).int()
        self._starts = torch.searchsorted(owners, every, out_int32=True)

    def sums(
        self, table: Float[Tensor, "row width"], out: Tensor, spare: Tensor
    ) -> Float[Tensor, "n width"]:
        """See :class:`Rows`."""
        return torch.embedding_bag(table, self._entries, self._firsts)[0]

    def add_back(self, table: Float[Tensor, "row width"], delta: Float[Tensor, "n width"]) -> None:
        """See :class:`Rows`."""
        table += torch.embedding_bag(delta, self._examples, self._starts)[0]


@short_repr
@dataclass(frozen=True, eq=False)
class Block:
    """Some examples, as indices for gathers and scatters."""

    rows: Rows
    size: int
    at_label: Int[Tensor, " n"]  # position of each label in the flattened logits


@short_repr
@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of one run, cut into blocks."""

    blocks: tuple[Block, ...]
    size: int  # number of examples
    n_total: int  # examples in the run's whole batch, which may be divided among workers
    start: int  # index of the first example within the whole batch

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        """Each block, after the index of its first example within the whole batch."""
        start = self.start
        for block in self.blocks:
            yield start, block
            start += block.size


def blocks(
    tokens: Int[Tensor, "n 2"], labels: Int[Tensor, " n"], p: int, *, size: int, rows: type[Rows]
) -> tuple[Block, ...]:
    """Cut examples into blocks of at most ``size``."""
    pieces = zip(tokens.split(size), labels.split(size), strict=True)
    return tuple(
        Block(
            rows=rows(pairs, p),
            size=len(pairs),
            at_label=torch.arange(len(given), device=given.device) * p + given,
        )
        for pairs, given in pieces
        if len(pairs)
    )
