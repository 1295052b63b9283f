"""Bases against the operation tables, and published primitive roots."""

from typing import Any

import pytest
import torch

from grokinterp import Table, operation_table
from probes import task_basis

OPERATIONS = ("addition", "subtraction", "multiplication", "division")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("p", [3, 5, 11, 23])
def test_every_task_is_addition_of_places(operation: str, p: int) -> None:
    basis = task_basis(operation, p)
    x = torch.arange(basis.period)
    answers = operation_table(operation, p)[basis.order[:, None], basis.order_b]
    assert torch.equal(answers, basis.order[(x[:, None] + x) % basis.period])
    assert torch.equal(operation_table(operation, p).flatten()[basis.pairs], answers)


@pytest.mark.parametrize(
    ("operation", "period", "sign"),
    [("addition", 11, 1), ("subtraction", 11, -1), ("multiplication", 10, 1), ("division", 10, -1)],
)
def test_periods_and_signs(operation: str, period: int, sign: int) -> None:
    basis = task_basis(operation, 11)
    assert (basis.period, basis.sign_b) == (period, sign)
    assert sorted(basis.order.tolist()) == list(range(11 - period, 11))
    assert basis.frequencies.tolist() == [1, 2, 3, 4, 5]


# OEIS A001918: the least positive primitive root of the n-th prime.
@pytest.mark.parametrize(
    ("p", "root"), [(3, 2), (5, 2), (7, 3), (11, 2), (23, 5), (41, 6), (71, 7), (97, 5), (191, 19)]
)
def test_logarithms_are_to_the_smallest_primitive_root(p: int, root: int) -> None:
    order = task_basis("multiplication", p).order
    assert order.tolist() == [pow(root, x, p) for x in range(p - 1)]


@pytest.mark.parametrize("operation", ["addition", "subtraction"])
@pytest.mark.parametrize("p", [4, 9, 12])
def test_composite_moduli_have_a_plain_basis(operation: str, p: int) -> None:
    assert task_basis(operation, p).order.tolist() == list(range(p))
    assert task_basis(operation, p).frequencies.tolist() == list(range(1, p // 2 + 1))


@pytest.mark.parametrize("operation", ["multiplication", "division"])
def test_composite_moduli_have_no_logarithm(operation: str) -> None:
    with pytest.raises(ValueError, match=rf"{operation} mod p=9 .* 9 is composite; choose a prime"):
        task_basis(operation, 9)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("a**2 + b**2", "'a..2"),
        ("a + b", "'a . b"),
        ("adition", "'adition'"),
        (Table("mine", 3, (0,) * 9), "'mine'"),
        (lambda a, b: a, "<function"),
    ],
)
def test_tasks_without_a_basis_are_refused(operation: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"operation={name}.* no known .* that have one: addit"):
        task_basis(operation, 3)


@pytest.mark.parametrize("bad", [0, -1, 6, 10])
def test_frequencies_outside_the_half_period_are_refused_by_name(bad: int) -> None:
    with pytest.raises(ValueError, match=rf"frequencies=\[{bad}\] must lie in 1\.\.5 for addition"):
        task_basis("addition", 11).check_frequencies([1, bad, 5])
    assert task_basis("addition", 11).check_frequencies([5, 1, 5]) == [5, 1]


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(("p", "error"), [(2, ValueError), (5.0, TypeError)])
def test_bad_moduli_are_refused(p: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="p must be"):
        task_basis("addition", p)
