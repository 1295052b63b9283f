"""Nominal 95 % intervals hold a known D_crit, and there are few where there is none; quick."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analyses.statistics import coverage
from analyses.statistics.critical_size import CriticalSize
from analyses.statistics.simulated_curves import Departure

# Estimates take seconds, a third of which would be checks of types; other tests make them.
pytestmark = pytest.mark.usefixtures("no_type_checker_in_module")
AS_ASSUMED: dict[str, Any] = {"departures": ("as assumed",)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "seeds", "replicates", "detected"),
    [
        ("efficiency crossing", 3, 200, 0.6),  # Student's t of two degrees of freedom is strict
        ("efficiency crossing", 5, 200, 0.9),
        ("ungrokking midpoint", 3, 200, 0.9),
        ("divergence of time", 5, 4, 0.6),
    ],
)
def test_intervals_are_calibrated(
    estimator: str, seeds: int, replicates: int, detected: float
) -> None:
    """Cut down to 50, 80 and 95 %, they hold the truth in as many data sets, not fewer or more.

    The halves of an interval are quantiles of Student's t, so those of another level follow.
    """
    rng = np.random.default_rng(0)
    every = [coverage.SIMULATED[estimator](rng, seeds, Departure()) for _ in range(replicates)]
    found = [e for e in every if not math.isnan(e.low)]
    assert len(found) >= detected * replicates
    value, low, high = np.log([(e.value, e.low, e.high) for e in found]).T
    error = value - math.log(coverage.TRUTH)
    # The part of an interval's lower or upper half that reaches from the estimate to the truth.
    needed = np.where(error > 0, error / (value - low), -error / (high - value))
    student = stats.t(seeds - 1)
    for level in (0.5, 0.8, 0.95):
        share = student.ppf((1 + level) / 2) / student.ppf(0.975)
        holding = int((needed <= share).sum())
        assert holding >= stats.binom.ppf(0.01, len(found), level), level
        # A midpoint's interval also holds the two sizes beside it, which are far apart.
        widened = estimator == "ungrokking midpoint" and level == 0.95
        assert widened or holding <= stats.binom.ppf(0.99, len(found), level), level
    assert replicates < 30 or abs(np.median(error)) < 0.05


def test_intervals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hold 1000, one lies above it, two below, and one data set has none."""
    holding = [CriticalSize(v, 900.0, 1100.0) for v in (940.0, 990.0, 1020.0, 1080.0)]
    above, below = CriticalSize(1100.0, 1001.0, 1200.0), CriticalSize(900.0, 800.0, 999.0)
    scripted = iter([*holding, above, below, below, CriticalSize(math.nan)])
    monkeypatch.setitem(coverage.SIMULATED, "efficiency crossing", lambda *_: next(scripted))
    monkeypatch.setitem(coverage.ABSENT, "efficiency crossing", {})
    data = coverage.compute(
        (3,), replicates=8, estimators=("efficiency crossing",), **AS_ASSUMED
    ).squeeze()
    counted = [float(data[name]) * 7 for name in ("coverage", "above", "below")]
    assert counted == pytest.approx([4, 1, 2])
    assert float(data.detected) == 7 / 8
    assert float(data.bias) == pytest.approx(-0.01)  # of 900, 900, 940, 990, 1020, 1080, 1100
    assert float(data.width) == pytest.approx(1100 / 900)


@pytest.mark.parametrize(
    ("estimator", "replicates"),
    [("efficiency crossing", 40), ("ungrokking midpoint", 20)],
)
def test_there_are_few_estimates_where_there_is_no_critical_size(
    estimator: str, replicates: int
) -> None:
    """Of times that do not diverge: ``test_critical_size``, as each estimate takes a second."""
    data = coverage.compute((3,), replicates=replicates, estimators=(estimator,), **AS_ASSUMED)
    assert data.false.dims == ("absence", "departure", "seeds")
    assert (data.false * replicates <= stats.binom.ppf(0.999, replicates, 0.05)).all()
    assert all(name.startswith(f"{estimator}: ") for name in data.absence.values)


def test_an_estimator_that_always_finds_something_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        coverage, "efficiency_crossing", lambda *_: CriticalSize(900.0, 800.0, 990.0)
    )
    data = coverage.compute((3,), replicates=2, estimators=("efficiency crossing",), **AS_ASSUMED)
    assert (data.false == 1).all()
    assert (data.coverage == 0).all()
    assert (data.below == 1).all()
    figure: Any = coverage.plot_rates(data)
    present, absent = figure.data
    assert list(present.x) == [0]
    assert list(absent.x) == [1, 1, 1]


def test_replicates_are_drawn_by_the_seed() -> None:
    first, again, other = (
        coverage.compute(
            (3,), replicates=2, estimators=("ungrokking midpoint",), seed=s, **AS_ASSUMED
        )
        for s in (0, 0, 1)
    )
    assert first.identical(again)
    assert not first.equals(other)


def test_a_value_without_an_interval_covers_nothing() -> None:
    data = coverage.compute(
        (1,), replicates=2, estimators=("ungrokking midpoint",), **AS_ASSUMED
    ).squeeze()
    assert data.detected == 0
    assert data.coverage.isnull()


def test_the_command_prints_and_writes_both_tables(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    few = ["--replicates", 1, "--seeds", 3, "--estimator", "ungrokking midpoint"]
    result = command("run", "coverage", tmp_path, *few)
    assert result.exit_code == 0, result.output
    assert (
        "estimator ungrokking midpoint  departure as assumed  seeds 3  detected " in result.output
    )
    assert "false: large offsets " in result.output
    assert "ungrokking midpoint: no drop" in result.output
    assert "coverage" in result.output
    assert {file.name for file in tmp_path.iterdir()} == {"coverage.html", "coverage.nc"}
    result = command("run", "coverage", tmp_path, "--estimator", "midpoint")
    assert result.exit_code != 0
    assert "'midpoint' is unknown; take one of efficiency crossing" in result.output


def test_it_says_how_long_it_takes(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a clock on which a replicate of everything takes 2 s."""
    calls, ticks = [], iter([0.0, 2.0])
    monkeypatch.setattr(coverage.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(coverage, "compute", lambda **how: calls.append(how["replicates"]))
    result = command("run", "coverage", "out", "--estimate-only", "--replicates", 300)
    assert (result.exit_code, result.output) == (0, "time in all: about 10 min\n")
    assert calls == [1]
