"""What the account of D_crit assumes, on curves that are powers of the size."""

import numpy as np
import pytest
import xarray as xr

from analyses.efficiency.d_crit import assumptions

SIZES = np.array([100.0, 200, 400, 800])
FACTORS = xr.DataArray([1.0, 1.3], dims="seed", coords={"seed": [0, 1]})


def circuits() -> xr.Dataset:
    """Costs as D^.3 and D^0, norms as D^.5 and D^.1, logits as D^-.2 and D^.4."""
    names, measures = list(assumptions.CIRCUITS.values()), ["used parameters", "least"]
    powers = xr.DataArray([[0.5, 0.3], [0.1, 0.0]], dims=("circuit", "measure"))
    n_train = xr.DataArray(SIZES, dims="fraction")
    logits = n_train ** xr.DataArray([-0.2, 0.4], dims="circuit")
    return xr.Dataset(
        {
            "cost": FACTORS * n_train**powers,
            "median_logit": FACTORS * logits,
            "missing": ("circuit", ["", ""]),
        },
        coords={"circuit": names, "measure": measures, "n_train": n_train},
        attrs={"no_least": ""},
    )


def found(midpoint: float) -> xr.Dataset:
    size = xr.DataArray(SIZES, dims="size", coords={"size": SIZES})
    curves = xr.Dataset({"memorising": FACTORS * size**0.3, "generalising": 300**0.3 + 0 * size})
    times = xr.DataArray([[np.nan, 50.0], [np.nan, np.nan]], dims=("seed", "time_size"))
    data = assumptions.compute(circuits(), curves, [midpoint, midpoint], times)
    return data.assign_coords(time_size=[700, 900])


def test_slopes_and_costs_are_those_of_the_curves() -> None:
    data = found(300.0)
    np.testing.assert_allclose(data.slope, [[0.3, 0.5, -0.2], [0.0, 0.1, 0.4]], atol=1e-12)
    np.testing.assert_allclose(data.slope_high - data.slope_low, 0, atol=1e-9)
    assert float(data.excess) == pytest.approx(1.3**0.5)
    assert float(data.excess_low) < 1 < float(data.excess_high)
    assert float(found(600.0).excess / data.excess) == pytest.approx(2**0.3)
    assert data.censored.values.tolist() == [1.0, 0.5]


def test_each_seed_is_read_at_its_own_midpoint() -> None:
    size = xr.DataArray(SIZES, dims="size", coords={"size": SIZES})
    curves = xr.Dataset(
        {"memorising": size**0.3 / FACTORS**0.3, "generalising": 200**0.3 + 0 * size}
    )
    times = xr.DataArray([[50.0], [50.0]], dims=("seed", "time_size"))
    data = assumptions.compute(circuits(), curves, [200.0, 260.0], times)
    assert [float(data[f"excess{end}"]) for end in ("", "_low", "_high")] == pytest.approx([1] * 3)


@pytest.mark.parametrize("midpoint", [float("nan"), 90.0, 900.0])
def test_costs_beyond_the_sizes_are_unknown(midpoint: float) -> None:
    assert found(midpoint).excess.isnull()


def test_what_is_said() -> None:
    data = found(300.0).assign(
        value=("estimator", [420.0]), p_value=("estimator", [0.002]), reason=("estimator", [""])
    )
    data = data.assign_coords(estimator=["divergence of time"])
    said = list(assumptions.sentences(data))
    assert "at the ungrokking midpoint: 1.14 [0.2" in said[0]
    assert said[0].endswith("]; the account says 1.")
    assert said[1].startswith("memorising: cost as D^(0.30 [0.30, 0.30]), norm as D^(0.50")
    assert said[3] == "Runs that had not grokked by their last step: 100% at 700, 50% at 900 pairs."
    assert said[4] == "The time diverges (p = 0.002) at 420 pairs."
    unknown = data.assign(excess=np.nan)
    assert "midpoint: unknown; the account" in next(assumptions.sentences(unknown))
    never = data.assign(value=("estimator", [np.nan]), reason=("estimator", ["too few"]))
    assert list(assumptions.sentences(never))[4] == "That the time diverges is not shown: too few."
