"""Stands in for ``tests.benchmarks.gpu.worker``: only its first and last task work."""

import os
import sys
import time
from pathlib import Path

from tests.benchmarks.gpu.__main__ import AGAIN, GRACE
from tests.benchmarks.gpu.results import Results

results = Results(Path(sys.argv[2]) / "gpu.json")
for key in ("first", "crashes", "hangs", "loses the device", "last"):
    if key in results.stage("parity"):
        continue
    results.begin("parity", key, time.time() - GRACE - 1 if key == "hangs" else time.time() + 600)
    if key == "crashes":
        os._exit(11)
    if key == "hangs":
        time.sleep(600)
    if key == "loses the device":
        results.end({"error": "the task's own"})
        os._exit(AGAIN)
    results.end({"value": 1})
