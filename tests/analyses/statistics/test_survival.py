"""Censored times: a textbook's trial, and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.statistics.survival import log_survival, median_time

# Weeks of remission in leukaemia, Freireich et al. 1963, the standard example of survival analysis.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [bool(int(flag)) for flag in "111010100110001100000"]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_medians_of_the_leukaemia_trial() -> None:
    # Textbooks tabulate the treated arm's log-log band: .432 at 13 weeks, .680 from 23 weeks on.
    assert median_time(TREATED, RELAPSED) == (23.0, 13.0, math.inf)
    assert median_time(PLACEBO, [True] * 21) == (8.0, 4.0, 11.0)


@pytest.mark.parametrize("n", [1, 5, 7, 11])
def test_without_censoring_it_is_the_median(n: int) -> None:
    times = np.random.default_rng(n).uniform(1, 9, n)
    median, low, high = median_time(times, [True] * n)
    assert median == np.median(times)
    assert low <= median <= high
    assert math.isinf(high) == (n < 7)


def test_the_band_is_the_log_log_one() -> None:
    """By hand, for 7 runs without censoring: Greenwood's variance is S (1 - S) / n."""
    left = np.arange(6, 0, -1) / 7
    log = np.log(left)
    half = stats.norm.ppf(0.975) * np.sqrt((1 - left) / left / 7) / log
    low, high = (np.exp(log * np.exp(side * half)) for side in (-1, 1))
    times = np.arange(1.0, 8)
    want = (4.0, times[np.argmax(low <= 0.5)], times[np.argmax(high <= 0.5)])
    assert median_time(times, [True] * 7) == want == (4.0, 1.0, 6.0)


def test_half_is_reached_despite_rounding() -> None:
    """Of 24 runs, the product of the shares left after the 12th is 1/2 and one bit more."""
    finished = [True] * 17 + [False] + [True] * 6
    assert median_time(np.arange(1.0, 25), finished)[0] == 12


def test_a_median_beyond_the_budget_is_not_reached() -> None:
    assert median_time([3, 9, 9, 9], [True, False, False, False])[0] == math.inf
    assert median_time([9, 9], [False, False]) == (math.inf, math.inf, math.inf)


def test_the_mean_of_finished_runs_would_be_too_small() -> None:
    rng = np.random.default_rng(0)
    times, budget = rng.lognormal(math.log(100), 1.0, 4000), 150.0
    finished = times < budget
    seen = np.minimum(times, budget)
    assert median_time(seen, finished)[0] == pytest.approx(100, rel=0.05)
    assert seen[finished].mean() < 70


def test_censored_runs_far_from_the_mean() -> None:
    """Of z = 1e9 sigma, where densities underflow: Mills' ratio is z (1 + 1 / z^2)."""
    z = np.array([1e9, 1e5, 0.0, -1e9])
    log_larger, slope = log_survival(z)
    assert slope == pytest.approx([1e9, 1e5 + 1e-5, np.sqrt(2 / np.pi), 0.0], rel=1e-14)
    assert log_larger[[0, 2, 3]] == pytest.approx([-5e17, np.log(0.5), 0.0], rel=1e-14)


def test_survival_is_scipys() -> None:
    z = np.linspace(-40, 40, 4001)
    log_larger, slope = log_survival(z)
    np.testing.assert_allclose(log_larger, stats.norm.logsf(z), rtol=1e-13, atol=2e-14)
    np.testing.assert_allclose(
        slope, np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z)), rtol=1e-12, atol=1e-17
    )


@pytest.mark.parametrize(
    ("times", "finished", "message"),
    [
        ([1.0, math.nan], [True, False], "its last step"),
        ([0.0], [True], "positive"),
        ([], [], "one or more runs"),
        ([1.0], [1], "truth value"),
        ([1.0, 2.0], [True], "shapes"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_bad_times_are_refused(times: list[float], finished: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        median_time(times, finished)
