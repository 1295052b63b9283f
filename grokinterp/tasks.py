"""The tasks: operations f(a, b) mod p, given by name, polynomial or function, as label tables."""

import ast
import contextlib
import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.checks import check_choice, check_int, check_text
from grokinterp.limits import MAX_EXPRESSION, MAX_P
from grokinterp.short_text import short, short_repr


def is_prime(p: int) -> bool:
    """Whether p is prime, by trial division."""
    return p > 1 and all(p % k for k in range(2, int(p**0.5) + 1))


def power_mod(base: Tensor, exponent: int, p: int) -> Tensor:
    """``base ** exponent % p`` elementwise by repeated squaring, without overflow."""
    result, base = torch.ones_like(base) % p, base % p
    while exponent:
        if exponent & 1:
            result = result * base % p
        base = base * base % p
        exponent >>= 1
    return result


# Every pair needs a label, so a / 0 is defined as 0.
_NAMED: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "addition": lambda a, b, p: (a + b) % p,
    "subtraction": lambda a, b, p: (a - b) % p,
    "multiplication": lambda a, b, p: a * b % p,
    "division": lambda a, b, p: a * (b > 0) * power_mod(b, p - 2, p) % p,
}
NAMED_OPERATIONS = tuple(_NAMED)


@short_repr
@dataclass(frozen=True)
class Table:
    """A user's own operation as a table; can be hashed, sent to workers and saved as JSON.

    Examples:
        >>> import grokinterp as gi
        >>> larger = gi.Table(name="larger", p=3, labels=(0, 1, 2, 1, 1, 2, 2, 2, 2))
        >>> gi.operation_table(larger, 3).tolist()
        [[0, 1, 2], [1, 1, 2], [2, 2, 2]]
    """

    name: str
    p: int
    labels: tuple[int, ...]  # p * p values: f(a, b) for all pairs in lexicographic order

    def __post_init__(self) -> None:
        check_text("Table.name", self.name, example="max")
        check_int("Table.p", self.p, minimum=2, maximum=MAX_P)
        if not isinstance(self.labels, list | tuple):
            raise TypeError(
                f"Table.labels must be a tuple of p*p integers, got {short(self.labels)}; for an "
                "array, pass tuple(array.flatten().tolist())"
            )
        object.__setattr__(self, "labels", tuple(self.labels))  # a list would not be hashable
        if len(self.labels) != self.p**2:
            raise ValueError(
                f"Table.labels must hold p*p = {self.p**2} labels, got {len(self.labels)}"
            )
        for index, label in enumerate(self.labels):
            if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < self.p:
                a, b = divmod(index, self.p)
                raise ValueError(
                    f"operation {short(self.name)} gives {short(label)} at ({a}, {b}); "
                    f"labels must be integers 0..{self.p - 1} (take the result mod p)"
                )

    @classmethod
    def from_function(cls, function: Callable[[int, int], int], p: int) -> "Table":
        """Tabulate ``function(a, b)``, called once per pair with Python integers.

        Examples:
            >>> import grokinterp as gi
            >>> gi.Table.from_function(max, p=3).labels
            (0, 1, 2, 1, 1, 2, 2, 2, 2)
        """
        return _tabulate("function", function, p)


Operation = str | Table | Callable[[int, int], int]


def _tabulate(argument: str, function: Callable[[int, int], int], p: int) -> Table:
    check_int("p", p, minimum=2, maximum=MAX_P)
    labels = []
    for a, b in itertools.product(range(p), repeat=2):
        try:
            label = function(a, b)
        except Exception as error:
            raise ValueError(
                f"{argument}={short(function)} raised {type(error).__name__} at ({a}, {b}): "
                f"{error!s:.200}; give a function of two integers that returns a label in "
                f"0..{p - 1} for every pair"
            ) from error
        if not isinstance(label, bool):
            with contextlib.suppress(TypeError):  # ``Table`` raises for other types
                label = operator.index(label)
        labels.append(label)
    return Table(name=getattr(function, "__name__", "function"), p=p, labels=tuple(labels))


