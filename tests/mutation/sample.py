"""Run a random sample of mutmut's mutants, each in a fork of this process.

``mutmut run NAME`` makes the mutants and notes which tests call which function (see
``tests/mutation.md``); this script goes on from there. Each mutant runs in a process of its own, so
that the workers which it starts are mutants, too::

    python -m tests.mutation.sample MUTANTS OUT --per-folder 100 --jobs 2

``MUTANTS`` is the folder that mutmut made. ``OUT`` is a file of JSON lines, one per mutant, written
as each ends; called again, the rest is done. At the end a table says how many mutants of each
folder the tests notice, with a 95 % interval, and which they do not. A mutant that runs into its
time limit counts as not noticed.
"""

import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
import transformer_lens  # noqa: F401 (loaded once, before the forks)
import typer
import xarray  # noqa: F401
from scipy.stats import binomtest

MOST = 150  # mutants of a folder that can be asked for
FEWEST_SECONDS = 300  # time limit of a mutant; at least, and
SLOWER = 15  # times what its tests took when mutmut noted them


def mutants(tree: Path) -> dict[str, list[str]]:
    """Names of the mutants by folder, such as "grokinterp/training"."""
    folders: dict[str, list[str]] = defaultdict(list)
    for meta in sorted(tree.rglob("*.meta")):
        folder = str(meta.parent.relative_to(tree))
        folders[folder] += sorted(json.loads(meta.read_text())["exit_code_by_key"])
    return folders


class Trial:
    """One mutant under the tests that call its function, those of its own module first."""

    def __init__(self, name: str, stats: dict[str, Any]) -> None:
        took = stats["duration_by_test"]
        module = re.split(r"\.x[_ǁ]", name)[0].rpartition(".")[2]
        tests = stats["tests_by_mangled_function_name"].get(name.rpartition("__mutmut_")[0], [])
        self.name, self.started = name, time.monotonic()
        self.tests = sorted(tests, key=lambda t: (module not in t.split("::")[0], took.get(t, 0.0)))
        self.limit = FEWEST_SECONDS + SLOWER * sum(took.get(test, 0.0) for test in tests)

    def fork(self) -> int:
        """Start it; the process is the first of a group, with whatever it starts."""
        if child := os.fork():
            return child
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.environ["MUTANT_UNDER_TEST"] = self.name
        # These modules are loaded already, so pytest cannot rewrite their assertions.
        quiet = "ignore::pytest.PytestAssertRewriteWarning"
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", quiet, *self.tests])))

    def result(self, status: str) -> dict[str, object]:
        """A line of the file of results."""
        seconds = round(time.monotonic() - self.started, 1)
        return {"name": self.name, "status": status, "seconds": seconds}


def run(names: list[str], stats: dict[str, Any], jobs: int) -> Any:
    """Yield a result for every mutant, several at a time."""
    left, running = list(names), dict[int, Trial]()
    while left or running:
        while left and len(running) < jobs:
            trial = Trial(left.pop(0), stats)
            if trial.tests:
                running[trial.fork()] = trial
            else:
                yield trial.result("no tests")
        time.sleep(0.1)
        for child, trial in list(running.items()):
            done, code = os.waitpid(child, os.WNOHANG)
            late = time.monotonic() - trial.started > trial.limit
            if not done and not late:
                continue
            with contextlib.suppress(ProcessLookupError):  # nothing of its group is left
                os.killpg(child, signal.SIGKILL)
            if late and not done:
                os.waitpid(child, 0)
            del running[child]
            status = {0: "survived", 1: "killed"}.get(os.waitstatus_to_exitcode(code), "killed")
            yield trial.result("timeout" if late and not done else status)


def main(
    tree: Annotated[Path, typer.Argument(metavar="MUTANTS", help="mutmut's folder")],
    out: Annotated[Path, typer.Argument(help="file of results")],
    per_folder: Annotated[int, typer.Option(max=MOST, help="mutants of each folder")] = 100,
    seed: Annotated[int, typer.Option(help="of the sample")] = 0,
    jobs: Annotated[int, typer.Option(help="mutants tested at a time")] = 2,
) -> None:
    """Run a sample and print its table."""
    tree, out = tree.resolve(), out.resolve()
    stats = json.loads((tree / "mutmut-stats.json").read_text())
    folders, rng = mutants(tree), random.Random(seed)
    sample = {folder: rng.sample(names, min(MOST, len(names))) for folder, names in folders.items()}
    # All folders in turn, so that a stop leaves a fair sample of each.
    turns = [names[i] for i in range(per_folder) for names in sample.values() if i < len(names)]
    lines = out.read_text().splitlines() if out.exists() else []
    done = {line["name"]: line["status"] for line in map(json.loads, lines)}
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ |= {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    with out.open("a", encoding="utf-8", buffering=1) as file:
        for result in run([name for name in turns if name not in done], stats, jobs):
            done[result["name"]] = result["status"]
            file.write(json.dumps(result) + "\n")
    for folder, names in sample.items():
        found = [done[name] for name in names[:per_folder]]
        low, high = binomtest(found.count("killed"), len(found)).proportion_ci(method="wilson")
        typer.echo(
            f"{folder}: {found.count('killed')} of {len(found)} noticed, "
            f"{found.count('killed') / len(found):.0%} [{low:.0%}, {high:.0%}], "
            f"of {len(names)} mutants"
        )
    for name in turns:
        if done[name] != "killed":
            typer.echo(f"{done[name]}: {name}")


if __name__ == "__main__":
    typer.run(main)
