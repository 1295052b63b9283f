"""The page on performance says of GPUs what was measured on them."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "tests/benchmarks/results").glob("*/gpu.json"))


def rows(found: dict[str, Any]) -> list[str]:
    """The table rows that a device's results make."""
    timed, made = found["timings"], []
    for precision in ("float32", "tf32", "bfloat16", "float64"):
        times = timed[f"stack of 64, {precision}"]
        step, products = times["stack"], times["products"]
        plain = times["plain loop of one run, float32"]
        made.append(
            f"| {precision} | {step:.2f} | {times['stack without graph']:.2f} | {products:.2f} | "
            f"{plain:.2f} | {step / products:.2f} | {step / 64 / plain:.3f} |"
        )
    names = {"transformer": "transformer, two layers", "lstm": "LSTM", "mlp": "embedding MLP"}
    for network, words in names.items():
        times = timed[f"{network} of the second paper, stack of 3"]
        made.append(f"| {words} | {times['stack']:.2f} | {times['stack without graph']:.3g} |")
    diagram, transformer = found["fig3a"]["seed 0"], found["paper2"]["transformer"]
    made.append(f"| {diagram['runs']} | 2000 | {diagram['seconds']:.0f} |")
    made.append(
        f"| {transformer['runs']} | {transformer['steps']} | {transformer['seconds']:.0f} |"
    )
    return made


@pytest.mark.parametrize("path", RESULTS, ids=[path.parent.name for path in RESULTS])
def test_the_tables_are_the_results(path: Path) -> None:
    page, found = (ROOT / "docs/performance.md").read_text(), json.loads(path.read_text())
    about = found["about"]
    assert (
        f"{about['device']}, CUDA {about['cuda']}, torch {about['versions']['torch'][:4]}" in page
    )
    for row in rows(found):
        assert row in page
