"""Comparisons against cases whose answer is known."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from analyses.ledger.comparisons import (
    Bound,
    Comparison,
    Crossing,
    Curve,
    Distribution,
    Holds,
    Order,
    Region,
    Value,
    undecided,
)


def seeds(*values: float) -> xr.DataArray:
    return xr.DataArray(list(values), dims="seed")


@pytest.mark.parametrize(
    ("comparison", "ours", "theirs", "agrees"),
    [
        (Value(), seeds(3.0), 3, True),
        (Value(), seeds(3.0), 3.001, False),
        (Value(absolute=0.01), seeds(0.97, 0.99), 0.99, True),
        (Value(absolute=0.01), seeds(0.96, 0.98), 0.99, False),
        (Value(relative=0.05), seeds(105.0), 100, True),
        (Value(relative=0.05), seeds(106.0), 100, False),
        (Value(factor=2), seeds(50.0), 100, True),
        (Value(factor=2), seeds(49.0), 100, False),
        (Value(factor=2, median=True), seeds(60.0, 100.0, np.nan), 100, True),
        (Value(factor=2, median=True), seeds(60.0, np.nan, np.nan), 100, False),  # censored
        (Value(equals=1.0), seeds(1.0), 5, True),
        (Crossing(grid=20), seeds(240.0), 240, True),
        (Crossing(grid=20), seeds(164.0), 240, False),  # (220, 240] and 25 % beyond: 165 to 300
        (Crossing(grid=20), seeds(301.0), 240, False),
        (Crossing(grid=20), seeds(np.nan, np.nan, 240.0), 240, False),
        (Bound(low=0.1), seeds(0.0, 0.3), None, True),
        (Bound(low=0.1, every=True), seeds(0.0, 0.3), None, False),
        (Value(absolute=0.1), seeds(1.0, np.nan), 1, None),
        (Bound(high=0.1), seeds(np.nan), None, None),
        (Bound(high=0.1), seeds(np.nan, 0.0), None, None),
        (Bound(high=0.1, every=True), seeds(np.nan, 0.0), None, None),
        (Bound(high=0.1, every=True), seeds(np.nan, 0.2), None, False),  # whatever the first is
        (
            Bound(low=0.1, every=True),
            xr.DataArray([[0.2], [0.1]], dims=("decay", "seed")),
            None,
            True,
        ),
        (Holds(), seeds(1.0, 1.0), None, True),
        (Holds(), seeds(1.0, 0.0), None, False),
        (Holds(share=0.5), seeds(1.0, 0.0), None, True),
        (Holds(), seeds(1.0, np.nan), None, None),
        (Holds(), seeds(0.0, np.nan), None, False),
        (Holds(share=0.5), seeds(1.0, np.nan), None, True),
        (Region(low=1), xr.DataArray([1.0, np.nan], dims="panel"), None, None),
        (Region(low=1), xr.DataArray([1.0, 0.0], dims="panel"), None, False),
        (Region(high=2), xr.DataArray([1.0, 2.0], dims="panel"), None, True),
    ],
)
def test_numbers(
    comparison: Comparison, ours: xr.DataArray, theirs: float | None, agrees: bool | None
) -> None:
    judged = comparison.judge(ours, theirs)
    assert judged.agrees is agrees
    assert judged.note or agrees is not None


def test_one_published_run_may_lie_within_the_prediction_interval_of_ours() -> None:
    """Between the interval of the mean, which it leaves, and the edge, given by SciPy's t."""
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    reach = stats.t.ppf(0.975, 4) * values.std(ddof=1) * np.sqrt(1 + 1 / 5)
    ours = seeds(*values)
    assert Value(spread=True).judge(ours, 2 + 0.99 * reach).agrees
    assert not Value(spread=True).judge(ours, 2 + 1.01 * reach).agrees
    assert not Value().judge(ours, 2 + 0.99 * reach).agrees


def test_a_curve_may_be_early_but_not_wrong() -> None:
    steps = np.arange(0, 201, 2)
    ours = xr.DataArray((steps >= 100)[None] * 1.0, dims=("seed", "step"), coords={"step": steps})
    later = {"x": steps[1:].tolist(), "y": ((steps >= 115)[1:] * 1.0).tolist()}
    assert Curve(absolute=0.01, stretch=0.2).judge(ours, later).agrees
    assert not Curve(absolute=0.01).judge(ours, later).agrees
    longer = ours.reindex(step=np.arange(0, 401, 2))  # NaN from the 201st on
    assert Curve(absolute=0.01, stretch=0.2).judge(longer, later).agrees
    wrong = {"x": later["x"], "y": [0.5 * y for y in later["y"]]}
    assert not Curve(absolute=0.01, stretch=0.2).judge(ours, wrong).agrees


