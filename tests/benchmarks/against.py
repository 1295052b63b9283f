"""The present version and an older one side by side: the same calls in turn, on one machine.

    python -m tests.benchmarks.against COMMIT OUT              on an idle machine, 15 minutes
    python -m tests.benchmarks.against COMMIT OUT --size toy   whether the script works

COMMIT is checked out into a temporary folder. Each version has a process of its own; they take
turns at the calls of ``calls.py``. OUT receives ``against.json``: seconds of both, and the median
of the ratios of neighbouring turns with its quartiles.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.checkout import ROOT
from tests.benchmarks.machine import machine

CALLS = Path(__file__).parent / "calls.py"
ROUNDS = {"full": 20, "toy": 2}


class Version:
    """A process with the package of one folder."""

    def __init__(self, folder: Path, size: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, str(CALLS), size],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        package, self.names = json.loads(self._read())
        if not Path(package).is_relative_to(folder):
            raise RuntimeError(f"timed {package}, which is not of the version in {folder}")

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a version stopped; its message is above")
        return line

    def seconds(self, name: str) -> float:
        """Of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A temporary folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def compared(old: Version, new: Version, name: str, rounds: int) -> dict[str, Any]:
    """Both in turn: medians, and the ratio now / before with its quartiles."""
    pairs = [(old.seconds(name), new.seconds(name)) for _ in range(rounds + 1)][1:]
    before, now = (statistics.median(taken) for taken in zip(*pairs, strict=True))
    ratios = [later / earlier for earlier, later in pairs]
    lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "before, s": before,
        "now, s": now,
        "now / before": middle,
        "quartiles": [lower, upper],
    }


def main() -> None:
    """Check the commit out, time every call, and write as results come."""
    parser = argparse.ArgumentParser(description="The present version and an older one")
    parser.add_argument("commit")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=ROUNDS, default="full")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"about": {**machine(), "before": args.commit}}
    with checked_out(args.commit) as folder:
        old, new = Version(folder, args.size), Version(ROOT, args.size)
        for name in new.names:
            results[name] = compared(old, new, name, ROUNDS[args.size])
            print(f"{results[name]['now / before']:.3f}  {name}", flush=True)
            (args.out / "against.json").write_text(json.dumps(results, indent=1) + "\n")
        old.close()
        new.close()


if __name__ == "__main__":
    main()
