"""D_crit of curves whose answer is known: closed forms, SciPy, and published figures."""

import math
import re
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from analyses.statistics.critical_size import (
    CriticalSize,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)

SIZES = np.array([100.0, 150, 220, 330, 500, 750, 1100])


def crossing_at(*critical: float) -> np.ndarray:
    """Curves that are linear in log size, one per seed, zero at ``critical``."""
    return np.log(SIZES) - np.log(np.array(critical))[:, None]


def test_crossing_of_shifted_curves_is_students() -> None:
    critical = (250.0, 300.0, 420.0, 380.0)
    curves = crossing_at(*critical)
    found = efficiency_crossing(SIZES, curves, np.zeros_like(curves), n_boot=40_000)
    logs = np.log(critical)
    low, high = stats.t.interval(0.95, 3, loc=logs.mean(), scale=stats.sem(logs))
    assert found.value == pytest.approx(np.exp(logs.mean()))
    assert [found.low, found.high] == pytest.approx(np.exp([low, high]), rel=0.02)
    assert found.n_boot == 40_000
    assert found.reason == ""


def test_which_curve_is_called_what_does_not_matter() -> None:
    memorising = crossing_at(250, 300, 420) + 5
    generalising = np.full_like(memorising, 5)
    once = efficiency_crossing(SIZES, memorising, generalising)
    assert efficiency_crossing(SIZES, generalising, memorising) == once
    thrice = efficiency_crossing(3 * SIZES, memorising, generalising)
    assert [thrice.value, thrice.low, thrice.high] == pytest.approx(
        [3 * once.value, 3 * once.low, 3 * once.high]
    )


def test_more_disagreement_between_seeds_is_a_wider_interval() -> None:
    narrow, wide = (
        efficiency_crossing(SIZES, curves, np.zeros_like(curves))
        for curves in (crossing_at(290, 300, 310), crossing_at(200, 300, 450))
    )
    assert wide.low < narrow.low < 300 < narrow.high < wide.high


