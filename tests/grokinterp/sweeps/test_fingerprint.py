"""A measure's fingerprint changes with what it does, and not from session to session."""

import functools
import inspect
import subprocess
import sys
from dataclasses import dataclass

import pytest

from grokinterp.sweeps.fingerprint import fingerprint


def power(run: float, exponent: float = 2) -> float:
    return run**exponent


def closed_over(constant: object):
    return lambda run: run + constant


@dataclass(frozen=True)
class Callable:
    threshold: float

    def __call__(self, run: float) -> bool:
        return run > self.threshold


def test_different_functions_differ() -> None:
    different = [
        power,
        functools.partial(power, exponent=3),
        functools.partial(power, exponent=4),
        lambda run: run + 1,
        lambda run: run + 2,
        lambda run, by=1: run + by,
        lambda run, by=2: run + by,
        closed_over(1),
        closed_over(2),
        Callable(0.1),
        Callable(0.2),
        len,
        max,
    ]
    assert len({fingerprint(function) for function in different}) == len(different)


def test_equal_functions_agree() -> None:
    assert fingerprint(closed_over(1)) == fingerprint(closed_over(1))
    assert fingerprint(Callable(0.1)) == fingerprint(Callable(0.1))
    count = []

    def counted(run: float) -> int:
        count.append(run)
        return len(count)

    before = fingerprint(counted)
    counted(1.0)  # what a function keeps for itself is not what it does
    assert fingerprint(counted) == before


def test_a_lambda_does_not_depend_on_the_statement_around_it() -> None:
    one = {"a": lambda run: run * 3, "progress": False}["a"]
    other = {"a": lambda run: run * 3, "progress": True}["a"]
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.slow
def test_another_session_agrees() -> None:
    """Hash randomisation and addresses must not show.

    By path: the package around the module would import for seconds.
    """
    program = (
        "import functools, runpy, sys\n"
        "fingerprint = runpy.run_path(sys.argv[1])['fingerprint']\n"
        "class Thing:\n"
        "    def __call__(self, run): return 1\n"
        "def inner(run): return 1\n"
        "print(fingerprint(lambda run: run in {'a', 'b', 'c', 'd'}), fingerprint(Thing()),\n"
        "      fingerprint(functools.partial(max, inner, Thing())))\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program, inspect.getfile(fingerprint)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
