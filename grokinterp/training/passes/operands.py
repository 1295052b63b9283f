"""The first layer of many runs at once: sums of two rows of a table, and their gradient.

On the matrix units of a GPU, the fastest way is to multiply the table by a matrix of zeros and
ones. Without them it is to gather rows, and to add up the examples of each row. On a CPU, torch's
embedding bags gather two rows and add them at once, though not into given memory.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable  # for the type checks in tests
class FirstLayer(Protocol):
    """The first layer for some training sets; tables have the operand a's rows first, then b's.

    Results are in ``out``, or in new memory.
    """

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> Float[Tensor, "run example width"]:
        """The sum of each example's two rows."""
        ...

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> Float[Tensor, "run entry width"]:
        """The sum over each row's examples."""
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
    ) -> Float[Tensor, "run example width"]:
        """See :class:`FirstLayer`."""
        return torch.bmm(self._indicator, tables, out=out)

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> Float[Tensor, "run entry width"]:
        """See :class:`FirstLayer`."""
        return torch.bmm(self._indicator.mT, delta, out=out)


class ByGathers:
    """Gathers of rows, and sums over a sorted list of each row's examples.

    Args:
        entries: the two rows of every example.
        rows: number of rows of a table.
    """

    def __init__(self, entries: Int[Tensor, "run example 2"], rows: int) -> None:
        self._first, self._second = _in_all_tables(entries, rows).unbind(dim=1)
        self._examples, self._starts = _examples_by_row(entries, rows)

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> Float[Tensor, "run example width"]:
        """See :class:`FirstLayer`."""
        rows = tables.flatten(0, 1)
        torch.index_select(rows, 0, self._first, out=out.flatten(0, 1))
        return out.add_(rows.index_select(0, self._second).view_as(out))

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> Float[Tensor, "run entry width"]:
        """See :class:`FirstLayer`."""
        return _sums(delta, self._examples, self._starts).view_as(out)


class ByBags:
    """Gathers of both rows of an example at once; otherwise as :class:`ByGathers`.

    Args:
        entries: the two rows of every example.
        rows: number of rows of a table.
    """

    def __init__(self, entries: Int[Tensor, "run example 2"], rows: int) -> None:
        self._rows = _in_all_tables(entries, rows).flatten().int()
        self._pairs = torch.arange(0, len(self._rows), 2, dtype=torch.int32, device=entries.device)
        examples, starts = _examples_by_row(entries, rows)
        self._examples, self._starts = examples.int(), starts.int()

    def forward(
        self, tables: Float[Tensor, "run entry width"], out: Float[Tensor, "run example width"]
    ) -> Float[Tensor, "run example width"]:
        """See :class:`FirstLayer`."""
        return _sums(tables, self._rows, self._pairs).view_as(out)

    def backward(
        self, delta: Float[Tensor, "run example width"], out: Float[Tensor, "run entry width"]
    ) -> Float[Tensor, "run entry width"]:
        """See :class:`FirstLayer`."""
        return _sums(delta, self._examples, self._starts).view_as(out)


def _in_all_tables(
    entries: Int[Tensor, "run example 2"], rows: int
) -> Int[Tensor, "run_example 2"]:
    """Rows of each run's table, counted through all runs' tables, one below the other."""
    of_run = torch.arange(len(entries), device=entries.device)[:, None, None] * rows
    return (entries + of_run).flatten(0, 1)


def _examples_by_row(
    entries: Int[Tensor, "run example 2"], rows: int
) -> tuple[Int[Tensor, " run_example_2"], Int[Tensor, " run_row"]]:
    """Examples sorted by the rows that they have, and where those of each row start."""
    owners, order = _in_all_tables(entries, rows).T.flatten().sort(stable=True)
    every = torch.arange(len(entries) * rows, device=entries.device)
    return order % max(1, len(order) // 2), torch.searchsorted(owners, every)


def _sums(
    rows: Float[Tensor, "run row width"], chosen: Int[Tensor, " index"], starts: Int[Tensor, " sum"]
) -> Float[Tensor, "sum width"]:
    """Sums of slices of the ``chosen`` rows; each starts at one of ``starts``."""
    sums, *_ = torch.embedding_bag(rows.flatten(0, 1), chosen, starts)
    return sums
