"""Ratios between timings that were taken in turn, in one process: these survive a noisy machine."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from grokinterp.training import resources
from tests.benchmarks.in_turn import torch_threads
from tests.benchmarks.machine import machine

THREADS = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ratios", type=Path, help="JSON file for medians and ratios")


@pytest.fixture(autouse=True)
def has_instructions(request: pytest.FixtureRequest) -> None:
    """Skip what times bfloat16 on a CPU without the instructions, where it takes many minutes."""
    if "bfloat16" in request.node.name and not resources._has_bfloat16():
        pytest.skip("this CPU has no bfloat16 instructions")


@pytest.fixture(scope="session")
def ratios(pytestconfig: pytest.Config) -> Callable[[str, dict[str, Any]], None]:
    """Keep what a benchmark gave, in the file of ``--ratios``, at once."""
    path: Path | None = pytestconfig.getoption("--ratios")
    found: dict[str, Any] = {"about": machine()}

    def keep(name: str, figures: dict[str, Any]) -> None:
        found[name] = figures
        if path is not None:
            path.write_text(json.dumps(found, indent=1) + "\n")

    return keep


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Torch uses this many threads while a benchmark runs: two, or its parameter."""
    count: int = getattr(request, "param", THREADS)
    with torch_threads(count):
        yield count


@pytest.fixture
def compare(
    threads: int,
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
    ratios: Callable[[str, dict[str, Any]], None],
) -> Callable[..., None]:
    """``compare(subject, baselines)``: time both in turn and print the ratio of medians."""

    def run(
        subject: Callable[[], object],
        baselines: Mapping[str, Callable[[], object]],
        *,
        rounds: int = 20,
        burst: int = 1,
        per: int = 1,
    ) -> None:
        """Each is called ``burst`` times in a row, as in a loop; a subject call counts ``per``."""
        times: dict[str, list[float]] = {name: [] for name in baselines}

        def time_baselines() -> None:
            with torch_threads(threads):
                for name, baseline in baselines.items():
                    start = time.perf_counter()
                    for _ in range(burst):
                        baseline()
                    times[name].append((time.perf_counter() - start) / burst)
            time.sleep(0.005)  # let the baseline's helper threads stop spinning

        def subjects() -> None:
            for _ in range(burst):
                subject()

        benchmark.pedantic(subjects, setup=time_baselines, rounds=rounds, warmup_rounds=1)
        if benchmark.stats is None:  # --benchmark-disable: only checks that everything runs
            return
        median = benchmark.stats["median"] / (burst * per)
        lines = [f"\n{benchmark.name}: {median * 1e3:.2f} ms"]
        figures: dict[str, Any] = {"ms": median * 1e3, "rounds": rounds, "against": {}}
        for name, taken in times.items():
            base = statistics.median(taken[1:])
            figures["against"][name] = {"ms": base * 1e3, "ratio": median / base}
            lines.append(f"  {median / base:6.3f} x {name} ({base * 1e3:.2f} ms)")
        ratios(benchmark.fullname.removeprefix("tests/benchmarks/"), figures)
        with capsys.disabled():
            print("\n".join(lines))

    return run