def resolve_operation(argument: str, operation: Operation, p: int) -> str | Table:
    """The operation as plain data (functions become tables); raise if it is not valid mod ``p``."""
    if callable(operation):
        return _tabulate(argument, operation, p)
    if isinstance(operation, Table):
        if operation.p != p:
            raise ValueError(
                f"{argument} is a table for p={operation.p} but p={p}; "
                "tabulate the function again with the new modulus"
            )
    elif not isinstance(operation, str):
        raise TypeError(
            f"{argument} must be a name, a polynomial in a and b, or a function, got "
            f"{short(operation)}"
        )
    elif operation == "division" and not is_prime(p):
        raise ValueError(
            f"{argument}='division' needs a prime p, got p={p}: "
            "other moduli have non-zero residues without an inverse"
        )
    elif operation not in _NAMED:
        _parse_polynomial(argument, operation)
    return operation


def operation_table(operation: Operation, p: int) -> Int[Tensor, "p p"]:
    """Table of true labels, [p, p]: entry [a, b] is the label of the pair (a, b), in 0..p-1.

    Args:
        operation: "addition", "subtraction", "multiplication", "division" (p prime; a / 0 = 0),
            a polynomial in a and b with integer coefficients such as ``"a**2 + a*b + b**2"``,
            a function of two Python integers, or a :class:`Table`.
        p: the modulus, at least 2.

    Examples:
        >>> import grokinterp as gi
        >>> gi.operation_table("division", 5)[1].tolist()  # 1 / b mod 5
        [0, 1, 3, 2, 4]
        >>> gi.operation_table("a**2 + b", 5)[2, 3].item()
        2
    """
    check_int("p", p, minimum=2, maximum=MAX_P)
    operation = resolve_operation("operation", operation, p)
    if isinstance(operation, Table):
        return torch.tensor(operation.labels, device="cpu").view(p, p)
    residues = torch.arange(p, device="cpu")
    a, b = residues[:, None].expand(p, p), residues[None, :].expand(p, p)
    if operation in _NAMED:
        return _NAMED[operation](a, b, p)
    return _evaluate(_parse_polynomial("operation", operation), a, b, p)


def _parse_polynomial(argument: str, text: str) -> ast.expr:
    """The syntax tree of a polynomial. It is never executed, so config files cannot run code."""
    if len(text) > MAX_EXPRESSION:
        raise ValueError(
            f"{argument}={short(text)} has {len(text)} characters; a polynomial may have at most "
            f"{MAX_EXPRESSION}, so give a function"
        )
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        valid = _is_polynomial(tree) and bool(_names(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not Python, or nested too deep
        tree, valid = None, False
    if not valid:
        known = [*NAMED_OPERATIONS, "a**2 + a*b + b**2"]
        try:
            check_choice(argument, text, known)
        except ValueError as error:
            raise ValueError(
                f"{error} (any integer polynomial in a and b), or a function"
            ) from None
    assert tree is not None
    return tree


def _names(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _is_polynomial(node: ast.expr) -> bool:
    match node:
        case ast.Name(id="a" | "b"):
            return True
        case ast.Constant(value=int()) if not isinstance(node.value, bool):
            return True
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _is_polynomial(inner)
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult(), left=left, right=right):
            return _is_polynomial(left) and _is_polynomial(right)
        case ast.BinOp(op=ast.Pow(), left=left, right=ast.Constant(value=int(power))):
            return not isinstance(power, bool) and _is_polynomial(left)
    return False


def _evaluate(node: ast.expr, a: Tensor, b: Tensor, p: int) -> Tensor:
    """The polynomial's value at every pair. Each step is reduced mod p, so nothing overflows."""
    match node:
        case ast.Name(id=name):
            return a if name == "a" else b
        case ast.Constant(value=int(value)):
            return torch.full_like(a, value % p)
        case ast.UnaryOp(operand=inner):
            return -_evaluate(inner, a, b, p) % p
        case ast.BinOp(op=ast.Pow(), left=left, right=ast.Constant(value=int(power))):
            return power_mod(_evaluate(left, a, b, p), power, p)
        case ast.BinOp(op=operator, left=left, right=right):
            x, y = _evaluate(left, a, b, p), _evaluate(right, a, b, p)
            match operator:
                case ast.Add():
                    return (x + y) % p
                case ast.Sub():
                    return (x - y) % p
            return x * y % p
    raise AssertionError(f"not a polynomial node: {ast.dump(node)}")
