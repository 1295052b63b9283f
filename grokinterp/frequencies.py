"""Frequencies taken out of an embedding, as a function of the residue."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp._arguments import checked
from grokinterp._checks import check_bool, check_int
from grokinterp._short import short


@checked
def filter_frequencies(
    table: Float[Tensor, "*operand residue d"], frequencies: Iterable[Any], *, keep: bool
) -> Float[Tensor, "*operand residue d"]:
    """Only (or all but) some frequencies of vectors that are periodic in the residue.

    Args:
        table: one vector per residue, in the order in which the task is periodic. Only read.
        frequencies: integers, cycles per n residues, each in 1..n // 2; k and n - k are one
            frequency.
        keep: keep these frequencies and no others; if false, remove them and no others. The
            constant part, the mean vector, always stays.

    Returns:
        A new table, computed in float64, of the dtype of ``table``.

    Raises:
        TypeError: frequencies that are no integers, or a table that is no tensor of floats.
        ValueError: a frequency out of range, or a table of another shape.
    """
    n = table.shape[-2]
    chosen = _checked(frequencies, n)
    modes = torch.fft.rfft(table.detach().double(), dim=-2)
    stays = torch.full((modes.shape[-2],), not keep, device=table.device)
    stays[chosen] = keep
    stays[0] = True
    return torch.fft.irfft(modes * stays[:, None], n=n, dim=-2).to(table.dtype)


def filtered_embedding(
    model: Any,
    frequencies: Iterable[Any],
    *,
    keep: bool = True,
    order: Int[Tensor, " place"] | None = None,
) -> AbstractContextManager[None]:
    """A network with only (or without) some frequencies in its embedding, for a while.

    As in::

        with filtered_embedding(model, [5, 11], keep=False):
            logits = model(tokens)

    The arguments are read when this is called, the weights when the context is entered.

    The rows of the residues 0..p-1 in ``W_E`` are filtered, both operands' where each has a table
    of its own; symbols such as "=" stay. A read-out that is tied to ``W_E`` changes with it. On
    leaving, also by an error, the weights are again what they were, to the bit.

    Args:
        model: a network with its modulus ``p`` and ``W_E`` [vocab, d] or [2, p, d].
        frequencies: as in :func:`filter_frequencies`, of the residues in ``order``.
        keep: keep these frequencies and no others; if false, remove them and no others.
        order: residues in the order in which the task is periodic, such as the powers of a
            primitive root for multiplication; by default 0..p-1. Others keep their vectors.

    Raises:
        TypeError: the model lacks ``p`` or ``W_E``, or its ``W_E`` is a copy of the weights.
        ValueError: a frequency out of range; an order that is none.
    """
    check_bool("keep", keep)
    p, W_E = _modulus(model), _embedding(model)
    if W_E.ndim not in (2, 3) or W_E.shape[-2] < p:
        raise ValueError(
            f"W_E must be [vocab, d] or [2, p, d] with at least p={p} rows, got {list(W_E.shape)}"
        )
    places = torch.arange(p, device="cpu") if order is None else _order(order, p)
    chosen = _checked(frequencies, len(places))
    return _filtered(model, p, chosen, places.to(W_E.device, copy=True), keep)


@contextmanager
def _filtered(
    model: Any, p: int, frequencies: list[int], places: Int[Tensor, " place"], keep: bool
) -> Iterator[None]:
    W_E = _embedding(model).detach()
    table = W_E[..., :p, :].clone()
    table[..., places, :] = filter_frequencies(W_E[..., places, :], frequencies, keep=keep)
    with _replaced(model, table):
        yield


@checked
def replaced_embedding(
    model: Any, table: Float[Tensor, "*operand residue d"]
) -> AbstractContextManager[None]:
    """A network with other vectors for its first tokens, the residues, for a while.

    On leaving, also by an error, the weights are again what they were, to the bit.

    Args:
        model: a network with ``W_E`` [vocab, d], or [2, p, d] with a table per operand.
        table: what the first rows become. Copied.

    Raises:
        TypeError: the model lacks ``W_E``, or its ``W_E`` is a copy of the weights.
        ValueError: a table of another shape, or of more rows.
    """
    W_E = _embedding(model)
    rows = table.shape[-2]
    if W_E[..., :rows, :].shape != table.shape:
        raise ValueError(
            f"table {list(table.shape)} does not fit the first rows of W_E {list(W_E.shape)}"
        )
    return _replaced(model, table.detach().clone())


@contextmanager
def _replaced(model: Any, table: Float[Tensor, "*operand residue d"]) -> Iterator[None]:
    W_E = _embedding(model)
    before = W_E.detach().clone()
    try:
        with torch.no_grad():
            W_E[..., : table.shape[-2], :] = table.to(W_E)
        yield
    finally:
        with torch.no_grad():
            W_E.copy_(before)


def _checked(frequencies: Iterable[Any], n: int) -> list[int]:
    chosen = plain_integers(frequencies)
    if strange := [k for k in chosen if not 1 <= k <= n // 2]:
        raise ValueError(
            f"frequencies contains {short(strange)}, but {n} residues have the frequencies "
            f"1..{n // 2}; k and {n} - k are one frequency, named by the smaller number"
        )
    return chosen


def plain_integers(frequencies: Iterable[Any]) -> list[int]:
    """Frequencies as Python integers; raise for what is none, such as 2.5, "2" or True."""
    if not isinstance(frequencies, Iterable) or getattr(frequencies, "ndim", 1) != 1:
        raise TypeError(f"frequencies must be a list of integers, got {short(frequencies)}")
    chosen: list[int] = []
    for k in frequencies:
        is_scalar = isinstance(k, np.generic) or (isinstance(k, Tensor) and not k.ndim)
        number: Any = k.item() if is_scalar else k
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"frequencies must be integers, got {short(k)}")
        chosen.append(number)
    return chosen


def _modulus(model: Any) -> int:
    p = getattr(model, "p", None)
    if p is None:
        raise TypeError(f"{type(model).__name__} has no modulus p; build it with p=...")
    check_int("model.p", p, minimum=2)
    return p


def _embedding(model: Any) -> Tensor:
    W_E = getattr(model, "W_E", None)
    if not isinstance(W_E, Tensor):
        raise TypeError(f"{type(model).__name__} has no tensor W_E whose rows could be filtered")
    if W_E.data_ptr() != model.W_E.data_ptr():
        raise TypeError(
            f"{type(model).__name__}.W_E is a new tensor each time, so that a change would be "
            "lost; give a model whose W_E is the weight itself"
        )
    return W_E


def _order(order: Any, p: int) -> Tensor:
    order = order if isinstance(order, Tensor) else torch.as_tensor(order, device="cpu")
    if order.ndim != 1 or order.is_floating_point() or order.dtype == torch.bool:
        raise TypeError(
            f"order must be a list of residues, got {order.dtype} of shape {list(order.shape)}"
        )
    inside = bool(((order >= 0) & (order < p)).all())
    if not len(order) or not inside or len(order.unique()) != len(order):
        raise ValueError(
            f"order must hold residues in 0..{p - 1}, each at most once, got "
            f"{short(order.tolist())}"
        )
    return order.long()
