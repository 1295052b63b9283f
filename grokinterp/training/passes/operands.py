"""The first layer of many runs at once: sums of two rows of a table, and their gradient.

Two ways, of which the faster one depends on the precision. On the matrix units of a GPU it is to
multiply the table by a matrix of zeros and ones. Without them it is to gather rows, and to add up
the examples of each row.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable  # for the type checks in tests
class FirstLayer(Protocol):
    """The first layer for some training sets; tables have the operand a's rows first, then b's."""

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> None:
        """Write the sum of each example's two rows."""
        ...

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> None:
        """Write the sum over each row's examples."""
        ...


class ByProducts:
    """Products with an indicator: 1 where an example has the operand that belongs to a row.

    Args:
        entries: the two rows of every example.
        rows: number of rows of a table.
        dtype: of the products' operands.
    """

    def __init__(
        self, entries: Int[Tensor, "run example 2"], rows: int, dtype: torch.dtype
    ) -> None:
        runs, examples, _ = entries.shape
        indicator = torch.zeros(runs, examples, rows, dtype=dtype, device=entries.device)
        self._indicator = indicator.scatter_(2, entries, 1.0)

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> None:
        """See :class:`FirstLayer`."""
        torch.bmm(self._indicator, tables, out=out)

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> None:
        """See :class:`FirstLayer`."""
        torch.bmm(self._indicator.mT, delta, out=out)


class ByGathers:
    """Gathers of rows, and sums over a sorted list of each row's examples.

    Args:
        entries: the two rows of every example.
        rows: number of rows of a table.
    """

    def __init__(self, entries: Int[Tensor, "run example 2"], rows: int) -> None:
        runs, examples, _ = entries.shape
        of_run = torch.arange(runs, device=entries.device)[:, None, None] * rows
        at = entries + of_run  # rows of all runs' tables, one below the other
        self._first, self._second = at[..., 0].flatten(), at[..., 1].flatten()
        owners, order = torch.cat([self._first, self._second]).sort(stable=True)
        self._examples = order % (runs * examples)
        every = torch.arange(runs * rows, device=entries.device)
        self._starts = torch.searchsorted(owners, every)

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> None:
        """See :class:`FirstLayer`."""
        rows = tables.flatten(0, 1)
        torch.index_select(rows, 0, self._first, out=out.flatten(0, 1))
        out += rows.index_select(0, self._second).view_as(out)

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> None:
        """See :class:`FirstLayer`."""
        sums, *_ = torch.embedding_bag(delta.flatten(0, 1), self._examples, self._starts)
        out.copy_(sums.view_as(out))