@pytest.mark.parametrize(
    ("at", "side"),
    [(50.0, "below the smallest size, 100"), (5000.0, "above the largest size, 1100")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_curves_that_do_not_cross(at: float, side: str, sign: int) -> None:
    curves = sign * crossing_at(at, 1.1 * at)
    found = efficiency_crossing(SIZES, curves, np.zeros_like(curves))
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert found.reason == f"not detected: the curves cross, if at all, {side}"


def test_a_crossing_that_resamples_do_not_see_is_not_detected() -> None:
    """Sixty seeds of which either end tells a change of places by a hair."""
    spread = stats.norm.ppf((np.arange(60) + 0.5) / 60)
    beyond, shuffled = 1.75 * stats.sem(spread), np.random.default_rng(0).permutation(spread)
    gap = np.stack([spread - beyond, shuffled + beyond], axis=1)
    found = efficiency_crossing(SIZES[:2], np.zeros((60, 2)), gap)
    assert "of their resamples" in found.reason
    assert math.isnan(found.value)


def noisy_gap(seed: int, ends: tuple[float, float], *, offset: float = 1.0) -> np.ndarray:
    """Five seeds, each with an offset and noise in every run, around a line between two ends."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((5, 9)) + offset * rng.standard_normal((5, 1))
    return np.linspace(*ends, 9) + noise


SHORT = np.arange(1.0, 10)


def test_the_p_value_of_a_crossing_is_scipys_at_the_ends() -> None:
    gap = noisy_gap(0, (-4, 4))
    gap[0, 0] = gap[1, 7] = np.nan
    found = efficiency_crossing(SHORT, np.zeros_like(gap), gap)
    low, high = np.nanmean(gap[:, :2], axis=1), np.nanmean(gap[:, -2:], axis=1)
    below: Any = stats.ttest_1samp(low, 0, alternative="less")
    above: Any = stats.ttest_1samp(high, 0, alternative="greater")
    assert found.p_value == pytest.approx(max(below.pvalue, above.pvalue))
    assert found.low < found.value < found.high
    assert efficiency_crossing(SHORT, gap, np.zeros_like(gap)) == found


@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.3, 0.3), (-3.0, 0.0)])
@pytest.mark.parametrize(("seeds", "offset"), [(3, 0.0), (3, 1.0), (5, 0.0)])
def test_curves_that_do_not_change_places_do_not_cross(
    ends: tuple[float, float], seeds: int, offset: float
) -> None:
    """Equal, parallel, and meeting at the largest size: 5 % of data sets, of 100, at most."""
    gaps = [noisy_gap(i, ends, offset=offset)[:seeds] for i in range(100)]
    every = [efficiency_crossing(SHORT, np.zeros_like(gap), gap, n_boot=20) for gap in gaps]
    assert sum(not math.isnan(found.low) for found in every) <= stats.binom.ppf(0.999, 100, 0.05)
    assert any("do not show that the curves change places" in found.reason for found in every)


def test_missing_circuits_are_left_out() -> None:
    curves = crossing_at(300, 300, 300)
    curves[:, 2] = np.nan
    curves[1, 3] = np.nan
    found = efficiency_crossing(SIZES, curves, np.zeros_like(curves))
    # What is left of the seeds agrees, and so does every resample.
    assert [found.value, found.low, found.high] == pytest.approx([300] * 3)
    seeds = np.vstack([crossing_at(300, 300), np.full((1, len(SIZES)), np.nan)])
    assert efficiency_crossing(SIZES, seeds, 0 * seeds) == efficiency_crossing(
        SIZES, seeds[:2], 0 * seeds[:2]
    )


# Validation accuracies (%) at 1 ... 15 % of the pairs, and where they pass one half: Figs. 7, 8.
PUBLISHED = {
    "transformer": (4.04, [0.71, 1.79, 14.17, 49.33, 64.59, 72.59, 86.87, 87.45, 100.0, 94.85,
                           100.0, 100.0, 100.0, 100.0, 100.0]),
    "lstm": (8.26, [0.41, 0.16, 1.15, 3.39, 9.84, 18.97, 32.21, 46.14, 60.98, 75.01, 85.77, 96.84,
                    97.42, 98.58, 98.9]),
    "mlp, decay 0.1": (4.16, [0.49, 0.42, 4.99, 44.93, 76.13, 94.9, 99.55, 100.0, 100.0, 100.0,
                              100.0, 100.0, 100.0, 100.0, 100.0]),
    "mlp, decay 1": (6.2, [0.41, 0.31, 0.3, 0.18, 2.6, 41.88, 82.13, 95.25, 99.03, 99.7, 99.89,
                           100.0, 100.0, 100.0, 100.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_midpoints_of_published_curves(name: str) -> None:
    half, curve = PUBLISHED[name]
    pairs = np.round(np.arange(1, 16) / 100 * 97**2)
    found = ungrokking_midpoint(pairs, np.array([curve]) / 100)
    assert found.value / 97**2 == pytest.approx(half / 100, rel=0.01)
    assert found.reason == "one seed: no interval"
    assert math.isnan(found.low)


def test_the_midpoint_is_that_of_scipys_monotone_fit() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        noise = 0.05 * rng.standard_normal(len(SIZES))
        curve = 1 / (1 + (300 / SIZES) ** 4) + noise * (SIZES > 120) * (SIZES < 900)
        fit = np.asarray(optimize.isotonic_regression(curve).x)
        level = (fit[0] + fit[-1]) / 2
        right = np.flatnonzero(fit >= level)[0]
        ends = slice(right - 1, right + 1)
        want = np.exp(np.interp(level, fit[ends], np.log(SIZES)[ends]))
        assert ungrokking_midpoint(SIZES, curve[None]).value == pytest.approx(want)


def test_a_step_is_no_finer_than_the_sizes() -> None:
    found = ungrokking_midpoint(SIZES, np.tile((SIZES > 300) * 1.0, (5, 1)))
    assert 220 < found.value < 330
    assert (found.low, found.high) == (220, 330)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (0.2, 1.0, "0.200 at the smallest size, 100, is not below 0.1"),
        (0.0, 0.8, "0.800 at the largest size, 1100, is not above 0.9"),
    ],
)
def test_half_a_transition_is_not_detected(first: float, last: float, message: str) -> None:
    curve = np.tile(np.linspace(first, last, len(SIZES)), (3, 1))
    found = ungrokking_midpoint(SIZES, curve)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.reason == f"not detected: accuracy {message}"


def times_of(
    critical: float, *, noise: float = 0.05, exponent: float = 1.0, budget: float = 1e4
) -> tuple[np.ndarray, np.ndarray, float]:
    """Four seeds whose times diverge at ``critical``; 0: a power law."""
    sizes, rng = np.tile(SIZES, (4, 1)), np.random.default_rng(1)
    beyond = np.maximum(sizes - critical, 1e-9)
    times = 1e5 * beyond**-exponent * np.exp(noise * rng.standard_normal(sizes.shape))
    return times, (sizes > critical) & (times < budget), budget


@pytest.fixture(scope="module")
def found() -> CriticalSize:
    return divergence_of_time(SIZES, *times_of(280.0))


def test_a_divergence_is_found_beyond_censored_times(found: CriticalSize) -> None:
    times, finished, budget = times_of(280.0)
    assert not finished[:, :3].any()
    assert found.low < 280 < found.high < 330
    assert found.value == pytest.approx(280, rel=0.05)
    assert str(found).startswith(f"{found.value:.4g} [")
    # What is written where a run did not finish is not read.
    assert divergence_of_time(SIZES, np.where(finished, times, np.nan), finished, budget) == found


def test_units_of_time_and_size_do_not_matter(found: CriticalSize) -> None:
    times, finished, budget = times_of(280.0)
    other = divergence_of_time(7 * SIZES, 60 * times, finished, 60 * budget)
    assert [other.value, other.low, other.high] == pytest.approx(
        [7 * found.value, 7 * found.low, 7 * found.high], rel=1e-3
    )


def test_a_power_law_has_no_critical_size() -> None:
    times, finished, budget = times_of(0.0, noise=0.3, budget=1e6)
    found = divergence_of_time(SIZES, times, finished, budget)
    assert math.isnan(found.value)
    said = "not detected: a power law of the size without a D_crit, straight or bent, fits as well"
    bound = r"if there is one, D_crit < \d"
    assert re.match(rf"{said} \(p = (0\.\d+|1)\); {bound}", str(found))
    assert found.p_value > 0.05


def test_times_that_level_off_do_not_diverge() -> None:
    """They are steeper at small sizes, too; a straight power law alone would be rejected."""
    rng, sizes = np.random.default_rng(0), np.round(600 * 1.2 ** np.arange(9))
    times = 500 * (1 + (sizes / 1000) ** -4) * np.exp(0.1 * rng.standard_normal((4, 9)))
    found = divergence_of_time(sizes, times, times < 1e5, 1e5)
    assert found.p_value > 0.05
    assert math.isnan(found.value)


@pytest.mark.parametrize("budget", [1e9, 1500.0])
@pytest.mark.parametrize("seed", [2, 6])
def test_a_slow_seed_is_no_divergence(seed: int, budget: float) -> None:
    """A power law whose seeds differ at all sizes alike, with all runs finished or some cut off."""
    rng = np.random.default_rng(seed)
    sizes = np.round(600 * 1.2 ** np.arange(9))
    noise = 0.3 * rng.standard_normal((5, 1)) + 0.2 * rng.standard_normal((5, 9))
    times = 1000 * (sizes / 1000) ** -1.0 * np.exp(noise)
    found = divergence_of_time(sizes, times, times < budget, budget)
    assert math.isnan(found.value)
    assert found.p_value > 0.05


def test_runs_that_do_not_exist_change_nothing(found: CriticalSize) -> None:
    times, finished, budget = times_of(280.0)
    more = np.vstack([finished, np.zeros((1, len(SIZES)), bool)])
    budgets = np.vstack([np.full_like(times, budget), np.full((1, len(SIZES)), np.nan)])
    again = divergence_of_time(SIZES, np.vstack([times, times[:1]]), more, budgets)
    assert again == found
    one_less = np.full_like(times, budget)
    one_less[0, 2] = np.nan
    again = divergence_of_time(SIZES, times, finished, one_less)
    assert again.value == pytest.approx(found.value, rel=0.02)
    assert again != found


def test_few_finished_runs_are_not_fitted() -> None:
    times, finished, budget = times_of(700.0)
    found = divergence_of_time(SIZES, times, finished, budget)
    assert found.reason.startswith("not detected: 8 runs of 4 seeds grokked, at 2 sizes; it takes")


CURVES = np.ones((2, len(SIZES)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: efficiency_crossing(SIZES, CURVES, CURVES[:1]), "same seeds and sizes"),
        (lambda: efficiency_crossing(SIZES[::-1], CURVES, CURVES), "must be positive and increase"),
        (lambda: ungrokking_midpoint(SIZES, CURVES[0]), r"\[seed, size\]"),
        (lambda: ungrokking_midpoint(SIZES, CURVES, low=0.9, high=0.1), "low < high"),
        (lambda: efficiency_crossing(SIZES, CURVES, CURVES, n_boot=0), "n_boot must be at least"),
        (lambda: divergence_of_time(SIZES, CURVES, CURVES > 0, 0.5), "within the budget"),
        (lambda: divergence_of_time(SIZES, CURVES, CURVES[:1] > 0, 2.0), "must be equal"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_bad_input_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_known_is_not_detected() -> None:
    nothing = np.full((2, len(SIZES)), np.nan)
    for found in (efficiency_crossing(SIZES, nothing, CURVES), ungrokking_midpoint(SIZES, nothing)):
        assert math.isnan(found.value)
        assert "fewer than two sizes" in found.reason
