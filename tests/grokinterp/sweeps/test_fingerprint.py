"""A measure's fingerprint changes with what it does, and not from session to session."""

import importlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from grokinterp.sweeps.fingerprint import Fingerprint, fingerprint
from grokinterp.sweeps.identity import differences
from tests.array_checks import where_arrays
from tests.grokinterp.sweeps.measures_edited import defined, edits, pairs


@pytest.mark.parametrize(("before", "after"), edits().values(), ids=edits())
def test_an_edit_is_noticed_and_named(before: str, after: str) -> None:
    one, other = fingerprint(defined(before)), fingerprint(defined(after))
    assert one != other
    assert fingerprint(defined(before)) == one
    assert fingerprint(defined(f"'''Notes.'''\n# and more\n\n{before}", "elsewhere")) == one
    assert json.loads(json.dumps(one)) == one  # as a store holds it
    words = in_words(one, other)
    assert re.match(r"measure.m (was .+, now .+|has changed: .+)\. The stored runs", words), words


def in_words(one: Fingerprint, other: Fingerprint) -> str:
    stored, asked = ({"measure": {"m": given}, "refine": None} for given in (one, other))
    return differences(stored, asked)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("a helper", "measure.m has changed: the code of helper. The stored runs"),
        ("a global number", "has changed: global SCALE of f, which was 1.0, now 2.0. The stored"),
        (
            "an enclosed list",
            "has changed: enclosed k of make.<locals>.<lambda>, which was [1, 2], n",
        ),
        ("a keyword-only default", "default k of f, which was 1, now 2"),
        ("an attribute of a callable object", "attribute k of C object, which was 1, now 2"),
        ("an import under a name", "global m of f, which was numpy"),
    ],
)
def test_the_message_says_what_changed(edit: str, message: str) -> None:
    before, after = edits()[edit]
    assert message in in_words(fingerprint(defined(before)), fingerprint(defined(after)))


@pytest.mark.parametrize(("one", "other"), pairs().values(), ids=pairs())
def test_what_does_not_matter(one: str, other: str) -> None:
    assert fingerprint(defined(one)) == fingerprint(defined(other))


def test_a_lambda_does_not_depend_on_the_statement_around_it() -> None:
    one = {"a": lambda run: run * 3, "progress": False}["a"]
    other = {"a": lambda run: run * 3, "progress": True}["a"]
    assert fingerprint(one) == fingerprint(other)


COUNTING = """
import functools
COUNT = 0
@functools.cache
def looked_up(k): return k
class C:
    @functools.cached_property
    def k(self): return 2
c = C()
def make():
    calls = 0
    def f(run):
        global COUNT
        nonlocal calls
        calls += 1
        COUNT += 1
        return looked_up(run) + c.k
    return f
f = make()
"""


def test_what_a_function_counts_or_looks_up_is_no_change() -> None:
    f = defined(COUNTING)
    before = fingerprint(f)
    assert f(1) == 3
    assert fingerprint(f) == before


def unusual() -> dict[str, Any]:
    ring: list[Any] = [1]
    ring.append({"ring": ring})
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    shared: list[Any] = [1]
    for _ in range(100):
        shared = [shared, shared]  # 2 ** 100 paths lead through it
    return {
        "a ring": ring,
        "nested deeply": deep,
        "shared": shared,
        "a lock": threading.Lock(),
        "a generator": (i for i in range(3)),
        "a module": torch,
        "a huge integer": 10**5000,
        "an empty array": np.zeros((0, 3)),
        "a meta tensor": torch.empty(3, device="meta"),
        "a sparse tensor": torch.eye(3).to_sparse(),
        "a bfloat16 tensor": torch.ones((), dtype=torch.bfloat16),
        "half a surrogate pair": "\ud800",
        "a network": torch.nn.Linear(2, 3),
        "a random generator": np.random.default_rng(0),
    }


@pytest.mark.parametrize("value", unusual().values(), ids=unusual())
def test_unusual_values(value: Any) -> None:
    def f(run: Any) -> Any:
        return value

    one = fingerprint(f)
    assert fingerprint(f) == one
    value = [value, 1]
    assert fingerprint(f) != one


def test_labelled_arrays_count_by_their_numbers_and_labels() -> None:
    def of(numbers: list[float], labels: list[int], name: str = "x") -> Fingerprint:
        array = xr.DataArray(numbers, {name: labels}, [name])
        assert array.dims == (name,)
        return fingerprint(lambda run: array)

    one = of([1.0, 2.0], [0, 1])
    assert one == of([1.0, 2.0], [0, 1])
    for other in (of([1.0, 3.0], [0, 1]), of([1.0, 2.0], [0, 2]), of([1.0, 2.0], [0, 1], "y")):
        assert one != other


def test_type_checks_around_a_function_do_not_count() -> None:
    """A test session puts them around the probes, a command does not; both may use one store."""

    def f(run: Float[Tensor, " unit"]) -> Float[Tensor, " unit"]:
        return run

    checked = where_arrays(f, typechecker=beartype)
    assert checked is not f
    assert fingerprint(checked) == fingerprint(f)


SCRIPT = """
import enum, functools, json
from grokinterp.sweeps.fingerprint import Fingerprint, fingerprint
class Kind(enum.Enum):
    A = "a"
class Thing:
    def __init__(self): self.of = {"a", "b", "c", "d"}
    def __call__(self, run): return helper(run) in self.of
def helper(run): return frozenset({"a", "b", "c", "d"}), Kind.A
def f(run): return {"e", "f", "g"} | names
names = {"x", "y", ("z", Thing)}
def all_of_them():
    given = f, Thing(), functools.partial(max, helper, Thing()), lambda run: names, Thing().__call__
    return [fingerprint(function) for function in given]
if __name__ == "__main__":
    print(json.dumps({"hash": hash("a"), "fingerprints": all_of_them()}))
"""


@pytest.mark.slow
def test_another_session_and_a_script_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell
) -> None:
    """Neither the random order of sets nor addresses show, nor that it is ``__main__`` there."""
    (tmp_path / "fingerprinted.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    script = shell(tmp_path, "fingerprinted")
    module = importlib.import_module("fingerprinted")
    script.join()
    there = json.loads((tmp_path / "stdout").read_text())
    assert there["hash"] != hash("a")
    assert there["fingerprints"] == module.all_of_them()
