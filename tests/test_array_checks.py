"""That the tests run with arrays checked, and with nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, Int, TypeCheckError
from torch import Tensor

from probes.scores import check_labels
from tests.array_checks import where_arrays

checked = where_arrays(typechecker=beartype)


def dot(rows: Float[Tensor, "row column"], row: Float[Tensor, " column"]) -> Float[Tensor, " row"]:
    return rows @ row


def test_the_packages_are_checked():
    with pytest.raises(TypeCheckError, match="labels"):
        check_labels(torch.zeros(3), 5)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param((torch.ones(3, 2), torch.ones(2, 1)), id="number of axes"),
        pytest.param((torch.ones(3, 2, dtype=torch.long), torch.ones(2)), id="dtype"),
        pytest.param((torch.ones(3, 2), torch.ones(1)), id="two lengths of an axis"),
        pytest.param((torch.ones(3, 2), [1.0, 1.0]), id="no array"),
    ],
)
def test_arguments(wrong: tuple[object, ...]):
    checked(dot)(torch.ones(3, 2), torch.ones(2))
    with pytest.raises(TypeCheckError):
        checked(dot)(*wrong)


def test_what_is_returned():
    def halves(row: Float[Tensor, " column"]) -> tuple[Float[Tensor, " column"], int]:
        return row[::2], 2

    checked(halves)(torch.ones(1))
    with pytest.raises(TypeCheckError):
        checked(halves)(torch.ones(4))


def test_fields_of_a_dataclass_and_inner_types():
    @checked
    @dataclass
    class Pair:
        by_name: dict[str, Int[Tensor, " unit"] | None]

    for units in (None, torch.arange(2)):
        Pair({"a": units})
    with pytest.raises(TypeCheckError):
        Pair({"a": torch.ones(2)})


def test_a_generator_is_left_alone():
    @checked
    def rows(table: Float[Tensor, "row column"]) -> Iterator[Float[Tensor, " column"]]:
        yield from table

    assert len(list(rows(torch.ones(3, 2)))) == 3


def test_other_types_are_the_static_checker_s():
    def length(text: str) -> int:
        return len(text)

    assert checked(length) is length


@pytest.mark.usefixtures("no_type_checker")
def test_a_test_can_do_without():
    with pytest.raises(RuntimeError, match="size mismatch"):
        checked(dot)(torch.ones(3, 2), torch.ones(1))
