"""Ratios between timings that were taken in turn, in one process: these survive a noisy machine."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

THREADS = 2


@pytest.fixture
def threads() -> Iterator[int]:
    """Torch uses this many threads while a benchmark runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield THREADS
    torch.set_num_threads(before)


@pytest.fixture
def compare(
    threads: int, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
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
            outside = torch.get_num_threads()
            torch.set_num_threads(threads)
            for name, baseline in baselines.items():
                start = time.perf_counter()
                for _ in range(burst):
                    baseline()
                times[name].append((time.perf_counter() - start) / burst)
            torch.set_num_threads(outside)
            time.sleep(0.005)  # let the baseline's helper threads stop spinning

        def subjects() -> None:
            for _ in range(burst):
                subject()

        benchmark.pedantic(subjects, setup=time_baselines, rounds=rounds, warmup_rounds=1)
        if benchmark.stats is None:  # --benchmark-disable: only checks that everything runs
            return
        median = benchmark.stats["median"] / (burst * per)
        lines = [f"\n{benchmark.name}: {median * 1e3:.2f} ms"]
        for name, taken in times.items():
            base = statistics.median(taken[1:])
            benchmark.extra_info[f"ratio to {name}"] = median / base
            lines.append(f"  {median / base:6.3f} x {name} ({base * 1e3:.2f} ms)")
        with capsys.disabled():
            print("\n".join(lines))

    return run
