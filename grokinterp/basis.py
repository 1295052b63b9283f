"""The order of residues in which a task is periodic."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.arguments import checked
from grokinterp.checks import check_int
from grokinterp.session import unaffected
from grokinterp.short_text import short, short_repr
from grokinterp.tasks import NAMED_OPERATIONS, Operation, Table, is_prime


@short_repr
@dataclass(frozen=True, eq=False)
class Basis:
    """An order of the residues in which the task becomes addition mod ``period``.

    x and y are places in this order, each 0 .. period-1. The right answer to the pair
    (``order[x]``, ``order_b[y]``) is ``order[(x + y) % period]``. For example, multiplication mod 5
    has the order [1, 2, 4, 3] (powers of 2) and the period 4. In multiplication and division the
    residue 0 has no place, and probes that use the basis leave it out.

    Examples:
        >>> from probes import task_basis
        >>> basis = task_basis("multiplication", 5)
        >>> basis.period, basis.order.tolist(), basis.frequencies.tolist()  # powers of 2 mod 5
        (4, [1, 2, 4, 3], [1, 2])
    """

    operation: str
    p: int
    order: Int[Tensor, " period"]  # residue at each place, for the first operand and the answer
    sign_b: int  # -1 where the second operand counts backwards (subtraction, division), else +1

    @property
    def period(self) -> int:
        """How many residues have a place: p, or p - 1 for multiplication and division."""
        return len(self.order)

    @property
    def order_b(self) -> Int[Tensor, " period"]:
        """Residue of the second operand at each place."""
        return self.order[self.sign_b * torch.arange(self.period, device="cpu") % self.period]

    @property
    def pairs(self) -> Int[Tensor, "x y"]:
        """Index, in the lexicographic list of all p * p pairs, of the pair at places (x, y)."""
        return self.order[:, None] * self.p + self.order_b

    @property
    def frequencies(self) -> Int[Tensor, " frequency"]:
        """1 .. period // 2, in cycles per period; period - k is the same frequency as k."""
        return torch.arange(1, self.period // 2 + 1, device="cpu")

    def check_frequencies(self, frequencies: Iterable[int]) -> list[int]:
        """A list without repeats; raise unless each is one of :attr:`frequencies`.

        Examples:
            >>> from probes import task_basis
            >>> task_basis("addition", 13).check_frequencies([5, 2, 5])
            [5, 2]
        """
        chosen = plain_integers(frequencies)
        if strange := [k for k in chosen if not 1 <= k <= self.period // 2]:
            raise ValueError(
                f"frequencies={strange} must lie in 1..{self.period // 2} for {self.operation} "
                f"mod {self.p}, which has period {self.period}; {self.period} - k is the same "
                "frequency as k"
            )
        return list(dict.fromkeys(chosen))


@checked
@unaffected()
def task_basis(operation: Operation, p: int) -> Basis:
    """The order of residues in which ``operation`` mod ``p`` is periodic.

    Addition and subtraction are periodic in the residues themselves, with the second operand of
    subtraction reversed; the period is p. Multiplication and division are periodic in the discrete
    logarithm of the non-zero residues to the smallest primitive root; the period is p - 1.

    Raises:
        ValueError: another operation, or a composite modulus for multiplication or division.

    Examples:
        >>> from probes import task_basis
        >>> basis = task_basis("multiplication", 5)
        >>> basis.order.tolist()  # 2 is at place 1, 3 at place 3
        [1, 2, 4, 3]
        >>> basis.order[(1 + 3) % basis.period].item()  # 2 * 3 mod 5
        1
    """
    check_int("p", p, minimum=3)
    if not isinstance(operation, str) or operation not in NAMED_OPERATIONS:
        name = operation.name if isinstance(operation, Table) else operation
        raise ValueError(
            f"operation={short(name)} has no known periodic basis; tasks that have one: "
            f"{', '.join(NAMED_OPERATIONS)}"
        )
    if operation in ("addition", "subtraction"):
        order = torch.arange(p)
    elif is_prime(p):
        order = torch.tensor(_powers_of_primitive_root(p))
    else:
        raise ValueError(
            f"{operation} mod p={p} has no discrete logarithm, because {p} is composite; "
            "choose a prime p"
        )
    return Basis(operation, p, order, -1 if operation in ("subtraction", "division") else 1)


def has_basis(operation: Operation | None, p: int | None) -> bool:
    """Whether a task is known and :func:`task_basis` knows where it is periodic."""
    named = isinstance(operation, str) and operation in NAMED_OPERATIONS
    if p is None or p < 3 or not named:  # of two residues there is no frequency
        return False
    return operation in ("addition", "subtraction") or is_prime(p)


def residue_order(operation: Operation | None, p: int) -> Int[Tensor, " place"]:
    """The residues in the order in which a task is periodic; 0, 1, ... where that is not known."""
    if operation is not None and has_basis(operation, p):
        return task_basis(operation, p).order
    return torch.arange(p, device="cpu")


def plain_integers(frequencies: Iterable[Any]) -> list[int]:
    """Frequencies as Python integers; raise for other values, such as 2.5, "2" or True."""
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


def _powers_of_primitive_root(p: int) -> list[int]:
    """g^0, g^1, ..., g^(p-2) mod p for the smallest g whose powers are all non-zero residues."""
    for g in range(2, p):
        powers = [1]
        while (power := powers[-1] * g % p) != 1:
            powers.append(power)
        if len(powers) == p - 1:
            return powers
    raise AssertionError(f"{p} is not prime")
