"""Holm's correction and paired tests, against values known otherwise."""

import numpy as np
import pytest
from scipy import stats

from analyses.statistics.many_comparisons import holm, paired_p


def test_holm_by_hand() -> None:
    """Four p values: .01 * 4, then .02 * 3, .025 * 2 raised to what came before, .4 * 1."""
    found = holm([[0.025, 0.01], [np.nan, 0.4], [0.02, np.nan]])
    np.testing.assert_allclose(found, [[0.06, 0.04], [np.nan, 0.4], [0.06, np.nan]])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    assert np.isnan(holm([np.nan])).all()


def test_holm_errs_in_at_most_5_percent_of_the_families() -> None:
    """Five comparisons without a difference: Holm's smallest is below .05 in 1 - .99^5 of them."""
    p = np.random.default_rng(0).uniform(size=(4000, 5))
    wrong = np.mean([holm(family).min() <= 0.05 for family in p])
    assert wrong == pytest.approx(1 - 0.99**5, abs=4 * (0.049 * 0.951 / 4000) ** 0.5)


def test_paired_p_is_scipys() -> None:
    one, other = np.random.default_rng(1).normal(size=(2, 5))
    assert paired_p(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert paired_p([*(one - other), np.nan]) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert np.isnan(paired_p([0.3, np.nan]))
    assert (paired_p([0.0, 0.0]), paired_p([0.1, 0.1])) == (1, 0)
