"""Plant faults that were chosen by hand, one at a time, and name the test that notices each.

``FAULTS`` is a TOML file of ``[[fault]]`` tables with the keys ``file``, ``says`` (what is wrong),
``old`` and ``new`` (the text and what replaces it; it must occur once) and ``tests`` (arguments of
pytest)::

    python -m tests.mutation.plant tests/mutation/faults.toml

The files are changed in place, and restored. A row of a Markdown table is printed for every fault.
"""

import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
import torch
import transformer_lens  # noqa: F401 (loaded once, before the forks)
import typer
import xarray  # noqa: F401

SECONDS = 900  # time limit of a fault's tests


class Failed:
    """A pytest plugin that writes the name of each failing test into a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each part of a test."""
        if report.failed:
            os.write(self._pipe, report.nodeid.partition("::")[2].encode())


def first_failure(tests: list[str]) -> str:
    """The first test that fails, in a process of its own; "" if all pass."""
    read, write = os.pipe()
    if not (child := os.fork()):
        signal.alarm(SECONDS)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        # These modules are loaded already, so pytest cannot rewrite their assertions.
        quiet = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning"]
        os._exit(int(pytest.main([*quiet, *tests], plugins=[Failed(write)])))
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        name = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return name or ("" if code == 0 else f"exit code {code}")


def main(faults: Annotated[Path, typer.Argument(help="TOML file")]) -> None:
    """Plant every fault, and print a table."""
    sys.dont_write_bytecode = True  # a file's time may be that of its last version
    torch.set_num_threads(1)
    for fault in tomllib.loads(faults.read_text(encoding="utf-8"))["fault"]:
        path = Path(fault["file"])
        text = path.read_text(encoding="utf-8")
        if text.count(fault["old"]) != 1:
            raise ValueError(f"{path} must have this text once:\n{fault['old']}")
        path.write_text(text.replace(fault["old"], fault["new"]), encoding="utf-8")
        try:
            name = first_failure(fault["tests"])
        finally:
            path.write_text(text, encoding="utf-8")
        typer.echo(f"| `{path.stem}` | {fault['says']} | {name or 'none'} |")


if __name__ == "__main__":
    typer.run(main)
