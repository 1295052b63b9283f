"""What the account of D_crit assumes, on curves that are powers of the size."""

import numpy as np
import pytest
import xarray as xr

from analyses.efficiency.d_crit import assumptions
from analyses.efficiency.model_efficiency.trend import cost_curves
from analyses.statistics.critical_size import efficiency_crossing

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
    extended = xr.zeros_like(curves.memorising, dtype=bool)
    return data.assign(extended=extended).assign_coords(time_size=[700, 900])


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


def test_where_costs_cross_if_that_of_generalising_goes_on() -> None:
    """Memorising costs D^.3, generalising 5 (D / 800)^.1, which is known from 800 on."""
    sizes = np.array([50.0, 100, 200, 400, 800, 1600, 3200])
    n_train = xr.DataArray(sizes, dims="fraction")
    own = n_train**0.3, 5 * (n_train / 800) ** 0.1
    data = circuits().drop_dims("fraction")
    cost = xr.concat(own, xr.DataArray(data.circuit.values, dims="circuit", name="circuit"))
    cost = cost.expand_dims(measure=["used parameters", "least"], seed=[0, 1])
    known = (n_train >= 800) | (cost.circuit == cost.circuit[0])
    data = data.assign(
        cost=cost.where(known),
        median_logit=cost.isel(measure=0, drop=True),
        missing=("fraction", [""] * len(sizes)),
    )
    data = data.assign(missing=xr.where(known, "", "none")).assign_coords(n_train=n_train)
    curves = cost_curves(data)
    times = xr.DataArray([[50.0], [50.0]], dims=("seed", "time_size"), coords={"time_size": [700]})
    found = assumptions.compute(data, curves, [np.nan, np.nan], times)
    crossing = (5 / 800**0.1) ** (1 / 0.2)  # D^.3 = 5 (D / 800)^.1
    assert found.crossing_if.values == pytest.approx([crossing] * 3, rel=0.02)
    flat = efficiency_crossing(sizes, curves.memorising.values, curves.generalising.values)
    assert flat.value > 1.5 * crossing
    found = found.assign(
        extended=curves.extended, value=("estimator", [np.nan]), reason=("estimator", ["few"])
    ).assign_coords(estimator=["divergence of time"])
    said = next(line for line in assumptions.sentences(found) if line.startswith("Below"))
    assert said.startswith("Below 800 pairs the cost of generalising is not measured")
    assert f"as D^(0.10 [0.10, 0.10]), the costs cross at {float(found.crossing_if[0]):.0f}" in said
