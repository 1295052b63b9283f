"""Crossings, plateaus and outcomes of curves whose answer is known by construction."""

import math

import numpy as np
import pytest

from analyses.statistics.curves import (
    halving_step,
    is_flat,
    late_level,
    outcome,
    sustained_crossing,
)

STEPS = np.arange(0, 10_001, 50)


def rise(
    at: float, steps: np.ndarray = STEPS, top: float = 1.0, width: float = 200.0
) -> np.ndarray:
    """Near chance, then near ``top``; half of it at ``at``."""
    return 0.01 + (top - 0.01) / (1 + np.exp(-(steps - at) / width))


def noisy(values: np.ndarray, size: float, seed: int = 0) -> np.ndarray:
    return values + size * np.random.default_rng(seed).standard_normal(len(values))


def test_a_crossing_must_last() -> None:
    values = np.zeros(20)
    values[3:7] = 1.0  # four rows, then a collapse
    values[10:] = 1.0
    steps = 10 * np.arange(20)
    assert sustained_crossing(steps, values, 0.9) == 100
    assert sustained_crossing(steps, values, 0.9, rows=4) == 30
    assert sustained_crossing(steps, values, 1.0) == 100  # at the level counts
    assert math.isnan(sustained_crossing(steps, values, 1.1))


def test_a_crossing_in_the_last_rows_is_censored() -> None:
    values = np.zeros(20)
    values[16:] = 1.0
    assert math.isnan(sustained_crossing(np.arange(20), values, 0.9))
    assert sustained_crossing(np.arange(20), values, 0.9, rows=4) == 16
    assert math.isnan(sustained_crossing([0, 1], [1.0, 1.0], 0.9))


def test_nan_rows_are_below_every_level() -> None:
    values = np.ones(12)
    values[2] = np.nan
    assert sustained_crossing(np.arange(12), values, 0.9) == 3
    values[6:] = np.nan
    assert math.isnan(sustained_crossing(np.arange(12), values, 0.9))


@pytest.mark.parametrize("steps", [STEPS, np.unique(np.geomspace(1, 10_000, 300).astype(int))])
@pytest.mark.parametrize(("drift", "flat"), [(0.019, True), (0.021, False), (-0.021, False)])
def test_slow_drift_is_told_exactly(steps: np.ndarray, drift: float, flat: bool) -> None:
    """The change over the last 30 % of steps of a line, evenly or logarithmically spaced."""
    line = 0.4 + drift * (steps - steps[0]) / (0.3 * (steps[-1] - steps[0]))
    assert is_flat(steps, line) is flat


def test_a_plateau_stays_flat_under_noise_and_dips() -> None:
    plateau = noisy(np.full(len(STEPS), 0.5), 0.01)
    assert is_flat(STEPS, plateau)
    plateau[[-1, -9, -25]] = 0.1  # collapses of a row each
    assert is_flat(STEPS, plateau)
    assert late_level(STEPS, plateau) == pytest.approx(0.5, abs=0.005)


def test_a_hump_and_a_jump_are_not_flat() -> None:
    hump = 0.5 + 0.1 * np.exp(-(((STEPS - 8500) / 400) ** 2))
    assert not is_flat(STEPS, hump)
    assert not is_flat(STEPS, rise(9500))
    assert is_flat(STEPS, rise(4000))


def test_flatness_needs_rows() -> None:
    assert not is_flat([0, 1, 10, 100, 1000], [0.5] * 5)
    assert not is_flat(STEPS, np.where(STEPS > 9000, np.nan, 0.5))
    assert is_flat([0, 7.5, 8.5, 10], [0.1, 0.5, 0.5, 0.5])


def test_losses_halve() -> None:
    loss = np.exp(-STEPS / 1000)
    assert halving_step(STEPS, loss) == 700  # 693.1, and a row every 50 steps
    assert halving_step(STEPS, loss, factor=10.0) == 2350  # 2302.6
    assert math.isnan(halving_step(STEPS, 1 + loss))
    assert halving_step([0, 1, 2, 3], [4.0, np.nan, 2.0, 3.0]) == 2


