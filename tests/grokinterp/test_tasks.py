"""Operation tables against Python's own integer arithmetic."""

import builtins
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grokinterp import DataConfig, Table, operation_table

ODD_PRIMES = (3, 5, 7, 11, 13, 97)
SMALL_MODULI = (2, 3, 4, 6, 7, 9, 12)


def tabulate(function: Any, p: int) -> list[list[int]]:
    return [[function(a, b) for b in range(p)] for a in range(p)]


@pytest.mark.parametrize("p", [*SMALL_MODULI, 97])
def test_named_operations_match_python_integers(p: int) -> None:
    expected = {
        "addition": lambda a, b: (a + b) % p,
        "subtraction": lambda a, b: (a - b) % p,
        "multiplication": lambda a, b: (a * b) % p,
    }
    for name, function in expected.items():
        table = operation_table(name, p)
        assert table.dtype == torch.int64
        assert table.tolist() == tabulate(function, p), name


@pytest.mark.parametrize(
    "p",
    [
        2,
        *ODD_PRIMES,
    ],
)
def test_division_undoes_multiplication(p: int) -> None:
    quotient = operation_table("division", p).tolist()
    assert [row[0] for row in quotient] == [0] * p  # a / 0 is defined as 0
    for a in range(p):
        for b in range(1, p):
            assert 0 <= quotient[a][b] < p
            assert quotient[a][b] * b % p == a


@pytest.mark.parametrize("p", SMALL_MODULI)
@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("a", lambda a, b: a),
        ("b", lambda a, b: b),
        ("a*b", lambda a, b: a * b),
        ("a**2 + a*b + b**2", lambda a, b: a * a + a * b + b * b),
        ("a^2 + b^2", lambda a, b: a * a + b * b),  # ^ is a power, never bitwise xor
        ("a**3 + a*b**2 + b", lambda a, b: a * a * a + a * b * b + b),
        ("-a**2", lambda a, b: -(a * a)),  # the minus sign binds less than the power
        ("a - b - 1", lambda a, b: (a - b) - 1),
        ("-(a - 5) * -3", lambda a, b: (a - 5) * 3),
        ("2*(a + b)**3 - 7", lambda a, b: 2 * (a + b) * (a + b) * (a + b) - 7),
        ("a**0 + b", lambda a, b: 1 + b),
        ("1000000000000000000000*a", lambda a, b: 10**21 * a),  # beyond 64 bits
    ],
)
def test_polynomials_match_python_integers(text: str, function: Any, p: int) -> None:
    assert operation_table(text, p).tolist() == tabulate(lambda a, b: function(a, b) % p, p)


@st.composite
def monomials(draw: st.DrawFn) -> tuple[int, int, int]:
    """A coefficient and the powers of a and b."""
    power = st.integers(0, 10**30)
    return draw(st.integers(-(10**25), 10**25)), draw(power), draw(power)


@given(st.lists(monomials(), min_size=1, max_size=4), st.integers(2, 14))
def test_any_polynomial_is_exact(terms: list[tuple[int, int, int]], p: int) -> None:
    """Large powers and coefficients would overflow unless every step is reduced mod p."""
    text = " + ".join(f"{c} * a**{i} * b**{j}" for c, i, j in terms)
    expected = tabulate(
        lambda a, b: sum(c * pow(a, i, p) * pow(b, j, p) for c, i, j in terms) % p, p
    )
    assert operation_table(text, p).tolist() == expected


@given(st.data(), st.integers(2, 8))
def test_function_becomes_its_table(data: st.DataObject, p: int) -> None:
    labels = data.draw(st.lists(st.integers(0, p - 1), min_size=p * p, max_size=p * p))
    table = Table.from_function(lambda a, b: labels[a * p + b], p)
    for operation in (table, lambda a, b: labels[a * p + b]):
        rows = [labels[a * p : (a + 1) * p] for a in range(p)]
        assert operation_table(operation, p).tolist() == rows
    assert table == Table("<lambda>", p, tuple(labels))
    assert hash(table) == hash(Table("<lambda>", p, tuple(labels)))


def test_function_is_called_with_python_integers_once_per_pair_in_order() -> None:
    calls = []

    def quarrel(a: int, b: int) -> int:
        calls.append((a, b))
        assert type(a) is int
        assert type(b) is int
        return 0

    assert Table.from_function(quarrel, 3).name == "quarrel"
    assert calls == [(a, b) for a in range(3) for b in range(3)]


