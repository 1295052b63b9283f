"""Run a random sample of mutmut's mutants, each in a process of its own.

``mutmut run NAME`` makes the mutants and notes which tests call which function (see
``tests/mutation.md``); this script takes it from there, because a mutant in a process of its own is
one in the workers that this process starts, too::

    python -m tests.mutation.sample MUTANTS OUT --per-folder 150

``MUTANTS`` is the folder that mutmut made. ``OUT`` is a file of JSON lines, one per mutant, written as
each ends; called again, the rest is done. At the end a table says how many mutants of each folder
the tests notice, with a 95 % interval, and which they do not. A mutant that runs into the time limit
is counted as not noticed.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from scipy.stats import binomtest

FEWEST_SECONDS = 120  # time limit of a mutant; at least, and
SLOWER = 10  # times what its tests took when mutmut noted them


def mutants(tree: Path) -> dict[str, list[str]]:
    """Names of the mutants by folder, such as "grokinterp/training"."""
    folders: dict[str, list[str]] = defaultdict(list)
    for meta in sorted(tree.rglob("*.meta")):
        folder = str(meta.parent.relative_to(tree))
        folders[folder] += sorted(json.loads(meta.read_text())["exit_code_by_key"])
    return folders


def run(tree: Path, name: str, stats: dict[str, Any]) -> dict[str, object]:
    """Run the tests that call a mutant's function, the quickest first, until one fails."""
    tests = stats["tests_by_mangled_function_name"].get(name.rpartition("__mutmut_")[0], [])
    if not tests:
        return {"name": name, "status": "no tests"}
    took = stats["duration_by_test"]
    tests = sorted(tests, key=lambda test: took.get(test, 0.0))
    limit = FEWEST_SECONDS + SLOWER * sum(took.get(test, 0.0) for test in tests)
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=tree,
            env=os.environ | {"MUTANT_UNDER_TEST": name, "PYTHONPATH": str(tree)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
        )
        status = {0: "survived", 1: "killed"}.get(done.returncode, f"exit status {done.returncode}")
        said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    except subprocess.TimeoutExpired:
        status, said = "timeout", []
    seconds = round(time.perf_counter() - started, 1)
    return {"name": name, "status": status, "seconds": seconds, "by": said[:1]}


def main(
    tree: Annotated[Path, typer.Argument(metavar="MUTANTS", help="mutmut's folder")],
    out: Annotated[Path, typer.Argument(help="file of results")],
    per_folder: Annotated[int, typer.Option(help="mutants of each folder")] = 150,
    seed: Annotated[int, typer.Option(help="of the sample")] = 0,
    jobs: Annotated[int, typer.Option(help="mutants tested at a time")] = 1,
) -> None:
    """Run a sample and print its table."""
    stats = json.loads((tree / "mutmut-stats.json").read_text())
    folders = mutants(tree)
    rng, sample = random.Random(seed), {}
    for folder, names in folders.items():
        sample[folder] = rng.sample(names, min(per_folder, len(names)))
    lines = out.read_text().splitlines() if out.exists() else []
    done = {line["name"]: line for line in map(json.loads, lines)}
    turns = [names[i] for i in range(per_folder) for names in sample.values() if i < len(names)]
    # All folders in turn, so that a stop leaves a fair sample of each.
    left = [name for name in turns if name not in done]
    with ThreadPoolExecutor(jobs) as pool, out.open("a", encoding="utf-8", buffering=1) as file:
        for result in pool.map(lambda name: run(tree.resolve(), name, stats), left):
            done[result["name"]] = result
            file.write(json.dumps(result) + "\n")
    for folder, names in sample.items():
        found = [done[name]["status"] for name in names]
        killed = sum(status not in ("survived", "timeout", "no tests") for status in found)
        low, high = binomtest(killed, len(found)).proportion_ci(method="wilson")
        typer.echo(
            f"{folder}: {killed} of {len(found)} noticed, {killed / len(found):.0%} "
            f"[{low:.0%}, {high:.0%}], of {len(folders[folder])} mutants"
        )
    for name in turns:
        if done[name]["status"] in ("survived", "timeout", "no tests"):
            typer.echo(f"{done[name]['status']}: {name}")


if __name__ == "__main__":
    typer.run(main)