def test_outcomes_of_known_curves() -> None:
    half = noisy(rise(2000, top=0.5), 0.005)
    assert outcome(STEPS, half) == "semi-grokked"
    assert outcome(STEPS, noisy(rise(3000), 0.01)) == "grokked"
    assert outcome(STEPS, noisy(np.full(len(STEPS), 0.02), 0.005)) == "not generalised"
    assert outcome(STEPS, rise(9900)) == "unfinished"
    assert outcome(STEPS, np.linspace(0, 0.8, len(STEPS))) == "unfinished"
    dead = rise(9000)
    dead[100:] = np.nan
    assert outcome(STEPS, dead) == "diverged"


def test_a_short_run_is_unfinished_however_flat() -> None:
    half, low = rise(2000, top=0.5), np.full(len(STEPS), 0.02)
    for curve, end in ((half, "semi-grokked"), (low, "not generalised")):
        assert outcome(STEPS, curve, next_time=3300) == end
        assert outcome(STEPS, curve, next_time=3400) == "unfinished"
        for unknown in (math.inf, math.nan):
            assert outcome(STEPS, curve, next_time=unknown) == "unfinished"
    assert outcome(STEPS, rise(3000), next_time=9000) == "grokked"


def test_a_collapse_after_grokking_undoes_nothing() -> None:
    curve = rise(3000)
    curve[(STEPS > 5900) & (STEPS < 6200)] = 0.02
    curve[-1] = 0.18
    assert outcome(STEPS, curve) == "grokked"
    blip = np.full(len(STEPS), 0.02)
    blip[60:63] = 0.99  # three rows are no grokking
    assert outcome(STEPS, blip) == "not generalised"


# Validation accuracies (%) read off Fig. 9 of the second paper from its last third of 1e5 steps.
LATE_22 = (
    14.16, 9.18, 11.11, 13.63, 14.17, 10.51, 12.71, 13.91, 8.49, 12.14, 13.84, 10.51, 13.2, 14.33,
    11.5, 13.72, 12.51, 13.84, 13.23, 10.11, 14.1, 13.08,
)  # fmt: skip
LATE_27 = (
    14.0, 15.53, 16.97, 18.01, 15.87, 17.82, 19.01, 17.88, 19.46, 16.01, 18.65, 12.71, 20.15,
    20.26, 21.37, 22.36, 26.69, 27.15, 32.84, 41.94, 62.92, 59.03,
)  # fmt: skip
LATE_28 = (
    23.89, 24.39, 14.05, 23.55, 25.3, 25.95, 23.5, 26.84, 25.2, 27.33, 28.59, 29.7, 31.52, 33.66,
    35.46, 43.3, 46.59, 64.14, 73.83, 94.39, 99.11,
)  # fmt: skip


@pytest.mark.parametrize("late", [LATE_22, LATE_27, LATE_28])
def test_published_runs_called_semi_grokked_are_unfinished(late: tuple[float, ...]) -> None:
    """They end at 1e5 steps; the next larger fraction groks at 72 324 steps or later."""
    steps = np.append(0, np.linspace(65_000, 99_000, len(late)))
    curve = np.append(0, late) / 100
    assert outcome(steps, curve, next_time=72_324) == "unfinished"
    if late == LATE_22:  # flat, for all its dips; only the length tells
        assert outcome(steps, curve) == "semi-grokked"


@pytest.mark.parametrize(
    ("steps", "values", "message"),
    [
        ([0, 1], [0.5], "shapes"),
        ([0], [0.5], "two rows"),
        ([0, 2, 1], [0.5] * 3, "must increase"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_bad_curves_are_refused(steps: list[float], values: list[float], message: str) -> None:
    for ask in (is_flat, late_level, halving_step, outcome):
        with pytest.raises(ValueError, match=message):
            ask(steps, values)
    with pytest.raises(ValueError, match="rows must be at least 1"):
        sustained_crossing([0, 1], [1.0, 1.0], 0.5, rows=0)
    with pytest.raises(ValueError, match="chance <"):
        outcome(STEPS, rise(100), chance=0.9)
