"""Random configs through construct, data, build, train, save, load, probe, hooks and sweeps.

Not part of the suite. From the root of the repository::

    python -m tests.fuzz.fuzz_configs OUT --cases 2000

Each case draws values, sensible and odd ones, for every field of every config and every argument of
a training. It is either refused before its first step by an error of ours that names an argument,
or it goes through everything. Reported are raw errors, warnings and whatever is silently wrong:
another network after loading, another run in a stack or on more threads, a last row of the history
that is not the network's, a probe that gives inf, a hook that changes what it should not.

``OUT/results.jsonl`` gets one line per case as it ends; called again, the rest is done.
``--only N`` repeats one case and prints what it was. The exit status is 1 if there is a finding.
"""

import json
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tqdm import tqdm

from tests.fuzz import readings
from tests.fuzz.draw import Case, check_complete, draw
from tests.fuzz.examine import Report, examine

MINUTES = 5  # of a case
MEMORY = 6 * 2**30  # bytes of address space that a case may add


class TooLong(BaseException):
    """A case took longer than ``MINUTES``; no ``except Exception`` swallows it."""


def one(case: Case) -> Report:
    """Examine a case; an error that escapes is a finding, too."""
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            signal.alarm(60 * MINUTES)
            return examine(case, Path(folder))
    except TooLong:
        where = "".join(traceback.format_exc().splitlines(keepends=True)[-6:])
        return Report("stopped", findings=[f"took more than {MINUTES} minutes: {where}"])
    except Exception:
        return Report("stopped", findings=[f"raw: {traceback.format_exc()[-1500:]}"])
    finally:
        signal.alarm(0)


def main(
    out: Annotated[Path, typer.Argument(help="folder of results.jsonl")],
    cases: Annotated[int, typer.Option(help="how many in all")] = 2000,
    seed: Annotated[int, typer.Option(help="of all cases")] = 0,
    only: Annotated[int | None, typer.Option(help="repeat this case, and print it")] = None,
) -> None:
    """Fuzz the configs; see the module's docstring."""
    check_complete()
    readings.check_complete()
    signal.signal(signal.SIGALRM, _stop)
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    if only is not None:
        case = draw(seed, only)
        typer.echo(f"{case}\n{one(case)}")
        return
    file = out / "results.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {line["case"] for line in lines if line["seed"] == seed}
    for number in tqdm([n for n in range(cases) if n not in done]):
        case, started = draw(seed, number), time.perf_counter()
        report = one(case)
        line: dict[str, Any] = {
            "seed": seed,
            "case": number,
            "kind": case.kind,
            "odd": case.odd,
            "outcome": report.outcome,
            "seconds": round(time.perf_counter() - started, 2),
            "reason": report.reason,
            "findings": report.findings,
        }
        lines.append(line)
        with file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        for finding in report.findings:
            tqdm.write(f"case {number}: {finding}")
    found = [line for line in lines if line["findings"]]
    typer.echo(f"{len(lines)} cases: {dict(Counter(line['outcome'] for line in lines))}")
    typer.echo(f"{len(found)} with findings: {[line['case'] for line in found]}")
    sys.exit(bool(found))


def _stop(*_: object) -> None:
    raise TooLong


if __name__ == "__main__":
    torch.set_num_threads(1)  # helper threads only wait for each other at this size
    typer.run(main)
