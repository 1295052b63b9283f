"""What two frozen circuits say on every pair, and the pairs on which a mixture of them is judged.

A mixture is a fair test of generalisation only on pairs that neither circuit was trained on, and a
fair test of memorisation only if the memorising circuit makes no errors that the other one could
be needed for. Both are looked at here, before anything is mixed.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.efficiency.circuits.circuits import Circuit, check_compatible
from grokinterp.checks import check_choice
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr

SPLITS = ("train", "test")
_ASKED = ("refused", "allowed")


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Tables:
    """Logits of two circuits on all pairs of a task, with the pairs to train and to test on.

    Raises:
        ValueError: tables of different shapes or with NaN or infinite logits, masks of other pairs
            or of numbers, no pair to train or to test on, or a pair on both sides.
    """

    memorising: Float[Tensor, "pair class"]
    generalising: Float[Tensor, "pair class"]
    labels: Int[Tensor, " pair"]  # what is asked for; of training pairs, as they were given
    is_train: Bool[Tensor, " pair"]  # on which the mixture's scalars are trained
    is_test: Bool[Tensor, " pair"]  # the paper's validation pairs
    norms: tuple[float, float] = (math.nan, math.nan)  # of the parameters; for weight decay only
    # For texts: how many test pairs a circuit was trained on, how many training pairs C_mem misses.
    overlap: int = 0
    errors: int = field(init=False)

    def __post_init__(self) -> None:
        shapes = {tuple(table.shape) for table in (self.memorising, self.generalising)}
        if len(shapes) > 1:
            raise ValueError(
                f"circuits say logits of shapes {sorted(shapes)}; take two of one task, with as "
                "many classes"
            )
        for name in ("memorising", "generalising"):
            if not getattr(self, name).isfinite().all():
                raise ValueError(f"{name} has NaN or infinite logits; this network diverged")
        for split in SPLITS:
            mask = self.mask(split)
            if mask.dtype != torch.bool or len(mask) != len(self.labels):  # numbers would be rows
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
            raise ValueError(f"{both} pairs are in is_train and in is_test; a pair may be in one")
        said = self.memorising[self.is_train].argmax(dim=1)
        errors = int((said != self.labels[self.is_train]).sum())
        object.__setattr__(self, "errors", errors)

    def mask(self, split: str) -> Bool[Tensor, " pair"]:
        """The pairs of "train" or "test"."""
        return {"train": self.is_train, "test": self.is_test}[split]

    def on(
        self, split: str, *, mixed: str
    ) -> tuple[Float[Tensor, "n class"], Float[Tensor, "n class"], Int[Tensor, " n"]]:
        """Both tables as they are "mixed", "logits" or "probabilities", and labels of a split."""
        mask = self.mask(split)
        tables = (table[mask].double() for table in (self.memorising, self.generalising))
        if mixed == "probabilities":
            tables = (table.softmax(dim=1) for table in tables)
        memorising, generalising = tables
        return memorising, generalising, self.labels[mask]


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
    """Tables for a mixture of two circuits, free of leaks unless asked for otherwise.

    Args:
        memorising: C_mem.
        generalising: C_gen, of the same task.
        is_train: the mixture's training pairs; by default those that C_mem was trained on.
        is_test: its test pairs; by default those that neither circuit was trained on.
        overlap: "allowed" if a circuit may have been trained on test pairs.
        errors: "allowed" if C_mem may be wrong on training pairs.

    Raises:
        ValueError: circuits of different tasks; test pairs that a circuit has seen or errors of
            C_mem, unless allowed, with how many; or no test pair.
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
            "leave is_test out to test on the others, or pass overlap='allowed' if that is meant"
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
            "mixture needs C_gen for those; train it longer, or pass errors='allowed' if that is "
            "meant"
        )
    return tables


@unaffected()
def published_tables(memorising: Circuit, generalising: Circuit) -> Tables:
    """As in the paper: tested on all that C_mem was not trained on, whatever C_gen was trained on.

    With nested splits of 20 % and 90 %, C_gen was trained on seven eighths of the test pairs, and
    C_mem may be wrong on some training pairs.
    """
    return tables_of(
        memorising,
        generalising,
        is_test=~memorising.seen,
        overlap="allowed",
        errors="allowed",
    )
