"""Logits of two frozen circuits on every pair, and the pairs to train and to test their mixture on.

A mixture is a fair test of generalisation only on pairs that neither circuit was trained on. It is
a fair test of memorisation only if the memorising circuit makes no errors, for which the mixture
would need the other one. Both are checked here, before anything is mixed.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.efficiency.circuits.circuits import Circuit, check_compatible
from grokinterp.checks import check_choice
from grokinterp.session import unaffected
from grokinterp.short_text import short, short_repr

SPLITS = ("train", "test")
_ASKED = ("refused", "allowed")


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Tables:
    """Logits of two circuits on all pairs of a task, with the pairs to train and to test on.

    Raises:
        ValueError: tables of different shapes or with NaN or infinite logits, masks of another
            length or type, no pair to train or to test on, or a pair in both masks.
    """

    memorising: Float[Tensor, "pair class"]
    generalising: Float[Tensor, "pair class"]
    labels: Int[Tensor, " pair"]  # as given in training
    is_train: Bool[Tensor, " pair"]  # pairs that the mixture's scalars are trained on
    is_test: Bool[Tensor, " pair"]  # its validation pairs
    norms: tuple[float, float] = (math.nan, math.nan)  # of the parameters; for weight decay
    overlap: int = 0  # how many test pairs a circuit was trained on
    errors: int = field(init=False)  # how many training pairs C_mem gets wrong

    def __post_init__(self) -> None:
        shapes = {tuple(table.shape) for table in (self.memorising, self.generalising)}
        if len(shapes) > 1:
            raise ValueError(
                f"the circuits' logits have shapes {sorted(shapes)}; give two circuits of one task "
                "with the same number of classes"
            )
        for name in ("memorising", "generalising"):
            if not getattr(self, name).isfinite().all():
                raise ValueError(f"{name} has NaN or infinite logits; this network diverged")
        for split in SPLITS:
            mask = self.mask(split)
            if mask.dtype != torch.bool or len(mask) != len(self.labels):  # integers would index
                raise ValueError(
                    f"is_{split} must be a mask over the {len(self.labels)} pairs, got "
                    f"{mask.dtype} {list(mask.shape)}"
                )
            if not mask.any():
                remedy = {
                    "train": "give is_train some pairs",
                    "test": "train the circuits on fewer pairs, so that both leave some unseen",
                }[split]
                raise ValueError(f"no pair is left to {split} the mixture on; {remedy}")
        if both := int((self.is_train & self.is_test).sum()):
            raise ValueError(
                f"{both} pairs are both in is_train and in is_test; put each pair in one"
            )
        answers = self.memorising[self.is_train].argmax(dim=1)
        errors = int((answers != self.labels[self.is_train]).sum())
        object.__setattr__(self, "errors", errors)

    def mask(self, split: str) -> Bool[Tensor, " pair"]:
        """The pairs of "train" or "test"."""
        return {"train": self.is_train, "test": self.is_test}[split]

    def on(
        self, split: str, *, mixed: str
    ) -> tuple[Float[Tensor, "n class"], Float[Tensor, "n class"], Int[Tensor, " n"]]:
        """Both tables, as "logits" or "probabilities" (``mixed``), and the labels of a split."""
        mask = self.mask(split)
        tables = (table[mask].double() for table in (self.memorising, self.generalising))
        if mixed == "probabilities":
            tables = (table.softmax(dim=1) for table in tables)
        memorising, generalising = tables
        return memorising, generalising, self.labels[mask]


def check_tables(tables: object) -> None:
    """Raise TypeError unless these are the tables of one pair of circuits."""
    if not isinstance(tables, Tables):
        raise TypeError(
            f"tables must be the Tables of one pair of circuits, got {short(tables)}; pass one "
            "seed's, or make them with tables_of(memorising, generalising)"
        )


@unaffected()
def tables_of(
    memorising: Circuit,
    generalising: Circuit,
    *,
    is_train: Bool[Tensor, " pair"] | None = None,
    is_test: Bool[Tensor, " pair"] | None = None,
    overlap: str = "refused",
    errors: str = "refused",
) -> Tables:
    """Tables for a mixture of two circuits, without leaks unless they are allowed.

    Args:
        memorising: C_mem.
        generalising: C_gen, of the same task.
        is_train: the mixture's training pairs; by default those that C_mem was trained on.
        is_test: its test pairs; by default those that neither circuit was trained on.
        overlap: "allowed" accepts test pairs that a circuit was trained on; "refused" raises.
        errors: "allowed" accepts training pairs that C_mem gets wrong; "refused" raises.

    Raises:
        ValueError: circuits of different tasks; test pairs that a circuit has seen, or errors of
            C_mem, unless allowed (the message counts them); or no test pair.
    """
    check_choice("overlap", overlap, _ASKED)
    check_choice("errors", errors, _ASKED)
    check_compatible(memorising, generalising)
    seen = memorising.seen | generalising.seen
    is_train = memorising.seen if is_train is None else is_train
    is_test = ~(seen | is_train) if is_test is None else is_test
    leaked = int((is_test & seen).sum())
    if leaked and overlap == "refused":
        raise ValueError(
            f"{leaked} of {int(is_test.sum())} test pairs were seen by a circuit in training; "
            "leave is_test out to test on the others, or pass overlap='allowed'"
        )
    tables = Tables(
        memorising.logits(),
        generalising.logits(),
        labels=memorising.dataset.labels,
        is_train=is_train,
        is_test=is_test,
        norms=(memorising.norm, generalising.norm),
        overlap=leaked,
    )
    if tables.errors and errors == "refused":
        raise ValueError(
            f"C_mem is wrong on {tables.errors} of {int(is_train.sum())} training pairs, and the "
            "mixture needs C_gen for those; train it longer, or pass errors='allowed'"
        )
    return tables


@unaffected()
def published_tables(memorising: Circuit, generalising: Circuit) -> Tables:
    """Tables as in the paper: tested on all pairs that C_mem was not trained on.

    With nested splits of 20 % and 90 %, C_gen was trained on seven eighths of these test pairs.
    C_mem may be wrong on some training pairs.
    """
    unseen, allowed = ~memorising.seen, "allowed"
    return tables_of(memorising, generalising, is_test=unseen, overlap=allowed, errors=allowed)
