"""The scripts that measure a CPU run at toy size and write what they say."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.calls import calls
from tests.benchmarks.checkout import ROOT, commit

pytestmark = pytest.mark.slow


def run(script: str, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{script}", *words, "--size", "toy"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=1500,
    )


def numbers(found: Any) -> Iterator[float]:
    """All numbers in it."""
    if isinstance(found, dict):
        for value in found.values():
            yield from numbers(value)
    elif isinstance(found, list):
        for value in found:
            yield from numbers(value)
    elif not isinstance(found, str):
        yield found


def result(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    assert found.pop("about")["commit"] == commit()
    assert all(math.isfinite(number) and number >= 0 for number in numbers(found))
    return found


def test_cost(tmp_path: Path) -> None:
    run("cost", str(tmp_path))
    found = result(tmp_path / "cost.json")
    assert set(found) == {"peaks", "steps", "workers", "cluster"}
    cluster = found["cluster"]
    for nodes in (1, 4, 16, 64):
        ideal = cluster["core hours"] * 3600 / nodes / 16
        share = ideal / cluster[f"{nodes} nodes of 16 cores, s"]
        assert cluster[f"{nodes} nodes of 16 cores, efficiency"] == pytest.approx(share)
        assert 0 < share <= 1


def test_parts_of_a_step(tmp_path: Path) -> None:
    run("step_parts", str(tmp_path))
    found = result(tmp_path / "step_parts.json")
    lstm = found["parts"]["second paper's LSTM, batches of 512"]
    assert lstm["passes"] == "RunByRunPasses"
    assert lstm["shares"]["fused LSTM kernel"] > 0.02
    for blocks in found["block_sizes"].values():
        assert blocks["time by factor"]["1"] == 1.0


@pytest.mark.skipif(not commit(), reason="needs the git repository")
def test_a_version_against_itself(tmp_path: Path) -> None:
    run("against", "HEAD", str(tmp_path))
    found = result(tmp_path / "against.json")
    assert set(found) == set(calls("toy"))
    for timed in found.values():
        lower, upper = timed["quartiles"]
        assert 0 < lower <= timed["now / before"] <= upper
