"""Simulated curves depart from what the estimators assume as they say they do."""

import numpy as np
import pytest

from analyses.statistics import simulated_curves as curves
from analyses.statistics.simulated_curves import TRUTH, Departure

SEEDS, SIZES = 4000, 1000 * 1.2 ** np.arange(-4, 5)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_uneven_noise_differs_between_sizes_and_seeds(rng: np.random.Generator) -> None:
    even, uneven = (Departure(uneven=factor).noise(rng, SEEDS, 0.1) for factor in (1.0, 4.0))
    np.testing.assert_allclose(even.std(axis=0), 0.1, rtol=0.05)
    typical = np.median(np.abs(uneven), axis=0)
    assert typical[0] / typical[-1] == pytest.approx(4, rel=0.1)
    assert np.log(even.std(axis=1)).std() == pytest.approx(0.25, abs=0.03)  # 1 / sqrt(2 * 9)
    assert np.log(uneven.std(axis=1)).std() == pytest.approx(
        np.hypot(0.5 * np.log(4), 0.27), rel=0.1
    )


def test_offsets_are_in_units_of_the_noise_of_a_run(rng: np.random.Generator) -> None:
    flat = np.ones((SEEDS, curves.N_SIZES))
    for how, spread in ((Departure(), 0.03), (Departure(offset=3.0), 0.15)):
        logs = np.log(curves.norms(rng, flat, SEEDS, how)[0] / 30)
        shared = logs.mean(axis=1).std()
        assert shared == pytest.approx(np.hypot(spread, 0.05 / 3), rel=0.05)


def test_a_fifth_of_the_runs_has_no_end(rng: np.random.Generator) -> None:
    how, level = Departure(censored=0.2), np.ones((SEEDS, 1))
    critical = curves.critical_sizes(rng, SEEDS)
    memorising, generalising = curves.norms(rng, curves.growing(SIZES, critical, level), SEEDS, how)
    assert np.isnan(memorising).mean() == pytest.approx(0.2, abs=0.001)
    assert np.isnan(memorising).mean(axis=0).argmax() == curves.N_SIZES - 1
    assert not np.isnan(generalising).any()
    steps, finished, budget = curves.times(rng, SIZES - critical, SEEDS, how, budget=1.0)
    above = np.broadcast_to(critical < SIZES, steps.shape)
    assert finished[above].mean() == pytest.approx(0.8, abs=0.001)
    assert not finished[~above].any()
    assert (steps[finished] < budget[finished]).all()
    stuck = curves.accuracies(rng, np.full((SEEDS, 9), -50.0), SEEDS, how)
    assert (stuck > 0.4).mean() == pytest.approx(0.2, abs=0.02)


def test_slopes_differ_between_seeds_but_not_where_curves_cross(rng: np.random.Generator) -> None:
    slope = Departure(slopes=0.3).slope(rng, SEEDS)
    assert np.log(slope).std() == pytest.approx(0.3, rel=0.05)
    critical = np.full((SEEDS, 1), TRUTH)
    norm, logit = (
        curve(SIZES, critical, slope)
        for curve in (curves.growing, lambda *at: curves.transition(rng, *at))
    )
    np.testing.assert_allclose(norm[:, 4], 1)
    np.testing.assert_allclose(logit[:, 4], 0)
    assert norm[:, 8].std() > 0.02