@pytest.mark.parametrize("wrap", [np.int64, np.uint8, torch.tensor])
def test_integers_of_other_libraries_become_python_integers(wrap: Any) -> None:
    table = Table.from_function(lambda a, b: wrap((a + b) % 5), 5)
    assert {type(label) for label in table.labels} == {int}
    assert operation_table(table, 5).tolist() == tabulate(lambda a, b: (a + b) % 5, 5)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (1, ValueError, "p must be at least 2, got 1"),
        (-7, ValueError, "p must be at least 2, got -7"),
        (7.0, TypeError, r"p must be an integer, got 7.0 \(float\)"),
        (True, TypeError, r"p must be an integer, got True \(bool\)"),
        ("7", TypeError, r"p must be an integer, got '7' \(str\)"),
        (None, TypeError, r"p must be an integer, got None \(NoneType\)"),
    ],
)
def test_modulus_must_be_an_integer_of_at_least_two(
    p: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        operation_table("addition", p)
    with pytest.raises(error, match=message):
        Table.from_function(lambda a, b: 0, p)


@pytest.mark.parametrize("p", [4, 6, 9, 91, 96])
def test_division_refuses_a_composite_modulus(p: int) -> None:
    with pytest.raises(ValueError, match=f"operation='division' needs a prime p, got p={p}"):
        operation_table("division", p)


@pytest.mark.parametrize("name", ["adition", "Addition", "additions"])
def test_unknown_name_suggests_the_nearest_and_lists_the_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"operation='{name}' is unknown") as caught:
        operation_table(name, 7)
    message = str(caught.value)
    assert "Did you mean 'addition'?" in message
    for known in ("addition", "subtraction", "multiplication", "division", "polynomial"):
        assert known in message


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "exec('a')",
        "a.real",
        "a[0]",
        "[a, b]",
        "lambda: a",
        "a if b else a",
        "(a := b)",
        "a and b",
        "a < b",
        "a/b",
        "a//b",
        "a % b",
        "a | b",
        "~a",
        "a**b",
        "a**-1",
        "a**True",
        "a**2**3",
        "1.5*a",
        "1j*a",
        "'a'",
        "a + 'b'",
        "True*a",
        "c + 1",
        "2a",
        "a +",
        "a; b",
        "a = b",
        "7",
        "",
    ],
)
def test_what_is_no_polynomial_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"operation=.* is unknown.*integer polynomial in a and b"):
        operation_table(text, 7)


def test_nothing_in_a_polynomial_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an operation string was executed")

    monkeypatch.setattr(builtins, "eval", refuse)
    monkeypatch.setattr(builtins, "exec", refuse)
    assert operation_table("a*b + 1", 2).tolist() == [[1, 1], [1, 0]]
    with pytest.raises(ValueError, match="is unknown"):
        operation_table("__import__('os').getcwd()", 7)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("operation", [5, None, ("a", "b"), b"a+b"])
def test_operation_of_another_type_is_refused(operation: Any) -> None:
    with pytest.raises(TypeError, match="operation must be a name, a polynomial in a and b"):
        operation_table(operation, 7)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("function", "label", "pair"),
    [
        (lambda a, b: a + b, "5", r"\(1, 4\)"),
        (lambda a, b: a - b, "-1", r"\(0, 1\)"),
        (lambda a, b: a / 2, r"0\.0", r"\(0, 0\)"),
        (lambda a, b: a == b, "True", r"\(0, 0\)"),
        (lambda a, b: torch.tensor(b * 1.5), r"Tensor\(0\.0\)", r"\(0, 0\)"),
        (lambda a, b: torch.tensor([a, b]), r"Tensor\(\[0, 0\]\)", r"\(0, 0\)"),
        (lambda a, b: None if (a, b) == (3, 2) else 0, "None", r"\(3, 2\)"),
    ],
)
def test_labels_outside_the_classes_name_their_pair(function: Any, label: str, pair: str) -> None:
    with pytest.raises(
        ValueError, match=rf"operation '<lambda>' gives {label} at {pair}; .*0\.\.4.*mod p"
    ):
        Table.from_function(function, 5)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("function", "cause", "message"),
    [
        (lambda: 1, TypeError, r"TypeError at \(0, 0\): .*takes 0 positional arguments but 2"),
        (len, TypeError, r"<built-in function len> raised TypeError at \(0, 0\)"),
        (int, TypeError, r"<class 'int'> raised TypeError at \(0, 0\)"),
        (lambda a, b: a // (b - 1), ZeroDivisionError, r"ZeroDivisionError at \(0, 1\): integer"),
    ],
)
def test_a_function_that_fails_is_named_with_its_pair(
    function: Any, cause: type[Exception], message: str
) -> None:
    remedy = r".*; give a function of two integers that returns a label in 0\.\.4 for every pair"
    for argument, make in {
        "operation": lambda: DataConfig(p=5, operation=function),
        "second_operation": lambda: DataConfig(
            p=5, corruption_kind="second_rule", second_operation=function
        ),
        "function": lambda: Table.from_function(function, 5),
    }.items():
        with pytest.raises(ValueError, match=f"^{argument}=.*{message}{remedy}") as caught:
            make()
        assert type(caught.value.__cause__) is cause


@pytest.mark.parametrize("count", [0, 8, 10])
def test_table_of_the_wrong_size_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"Table\.labels must hold p\*p = 9 labels, got {count}"):
        Table("short", 3, (0,) * count)


def test_table_of_another_modulus_is_refused() -> None:
    with pytest.raises(ValueError, match="table for p=3 but p=5; tabulate the function again"):
        operation_table(Table("zero", 3, (0,) * 9), 5)
