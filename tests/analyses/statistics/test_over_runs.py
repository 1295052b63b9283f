"""Many runs at once: by hand for made-up curves, and SciPy's own numbers for means and medians."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from analyses.statistics.curves import late_level
from analyses.statistics.over_runs import (
    budgets,
    crossings,
    median_times,
    read_each,
    t_interval,
    values_at,
)

STEPS = np.arange(0, 200, 10)


def runs(*jumps: float, every: int = 1) -> xr.DataArray:
    """Accuracies that jump from 0 to 1 at a step, read at every step or at some of them."""
    curves = np.where(np.array(jumps)[:, None] <= STEPS, 1.0, 0.0)
    curves[:, np.arange(len(STEPS)) % every != 0] = np.nan
    return xr.DataArray(curves, dims=("seed", "step"), coords={"step": STEPS})


def test_crossings_are_read_in_each_runs_own_rows() -> None:
    """The second run was evaluated at every other step; its five rows take 100 steps."""
    both = xr.concat([runs(50, 999), runs(50, 90, every=2)], dim="network")
    both[0, 0, 0] = np.nan  # nor does a missing row at the start matter
    np.testing.assert_array_equal(crossings(both, 0.5), [[50, np.nan], [60, 100]])
    assert np.isnan(crossings(runs(110, every=2), 0.5))  # four rows at the end


def test_levels_are_an_axis() -> None:
    ramp = xr.DataArray(STEPS / 100, dims="step", coords={"step": STEPS})
    level = xr.DataArray([0.5, 0.8], {"level": [0.5, 0.8]})
    assert crossings(ramp, level).to_series().to_dict() == {0.5: 50, 0.8: 80}


def test_one_row_is_no_curve() -> None:
    curves = runs(50, 50)
    curves[0, 1:] = np.nan
    curves[1, 2:] = np.nan
    np.testing.assert_array_equal(read_each(late_level, curves), [np.nan, 0.0])


def test_values_at_a_step_of_each_run() -> None:
    ramp = runs(0, 0) * xr.DataArray(STEPS, dims="step")
    at = xr.DataArray([70.0, np.nan], dims="seed")
    np.testing.assert_array_equal(values_at(ramp, at), [70, np.nan])


def test_a_run_that_diverged_at_once_was_not_watched() -> None:
    last = xr.DataArray([100.0, 0.0, np.nan], dims="seed")
    np.testing.assert_array_equal(budgets(last), [100, np.nan, np.nan])


def test_medians_know_of_censored_runs_and_leave_out_what_is_not_known() -> None:
    times = xr.DataArray(
        [[4.0, 8, np.nan], [4, np.nan, np.nan], [np.nan] * 3, [np.nan] * 3], dims=("cell", "seed")
    )
    bounds = xr.DataArray(
        [[9.0, 9, 20], [9, 0, np.nan], [9, 9, 9], [0, np.nan, np.nan]], dims=("cell", "seed")
    )
    found = median_times(times, bounds)
    np.testing.assert_array_equal(found["median"], [8, 4, np.inf, np.nan])
    assert (found.low <= found["median"])[:3].all()
    assert found.low.dims == ("cell",)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_medians_are_read_off_scipys_curve(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    times, bounds = rng.uniform(1, 9, (20, seeds)), rng.uniform(1, 9, (20, seeds))
    censored = times > bounds
    found = median_times(
        xr.DataArray(np.where(censored, np.nan, times), dims=("cell", "seed")),
        xr.DataArray(bounds, dims=("cell", "seed")),
    )
    for i in range(20):
        observed = stats.CensoredData.right_censored(np.minimum(times, bounds)[i], censored[i])
        curve = stats.ecdf(observed).sf
        below = curve.quantiles[curve.probabilities <= 0.5]
        assert found["median"][i] == (below[0] if len(below) else np.inf)


def test_t_intervals_are_scipys_and_leave_out_nan() -> None:
    values = np.random.default_rng(0).standard_normal((3, 5))
    values[1, :2] = np.nan
    found = t_interval(xr.DataArray(values, dims=("cell", "seed")))
    for i, row in enumerate(values):
        own = row[~np.isnan(row)]
        low, high = stats.ttest_1samp(own, 0.0).confidence_interval(0.95)
        assert found["mean"][i].item() == pytest.approx(own.mean(), rel=1e-12)
        assert found.low[i].item() == pytest.approx(low, rel=1e-12)
        assert found.high[i].item() == pytest.approx(high, rel=1e-12)


def test_fewer_than_two_values_have_no_interval() -> None:
    values = xr.DataArray([[3.0, np.nan], [np.nan, np.nan], [2.0, 2.0]], dims=("cell", "seed"))
    for found in (t_interval(values), t_interval(values.isel(seed=[0]))):
        np.testing.assert_array_equal(found["mean"], [3, np.nan, 2])
        assert found.low[:2].isnull().all()
    found = t_interval(values)
    assert found.low[2] == found.high[2] == 2  # seeds that agree


def test_what_happens_at_once_counts() -> None:
    times = xr.DataArray([0.0, 0.0, 100.0], dims="seed")
    found = median_times(times, xr.full_like(times, 300.0))
    assert float(found["median"]) == 0
    late = xr.DataArray([0.0, 70.0, 100.0], dims="seed")
    assert float(median_times(late, xr.full_like(late, 300.0))["median"]) == 70
