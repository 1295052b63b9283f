"""Student's intervals against SciPy's own t tests, and roots that are known."""

import math

import numpy as np
import pytest
from scipy import stats

from analyses.statistics.intervals import half_width, interval_end, student_drop, student_p


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_half_width_is_that_of_scipys_t_test(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert half_width(stats.sem(values), n) == pytest.approx((high - low) / 2, rel=1e-12)


def test_units_that_agree_have_an_interval_of_no_width_and_one_has_none() -> None:
    np.testing.assert_array_equal(
        half_width(np.array([0.0, 0.5, np.nan]), np.array([3, 1, 2])), [0.0, np.nan, np.nan]
    )


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_p_value_of_a_drop_is_that_of_scipys_t_test(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n) + 0.5
    drop = n * np.log((values**2).mean() / values.var())  # of a mean of zero, in normal values
    assert student_p(drop, n) == pytest.approx(stats.ttest_1samp(values, 0)[1])
    assert student_p(student_drop(n), n) == pytest.approx(0.05)
    assert student_p(1e6, n) == 0


def test_drop_tends_to_chi_squared() -> None:
    assert student_drop(10**6) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-4)
    assert student_drop(3) > student_drop(5) > student_drop(20)


def test_the_end_is_where_it_has_fallen() -> None:
    """Of a parabola, on either side; and infinite where nothing falls."""
    ends = [interval_end(lambda x: (x - 3) ** 2 - 4, 3.0, step) for step in (-0.1, 0.1)]
    assert ends == pytest.approx([1.0, 5.0], abs=2e-6)
    assert interval_end(lambda _: -1.0, 0.0, -1.0) == -math.inf
