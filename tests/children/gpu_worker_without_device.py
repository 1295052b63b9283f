"""Stands in for ``tests.benchmarks.gpu.worker``: the first task it tries fails with the device."""

import sys
from pathlib import Path

from tests.benchmarks.gpu.__main__ import AGAIN
from tests.benchmarks.gpu.results import Results

results = Results(Path(sys.argv[2]) / "gpu.json")
results.begin("parity", f"task {len(results.stage('parity'))}", float("inf"))
results.end({"error": "no device"})
sys.exit(AGAIN)