def test_each_seed_has_a_curve_of_its_own_length() -> None:
    """No value is made up: neither of a seed with a gap, nor beyond the end of every curve."""
    steps = np.arange(0, 101, 10)
    line = xr.DataArray([steps, steps], dims=("seed", "step"), coords={"step": steps}) * 1.0
    published = {"x": steps.tolist(), "y": steps.tolist()}
    gap = line.where((line.seed == 0) | (line.step != 50))
    assert Curve(absolute=0.1).judge(gap, published).ours == "11 of 11 points"
    ends = line.where(line.step <= 60)  # a constant from there on would miss four points
    judged = Curve(absolute=0.1).judge(ends, published)
    assert (judged.agrees, judged.note) == (None, "our curves end before 4 of them")
    assert Curve(absolute=0.1, share=0.6).judge(ends, published).agrees is True
    one = line.where((line.seed == 0) | (line.step <= 60))
    assert Curve(absolute=0.1).judge(one, published).agrees is True
    assert Curve(absolute=0.1).judge(line * np.nan, published).agrees is None
    assert Curve(absolute=0.1).judge(ends + 50, published).agrees is False  # wrong whatever follows


def test_histograms_are_compared_by_their_cumulated_shares() -> None:
    published = {"x": [0.0, 0.5], "y": [30, 70], "range": [0.0, 20.0]}
    ours = xr.DataArray([[0.5] * 3 + [1.2] * 7], dims=("seed", "neuron"))
    half = xr.DataArray([[0.5] * 5 + [1.2] * 5], dims=("seed", "neuron"))
    assert Distribution(distance=0.1).judge(ours, published).agrees
    assert not Distribution(distance=0.1).judge(half, published).agrees
    dead = ours.pad(neuron=(0, 10), constant_values=np.nan)
    assert Distribution(distance=0.001).judge(dead, published).agrees
    assert Distribution(distance=0.1).judge(ours * np.nan, published).agrees is None


@pytest.mark.parametrize(
    ("values", "ascending", "least", "agrees"),
    [
        ([1.0, 2.0, 3.0], True, 0.0, True),
        ([1.0, 3.0, 2.0], True, 0.0, False),
        ([1.0, 3.0, 2.9], True, -0.2, True),
        ([3.0, 2.0, 2.0], False, 0.0, False),
        ([np.inf, 5.0, 2.0], False, 0.0, True),  # not reached within the budget
    ],
)
def test_orders(values: list[float], ascending: bool, least: float, agrees: bool) -> None:
    ours = xr.DataArray(values, dims="item")
    assert Order(ascending=ascending, least=least).judge(ours, None).agrees is agrees
    both = xr.concat([ours - 0.1, ours + 0.1], "seed")
    assert Order(ascending=ascending, least=least).judge(both, None).agrees is agrees


def test_the_order_of_two_times_that_are_not_reached_cannot_be_told() -> None:
    ours = xr.DataArray([[np.inf, np.inf], [np.inf, np.inf], [3.0, 2.0]], dims=("item", "seed"))
    judged = Order(ascending=False).judge(ours, None)
    assert judged.agrees is None
    assert judged.note == "not reached in 2 of 3"


@pytest.mark.parametrize(
    ("gaps", "agrees"),
    [
        ([0.9, 1.0, 1.1], True),  # mean 1, half of its interval .25
        ([-0.9, -1.0, -1.1], False),
        ([-1.0, 1.0, 3.0], None),  # mean 1, half of its interval 5
        ([1.0, -1.0, -3.0], None),
        ([0.0, 0.0, 0.0], False),
        ([np.nan, 1.0, 1.0], None),
        ([np.inf, 1.0, 1.0], True),
    ],
)
def test_the_order_of_two_means_needs_a_difference(gaps: list[float], agrees: bool) -> None:
    """By SciPy's paired t test, which the large and equal steps between seeds do not blur."""
    first = np.array([10.0, 20.0, 30.0])
    ours = xr.DataArray([first, first + gaps], dims=("item", "seed"))
    judged = Order(ascending=True).judge(ours, None)
    assert judged.agrees is agrees
    if agrees is not None and len(set(gaps)) == 3 and np.isfinite(gaps).all():
        assert stats.ttest_rel(first, first + gaps).pvalue < 0.05
    if agrees is None and np.isfinite(gaps).all():
        assert stats.ttest_rel(first, first + gaps).pvalue > 0.05
        assert judged.note.startswith("the difference of the two is")
        assert Order(ascending=gaps[2] > 0, least=-5.0).judge(ours, None).agrees is True


@pytest.mark.parametrize(
    ("comparison", "low", "high", "open_"),
    [
        (Bound(low=1.0), 0.9, 1.2, True),
        (Bound(low=1.0), 1.1, 1.2, False),
        (Bound(low=1.0), 0.1, 0.2, False),
        (Bound(low=1.0), np.nan, np.nan, True),
        (Bound(low=1.0, high=2.0), 0.9, 1.2, False),  # one edge: the value decides
        (Region(low=1.0, high=2.0), 0.9, 2.1, True),
        (Value(equals=1.0, absolute=0.1), 0.0, 9.0, False),  # its tolerance is for the value
    ],
)
def test_an_interval_that_holds_the_bounds_decides_nothing(
    comparison: Comparison, low: float, high: float, open_: bool
) -> None:
    assert undecided(comparison, low, high) is open_


def test_a_value_with_an_axis_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has the axes \['step'\]"):
        Value().judge(xr.DataArray([[1.0, 2.0]], dims=("seed", "step")), 1.0)


def test_an_order_says_which_steps_count() -> None:
    assert str(Order(ascending=True)) == "rising"
    assert str(Order(ascending=False, least=0.02)) == "falling, by more than 0.02"
    assert str(Order(ascending=False, least=-0.1)) == "falling, up to 0.1"
