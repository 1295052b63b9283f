"""What a GPU makes of grokinterp: parity with the CPU, speed, and two experiments at full size.

    python -m tests.benchmarks.gpu OUT                          on one CUDA device, in 8 minutes
    python -m tests.benchmarks.gpu OUT --size toy --device cpu  whether the script works

OUT receives ``gpu.json``, written anew after every result, and netCDF files of the experiments.
Each stage has its share of the time, and what the ones before it left; an experiment that uses it
up stores what is finished. A task that fails leaves its error in its place. The tasks run in a
process of their own: if it ends or hangs, or if the device fails and this process cannot use it
again, a new one goes on with the next task, unless three in a row had no result.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.checkout import commit
from tests.benchmarks.gpu.results import Results

BUDGET = {"parity": 82, "timings": 23, "paper2": 230, "fig3a": 132}  # seconds
SIZES = ("full", "toy")
GRACE = 12  # seconds after a stage's end in which its last task may finish
MOST_IN_VAIN = 3  # processes in a row without a result, after which the device counts as lost
AGAIN = 75  # exit status of a process that kept a task's error and cannot use the device any more


def options() -> argparse.ArgumentParser:
    """The options of the command and of the process that does the work."""
    parser = argparse.ArgumentParser(description="Parity, speed and two experiments on a GPU")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--stages", nargs="+", choices=BUDGET, default=[*BUDGET])
    parser.add_argument("--time", type=float, default=1.0, help="factor on every stage's time")
    parser.add_argument("--commit", default=commit(), help="of the code, where it has no git")
    return parser


def main(worker: str = "tests.benchmarks.gpu.worker") -> None:
    """Start the work, and start it again with the next task if it fails."""
    started, args = time.time(), options().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    work, path = args.out / "work", args.out / "gpu.json"
    shutil.rmtree(work, ignore_errors=True)
    path.unlink(missing_ok=True)
    end = started + args.time * sum(BUDGET[name] for name in args.stages)
    words = [*sys.argv[1:], "--commit", args.commit]
    command = [sys.executable, "-m", worker, str(started), *words]
    worked, in_vain = 0, 0
    while code := ended(subprocess.Popen(command), path, end):
        results, why = Results(path), f"the process ended with {code}"
        print(why, flush=True)
        if code != AGAIN and results.running is None:  # it did not even begin
            results.fail(why)
            break
        if code != AGAIN:
            results.end({"error": why})
        in_vain = in_vain + 1 if results.worked == worked else 0
        worked = results.worked
        if in_vain == MOST_IN_VAIN:
            results.fail(f"{in_vain} processes in a row ended without a result")
            break
    shutil.rmtree(work, ignore_errors=True)
    results = Results(path)
    results.found["seconds"] = round(time.time() - started, 1)
    results.write()


def ended(process: subprocess.Popen[bytes], path: Path, end: float) -> int:
    """Wait until the process ends, or end it when its time is up; its exit status."""
    try:
        while process.poll() is None:
            time.sleep(0.1)
            running = Results(path).running
            if time.time() > (running["until"] if running else end) + GRACE:
                process.kill()
    finally:
        process.kill()  # nothing, if it has ended
        process.wait()
    return process.returncode


if __name__ == "__main__":
    main()
