"""Which weights of somebody's first map belong to which residue, from what it reads."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from grokinterp.models.named_parts import View, find
from grokinterp.short_text import short


def tried_pairs(p: int) -> Int[Tensor, "pair 2"]:
    """Pairs a != b in which every residue occurs at both places, next to others than in order."""
    a = torch.arange(p, device="cpu").repeat(3)
    return torch.stack([a, (a + torch.tensor([1, 2, 3]).repeat_interleave(p)) % p], dim=1)[
        torch.tensor([1, 2, 3]).repeat_interleave(p) % p != 0
    ]


def find_tables(
    net: nn.Module, given: list[object], reads: dict[str, list[Tensor]], p: int
) -> dict[str, View]:
    """The input tables, [vocab, d], of ``Anatomy.input_tables``.

    Args:
        net: the module.
        given: one first map for both operands, or one for each: modules, names or tensors.
        reads: what each first map that is a module was given for :func:`tried_pairs`.
        p: the modulus.

    Raises:
        TypeError: a map of another kind than ``nn.Linear`` and ``nn.Embedding``.
        ValueError: what a map reads, or a tensor's shape, does not fit p residues.
    """
    if len(given) > 2:
        raise ValueError(f"first must name one map for both operands or one each, got {len(given)}")
    views: list[View] = []
    for number, one in enumerate(given):
        name, part = find(net, "first", one)
        if isinstance(part, Tensor):
            views += _of_tensor(net, name, part, p)
        else:
            operands = (0, 1) if len(given) == 1 else (number,)
            views += _of_module(net, name, part, reads[name], operands, p)
    if len(views) > 2:
        raise ValueError(f"first names {len(views)} tables, but there are two operands")
    if len(views) == 2 and views[0] != views[1]:
        return {f"W_E[{operand}]": view for operand, view in enumerate(views)}
    return {"W_E": views[0]}


def _of_tensor(net: nn.Module, name: str, tensor: Tensor, p: int) -> list[View]:
    argument = f"first={name!r}" if name else "first"
    stacked = tensor.ndim == 3 and len(tensor) == 2
    tables = list(tensor) if stacked else [tensor]
    if any(table.ndim != 2 or len(table) < p for table in tables):
        raise ValueError(
            f"{argument} is a tensor {list(tensor.shape)}, but p={p} residues need [vocab, d], "
            "or [2, vocab, d] with a table per operand, with at least p rows; give weight.T if "
            "the residues are its columns"
        )
    return [View.of(net, table, argument) for table in tables]


def _of_module(
    net: nn.Module,
    name: str,
    module: nn.Module,
    calls: list[Tensor],
    operands: tuple[int, ...],
    p: int,
) -> list[View]:
    if not isinstance(module, nn.Linear | nn.Embedding):
        inside = [inner for inner, m in module.named_modules() if isinstance(m, nn.Linear)]
        hint = f"; name the nn.Linear in it: {name}.{inside[0]}" if inside else ""
        raise TypeError(
            f"first={name!r} is a {type(module).__name__}, which is no table with a row per "
            f"residue: it must be an nn.Linear on one-hots, an nn.Embedding or a parameter{hint}"
        )
    if not calls:
        raise ValueError(f"first={name!r} is not called in a forward pass; name what reads a and b")
    pairs = tried_pairs(p)
    uses = _rows_used(name, module, calls, pairs)
    rows = module.weight if isinstance(module, nn.Embedding) else module.weight.T
    found = []
    for operand in operands:
        starts = [
            start
            for start in range(uses.shape[1] - p + 1)
            if uses[torch.arange(len(pairs)), start + pairs[:, operand]].all()
        ]
        if len(starts) != 1:
            raise ValueError(
                f"first={name!r} has {uses.shape[1]} rows, and the row that it uses for a pair "
                f"is not start + {'ab'[operand]} in 0..{p - 1} for one start: p={p} or inputs do "
                "not fit it. Correct them, or name one map for each operand, as in "
                "first=('embed_a', 'embed_b')"
            )
        # A shared table is left whole: behind the residues are the symbols.
        found.append(starts[0])
    ends = [None if len(set(found)) == 1 else start + p for start in found]
    views = [rows[start:end] for start, end in zip(found, ends, strict=True)]
    return [View.of(net, view, f"first={name!r}") for view in views]


def _rows_used(
    name: str, module: nn.Linear | nn.Embedding, calls: list[Tensor], pairs: Tensor
) -> Bool[Tensor, "pair row"]:
    """Which rows of the map each pair uses, at any position and in any call."""
    rows = module.weight.shape[0 if isinstance(module, nn.Embedding) else 1]
    uses = torch.zeros(len(pairs), rows, dtype=torch.bool)
    for call in calls:
        if len(call) != len(pairs):
            raise ValueError(
                f"first={name!r} is given {list(call.shape)} for {len(pairs)} pairs, not a row "
                "for each; let the batch be its first axis"
            )
        read = call.detach().cpu()
        if isinstance(module, nn.Embedding):
            uses[torch.arange(len(pairs))[:, None], read.reshape(len(pairs), -1).long()] = True
            continue
        if not bool(((read == 0) | (read == 1)).all()):
            strange = read[(read != 0) & (read != 1)][0]
            raise ValueError(
                f"first={name!r} reads {short(float(strange))}, which no one-hot of a and b holds: "
                "the map is not linear in the one-hots. Name the map before it, or give first a "
                "parameter with a row per residue"
            )
        uses |= (read.reshape(len(pairs), -1, rows) == 1).any(dim=1)
    return uses
