"""Remove or keep Fourier frequencies of an embedding, as a function of the residue."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.arguments import checked
from grokinterp.basis import plain_integers
from grokinterp.checks import check_bool, check_int
from grokinterp.models.anatomy import anatomy
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import short


@checked
def filter_frequencies(
    table: Float[Tensor, "*operand residue d"], frequencies: Iterable[Any], *, keep: bool
) -> Float[Tensor, "*operand residue d"]:
    """Keep only (or remove) some Fourier frequencies of a table of vectors, one per residue.

    Args:
        table: one vector per residue, in the order in which the task is periodic. Only read.
        frequencies: integers in 1..n // 2, in cycles per n residues; k and n - k are the same
            frequency.
        keep: True keeps only these frequencies; False removes them. The mean vector (frequency 0)
            always stays.

    Returns:
        A new table of the same dtype, computed in float64.

    Raises:
        TypeError: ``frequencies`` are not integers, or ``table`` is not a floating-point tensor.
        ValueError: a frequency out of range, or a table of the wrong shape.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> residues = 2 * torch.pi * torch.arange(13) / 13
        >>> one, other = torch.cos(2 * residues), torch.cos(5 * residues)
        >>> kept = gi.filter_frequencies((one + other)[:, None], [5], keep=True)
        >>> torch.allclose(kept[:, 0], other, atol=1e-5)
        True
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
    """Context manager in which a network's embedding has only (or lacks) some frequencies.

    For example::

        with filtered_embedding(model, [5, 11], keep=False):
            logits = model(tokens)

    The rows of ``W_E`` for the residues 0..p-1 are filtered, in each operand's table if there are
    two; symbols such as "=" stay. A read-out tied to ``W_E`` changes with it. On leaving, also by
    an error, the weights are restored exactly. Arguments are read at the call, weights on entering.

    Args:
        model: a network with its modulus ``p`` and ``W_E`` [vocab, d] or [2, p, d].
        frequencies: as in :func:`filter_frequencies`, along the residues in ``order``.
        keep: True keeps only these frequencies; False removes them.
        order: residues in the order in which the task is periodic, such as the powers of a
            primitive root for multiplication; None: 0..p-1. Residues not listed keep their vectors.

    Raises:
        TypeError: the model lacks ``p`` or ``W_E``, or its ``W_E`` is a copy of the weights.
        ValueError: a frequency out of range, or an invalid order.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import subset_accuracy
        >>> data = gi.make_dataset(gi.DataConfig(p=13))
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)  # it uses all six frequencies
        >>> with gi.filtered_embedding(model, [1, 2, 3, 4, 5], keep=False):
        ...     print(subset_accuracy(model(data.tokens), data)["test"] < 0.6)
        True
        >>> subset_accuracy(model(data.tokens), data)["test"]
        1.0
    """
    check_bool("keep", keep)
    p, tables = _modulus(model), _tables(model)
    for table in tables.values():
        if table.ndim != 2 or len(table) < p:
            raise ValueError(
                f"W_E must be [vocab, d] or [2, p, d] with at least p={p} rows, got a table "
                f"{list(table.shape)}"
            )
    places = torch.arange(p, device="cpu") if order is None else _order(order, p)
    chosen = _checked(frequencies, len(places))
    device = next(iter(tables.values())).device
    return _filtered(model, p, chosen, places.to(device, copy=True), keep)


@contextmanager
def _filtered(
    model: Any, p: int, frequencies: list[int], places: Int[Tensor, " place"], keep: bool
) -> Iterator[None]:
    filtered: dict[str, Tensor] = {}
    for name, table in _tables(model).items():
        filtered[name] = rows = table.detach()[:p].clone()
        rows[places] = filter_frequencies(rows[places], frequencies, keep=keep)
    with _replaced(model, filtered):
        yield


@checked
def replaced_embedding(model: Any, tables: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    """Context manager in which the first tokens (the residues) have other embedding vectors.

    On leaving, also by an error, the weights are restored exactly.

    Args:
        model: a network with input tables: ``HookedModel.input_tables``, or ``W_E``.
        tables: for each input table, by its name, the new first rows. Copied.

    Raises:
        TypeError: the model has no input table, or its ``W_E`` is a copy of the weights.
        ValueError: other names, a table of the wrong shape, or with too many rows.
    """
    now = _tables(model)
    fits = now.keys() == tables.keys() and all(
        now[name][: len(table)].shape == table.shape for name, table in tables.items()
    )
    if not fits:
        raise ValueError(
            f"tables {_shapes(tables)} do not fit the first rows of the network's input tables "
            f"{_shapes(now)}"
        )
    return _replaced(model, {name: table.detach().clone() for name, table in tables.items()})


@contextmanager
def _replaced(model: Any, rows: Mapping[str, Float[Tensor, "residue d"]]) -> Iterator[None]:
    tables = _tables(model)
    before = {name: table.detach().clone() for name, table in tables.items()}
    try:
        with torch.no_grad():
            for name, new in rows.items():
                tables[name][: len(new)] = new.to(tables[name])
        yield
    finally:
        with torch.no_grad():
            for name, old in before.items():
                tables[name].copy_(old)


def _shapes(tables: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(table.shape)}" for name, table in tables.items())


def _checked(frequencies: Iterable[Any], n: int) -> list[int]:
    chosen = plain_integers(frequencies)
    if strange := [k for k in chosen if not 1 <= k <= n // 2]:
        raise ValueError(
            f"frequencies contains {short(strange)}, but {n} residues have the frequencies "
            f"1..{n // 2}; k and {n} - k are the same frequency, so give the smaller one"
        )
    return chosen


def _modulus(model: Any) -> int:
    p = getattr(model, "p", None)
    if p is None:
        raise TypeError(f"{type(model).__name__} has no modulus p; build it with p=...")
    check_int("model.p", p, minimum=2)
    return p


def _tables(model: Any) -> Mapping[str, Tensor]:
    """The network's embedding tables, as the weights themselves (not copies)."""
    about = anatomy(model)
    tables, again = about.input_tables, about.input_tables
    if not tables:
        raise TypeError(
            f"{type(model).__name__} has no embedding tensor W_E to filter."
            f"{unnamed(model, 'first')}"
        )
    if any(table.data_ptr() != again[name].data_ptr() for name, table in tables.items()):
        raise TypeError(
            f"{type(model).__name__}.W_E is a new tensor at each access, so changes would be "
            "lost; give a model whose W_E is the weight itself"
        )
    return tables


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
