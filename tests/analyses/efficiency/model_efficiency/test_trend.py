"""Slopes of power laws that are known, and SciPy's regression and intervals."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from analyses.efficiency.model_efficiency import CIRCUITS, NORM_KINDS, figures, trend
from analyses.efficiency.model_efficiency.runs import FRACTIONS, SMALL_FRACTIONS

SLOPES = {"C_mem": 0.8, "random labels, equal step": 0.2, "C_gen": 0.0, "C_gen, validation high": 0}
SEEDS = 3


def make_data(noise: float = 0.0) -> xr.Dataset:
    """Costs c D^a, a growing by 0.1 per measure; no C_mem has low validation accuracy."""
    rng = np.random.default_rng(0)
    fractions = np.array([*SMALL_FRACTIONS, *FRACTIONS])
    pairs = np.round(fractions * 9409)
    shape = (len(CIRCUITS), len(fractions), SEEDS, len(NORM_KINDS))
    axes = ("circuit", "fraction", "seed", "measure")
    values = (list(CIRCUITS), fractions, range(SEEDS), list(NORM_KINDS))
    data = xr.Dataset(
        {
            "cost": (axes, np.full(shape, np.nan)),
            "missing": (axes[:3], np.full(shape[:3], "validation accuracy 0.31")),
        },
        coords=dict(zip(axes, values, strict=True)),
        attrs={"network": "mlp", "equal_step": 100, "no_least": ""},
    ).assign_coords(n_train=("fraction", pairs))
    for circuit, slope in SLOPES.items():
        for j, measure in enumerate(NORM_KINDS):
            for seed in range(SEEDS):
                cost = (1 + seed) * pairs ** (slope + (0.1 * j if slope else 0))
                cost *= np.exp(noise * rng.standard_normal(len(pairs)))
                few = pairs < 0.25 * 9409
                at = {"circuit": circuit, "measure": measure, "seed": seed}
                data.cost.loc[at] = np.where(few & (circuit[:5] == "C_gen"), np.nan, cost)
        data["missing"].loc[{"circuit": circuit}] = ""
    return data


def slope(x: np.ndarray, y: np.ndarray) -> float:
    found: Any = stats.linregress(x, y)
    return found.slope


@pytest.fixture(scope="module")
def noisy() -> Any:
    data = make_data(0.1)
    return data, trend.compute(data)


def test_power_laws_are_found_and_shared_out() -> None:
    slopes = trend.compute(make_data(1e-6))
    for circuit, slope in SLOPES.items():
        expected = [slope + (0.1 * j if slope else 0) for j in range(len(NORM_KINDS))]
        np.testing.assert_allclose(slopes.slope.sel(circuit=circuit), expected, atol=1e-4)
        np.testing.assert_allclose(
            slopes.share.sel(circuit=circuit), np.array(expected) / 0.8, atol=1e-4
        )
    rising = slopes.verdict.sel(circuit=["C_mem", "random labels, equal step"]) == "rises"
    assert rising.all()


def test_slopes_and_intervals_are_those_of_scipy(noisy: Any) -> None:
    data, slopes = noisy
    for circuit in SLOPES:
        for measure in NORM_KINDS:
            cost = data.cost.sel(circuit=circuit, measure=measure, fraction=list(FRACTIONS))
            x = np.log(cost.n_train.values)
            fitted = [slope(x, np.log(cost.sel(seed=s).values)) for s in range(SEEDS)]
            interval = stats.ttest_1samp(fitted, 0.0).confidence_interval(0.95)
            here = slopes.sel(circuit=circuit, measure=measure)
            assert float(here.slope) == pytest.approx(np.mean(fitted))
            assert (float(here.low), float(here.high)) == pytest.approx(tuple(interval))
            signs = [float(here.low) > 0, float(here.high) < 0]
            words = ["rises"] * signs[0] + ["falls"] * signs[1] or ["no trend seen"]
            assert here.verdict == words[0]


def test_what_is_not_there_is_not_detected(noisy: Any) -> None:
    data, slopes = noisy
    low = slopes.sel(circuit="C_mem, validation low")
    assert np.isnan(low.slope).all()
    assert (low.n_seeds == 0).all()
    reason = low.verdict.values[0]
    assert reason.startswith("not detected: at most 0 of 7 fractions")
    assert "validation accuracy 0.31" in reason
    one = trend.compute(data.isel(seed=[0]))
    assert np.isfinite(one.slope.sel(circuit="C_mem")).all()
    assert np.isnan(one.low).all()
    assert "one seed" in one.verdict.sel(circuit="C_mem").values[0]
    assert np.isnan(one.share).all()  # of a slope that may be nothing
    # Two fractions make no slope.
    some = data.copy(deep=True)
    some.cost.loc[{"circuit": "C_mem", "fraction": list(FRACTIONS[2:])}] = np.nan
    assert (trend.compute(some).n_seeds.sel(circuit="C_mem") == 0).all()
    bare = data.assign_attrs(no_least="its layers are of another kind")
    bare.cost.loc[{"measure": "least"}] = np.nan
    least = trend.compute(bare).verdict.sel(measure="least", circuit="C_mem")
    assert least == "not detected: its layers are of another kind"


def test_table_and_sentence_say_the_numbers() -> None:
    slopes = trend.compute(make_data(1e-6))
    rows = trend.table(slopes)
    absent = len(CIRCUITS) - len(SLOPES)
    assert len(rows) == absent + len(SLOPES) * len(NORM_KINDS)
    first = next(
        row for row in rows if (row["circuit"], row["norm"]) == ("C_mem", "all parameters")
    )
    assert first["slope"] == "0.80 [0.80, 0.80]"
    assert (first["share of C_mem's as published"], first["verdict"]) == (1.0, "rises")
    said = trend.sentence(slopes)
    assert "C_mem rises (as D^0.80" in said
    assert "random labels at equal steps rises (as D^0.60" in said
    assert (
        "That of random labels is 75% of C_mem's by the published" in said
    )  # at a common margin; of least norms, (0.2 + 0.5) / (0.8 + 0)
    assert "is 88% of C_mem's" in said


def test_curves_for_the_crossing(noisy: Any) -> None:
    data, _ = noisy
    curves = trend.cost_curves(data, measure="used parameters")
    assert curves.memorising.dims == ("seed", "size")
    np.testing.assert_array_equal(curves["size"], np.round(data.fraction * 9409))
    cost = data.cost.sel(measure="used parameters")
    np.testing.assert_array_equal(
        curves.memorising, cost.sel(circuit="random labels, equal step").T
    )
    own = cost.sel(circuit="C_gen, validation high").T.values
    for seed in range(SEEDS):
        there = ~np.isnan(own[seed])
        mean = stats.gmean(own[seed, there])
        np.testing.assert_allclose(curves.generalising[seed, ~there], mean)
        np.testing.assert_array_equal(curves.generalising[seed, there], own[seed, there])
        np.testing.assert_array_equal(curves.extended[seed], ~there)
    least, margin = (trend.cost_curves(d) for d in (data, data.assign_attrs(no_least="none")))
    own = data.cost.sel(circuit="random labels, equal step")
    np.testing.assert_array_equal(least.memorising, own.sel(measure="least").T)
    np.testing.assert_array_equal(margin.memorising, own.sel(measure="matched margin").T)
    with pytest.raises(ValueError, match="measure"):
        trend.cost_curves(data, measure="used")


def test_a_cost_that_goes_on_follows_its_slope_from_where_it_is_known(noisy: Any) -> None:
    data, _ = noisy
    flat, sloped = (
        trend.cost_curves(data, measure="used parameters", slope=slope) for slope in (0.0, 0.2)
    )
    there = ~flat.extended
    np.testing.assert_array_equal(sloped.generalising.where(there), flat.generalising.where(there))
    log_size = flat["size"].copy(data=np.log(flat["size"].values))
    centre = np.exp(log_size.where(there).mean("size"))
    expected = flat.generalising * (flat["size"] / centre) ** 0.2
    np.testing.assert_allclose(
        sloped.generalising.where(flat.extended), expected.where(flat.extended)
    )
    assert flat.extended.any()


def test_circuits_that_do_not_exist_are_named(noisy: Any) -> None:
    data, _ = noisy
    with pytest.raises(ValueError, match="circuit"):
        trend.cost_curves(data, memorising="C_memo")


def test_the_figure_has_every_slope(noisy: Any) -> None:
    _, slopes = noisy
    figure: Any = figures.plot_trend(slopes)
    by_name: dict[str, Any] = {trace.name: trace for trace in figure.data}
    here = slopes.sel(circuit="C_mem")
    np.testing.assert_array_equal(by_name["C_mem as published"].x, here.slope)
    np.testing.assert_allclose(by_name["C_mem as published"].error_x.array, here.high - here.slope)
