"""Nominal 95 % intervals hold a known D_crit; few replicates, so that it is quick."""

import pytest

from analyses.efficiency.statistics import coverage


@pytest.mark.parametrize(
    ("estimator", "seeds", "replicates"),
    [
        ("efficiency crossing", 3, 60),
        ("efficiency crossing", 5, 60),
        ("ungrokking midpoint", 3, 60),
        ("divergence of time", 5, 3),
    ],
)
def test_intervals_cover(estimator: str, seeds: int, replicates: int) -> None:
    data = coverage.compute((seeds,), replicates=replicates, estimators=(estimator,)).squeeze()
    assert data.detected >= 0.8
    assert data.coverage >= 0.9 - 1 / replicates
    assert replicates < 30 or abs(data.bias) < 0.05
    assert float(data.coverage + data.above + data.below) == pytest.approx(1)


def test_replicates_are_drawn_by_the_seed() -> None:
    first, again, other = (
        coverage.compute((3,), replicates=2, estimators=("ungrokking midpoint",), seed=s)
        for s in (0, 0, 1)
    )
    assert first.identical(again)
    assert not first.equals(other)


def test_a_value_without_an_interval_covers_nothing() -> None:
    data = coverage.compute((1,), replicates=2, estimators=("ungrokking midpoint",)).squeeze()
    assert data.detected == 0
    assert data.coverage.isnull()
