"""Peak memory of default-size runs, each measurement in a process of its own (Linux).

``train_many`` returns all runs, so its memory grows with them; a sweep keeps a chunk.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

_PEAK = r"""
import re, sys
from pathlib import Path
import grokinterp as gi
def peak():  # not getrusage's, which begins with the parent's
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
base = gi.RunConfig(data=gi.DataConfig(corruption=.35), training=gi.TrainConfig(steps=2))
what, runs, chunk = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
gi.train(base, progress=False)  # what libraries take once
before = peak()
if what == "sweep":
    gi.sweep(base, {}, seeds=runs, chunk=chunk, progress=False)
else:
    gi.train_many([base.replace({"seed": seed}) for seed in range(runs)], progress=False)
print((peak() - before) / 1024)
"""


def peak_mib(what: str, runs: int, chunk: int) -> float:
    command = [sys.executable, "-c", _PEAK, what, str(runs), str(chunk)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_memory(
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
    ratios: Callable[[str, dict[str, Any]], None],
) -> None:
    bounded = [("sweep", 16, 16), ("sweep", 256, 16)]
    others = [
        ("train_many", 16, 0),
        ("train_many", 64, 0),
        ("train_many", 256, 0),
        ("sweep", 64, 16),
        ("sweep", 256, 64),
    ]
    only_checked = bool(pytestconfig.getoption("benchmark_disable"))
    measured = {
        f"{what}, {runs} runs, chunk {chunk}": peak_mib(what, runs, chunk)
        for what, runs, chunk in bounded + ([] if only_checked else others)
    }
    ratios("memory", measured)
    with capsys.disabled():
        print("\npeak memory above that of one run:")
        for name, mib in measured.items():
            print(f"  {mib:6.0f} MiB  {name}")
    assert measured["sweep, 256 runs, chunk 16"] < 1.5 * measured["sweep, 16 runs, chunk 16"] + 50
