"""The likelihood of diverging times: integrals over seeds' offsets and D_crit, the gradient."""

import numpy as np
import pytest
from scipy import integrate, stats

from analyses.statistics.time_divergence import TimeLaw

SIZES = np.array([80.0, 100.0, 140.0, 200.0, 300.0])
TIMES = np.array([[90.0, 90.0, 60.0, 25.0, 14.0], [90.0, 80.0, 40.0, 22.0, 11.0]])
FINISHED = np.array([[False, False, True, True, True], [False, True, True, True, True]])
EXISTS = np.ones_like(FINISHED)
AT = np.array([0.1, -0.7, -2.0, -0.2])  # log b, log sigma, log tau, log D_crit


def likelihood(row: int, critical: np.ndarray, a: np.ndarray, b: float, sigma: float) -> np.ndarray:
    """Of one seed's D_crit and offset; sizes by 120, the median smallest one that grokked."""
    total = np.ones(np.broadcast_shapes(critical.shape, a.shape))
    for size, time, finished in zip(SIZES / 120, TIMES[row], FINISHED[row], strict=True):
        mean = a - b * np.log(np.where(size > critical, size - critical, 1.0))
        density = stats.norm.pdf if finished else stats.norm.sf
        p = density(np.log(time), mean, sigma)
        total = total * np.where(size > critical, p, 0.0 if finished else 1.0)
    return total


def test_the_loss_is_an_integral_over_the_seeds_offsets_and_critical_sizes() -> None:
    b, sigma, tau, critical = np.exp(AT)
    deviations, offsets, want = np.linspace(-6, 6, 401), np.linspace(-3, 12, 151), 0.0
    for row in range(2):
        own = critical * np.exp(tau * deviations)[:, None]
        over_offsets = integrate.simpson(likelihood(row, own, offsets, b, sigma), x=offsets)
        want -= np.log(integrate.simpson(stats.norm.pdf(deviations) * over_offsets, x=deviations))
    found = TimeLaw(SIZES, TIMES, FINISHED, EXISTS).loss(AT)[0]
    assert found == pytest.approx(want, abs=1e-4)


def test_an_offset_of_a_seed_changes_nothing() -> None:
    """A seed whose runs all take twice as long, budgets included."""
    slow = TIMES * [[2.0], [0.3]]
    law, other = (TimeLaw(SIZES, times, FINISHED, EXISTS) for times in (TIMES, slow))
    assert other.loss(AT)[0] == pytest.approx(law.loss(AT)[0], abs=1e-12)


def test_the_gradient_is_that_of_differences() -> None:
    law = TimeLaw(SIZES, TIMES, FINISHED, EXISTS)
    for shift in (0.0, 0.1, -0.3):
        at = AT + shift
        up, down = (
            np.array([law.loss(at + step * axis)[0] for axis in np.eye(4)])
            for step in (1e-6, -1e-6)
        )
        slope = (up - down) / 2e-6
        np.testing.assert_allclose(law.loss(at)[1], slope, rtol=1e-4, atol=1e-4)
    bent, step = np.append(AT, 0.4), 1e-6 * np.eye(5)
    slope = [(law.loss(bent + h)[0] - law.loss(bent - h)[0]) / 2e-6 for h in step]
    np.testing.assert_allclose(law.loss(bent)[1], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_early_success_of_one_seed_is_no_bound_for_all() -> None:
    """Without a D_crit of its own, the last seed would rule out anything above 120.

    Every seed's D_crit is all but known, so the interval is Student's of their logarithms. It takes
    a dense integral over them.
    """
    sizes, critical = np.array([100.0, 120, 140, 170, 210, 270]), np.array([133.0, 131, 134, 110])
    noise = np.exp(0.05 * np.random.default_rng(0).standard_normal((4, 6)))
    times = 1000 / np.maximum(sizes - critical[:, None], 1e-9) * noise
    finished = times < 400
    assert finished[:, 1].tolist() == [False, False, False, True]
    law = TimeLaw(sizes, np.minimum(times, 400), finished, np.ones_like(finished))
    found, logs = law.critical_size(), np.log(critical)
    low, high = np.exp(stats.t.interval(0.95, 3, loc=logs.mean(), scale=stats.sem(logs)))
    assert found.value == pytest.approx(np.exp(logs.mean()), rel=0.01)
    assert [found.low, found.high] == pytest.approx([low, high], rel=0.01)


def test_the_p_value_is_the_largest_of_students_and_chi_squareds() -> None:
    """Against a power law, with two parameters less, and one that bends, with one less."""
    sizes = np.round(100 * 1.3 ** np.arange(6))
    noise = np.exp(0.1 * np.random.default_rng(0).standard_normal((3, 6)))
    times, all_of_them = 1e5 / (sizes - 60) * noise, np.ones((3, 6), bool)
    law = TimeLaw(sizes, times, all_of_them, all_of_them)
    least = law.fit(np.array([0.0, -2.0, -6.0, -0.6]))[1]
    # No run is censored: all likelihoods are those of least squares within seeds.
    assert law.bent() == pytest.approx(within_seeds(times, sizes, degree=2), abs=1e-3)
    want = []
    for degree in (1, 2):
        ratio = 2 * (within_seeds(times, sizes, degree) - least)
        t = np.sqrt(2 * np.expm1(ratio / 3))
        want += [2 * stats.t.sf(t, 2), stats.chi2.sf(ratio, 3 - degree)]
    assert max(want[2:]) > max(want[:2])
    assert law.critical_size().p_value == pytest.approx(max(want), rel=0.02)


def within_seeds(times: np.ndarray, sizes: np.ndarray, degree: int) -> float:
    """Minus the restricted log likelihood of a power law of the size (1) or one that bends (2)."""
    y, x = np.log(times), np.log(sizes)
    y = y - y.mean(axis=1, keepdims=True)
    powers = np.stack([x**k - (x**k).mean() for k in range(1, degree + 1)], axis=1)
    residual = y.T - powers @ np.linalg.lstsq(powers, y.mean(axis=0))[0][:, None]
    free, seeds = y.size - len(y), len(y)
    variance = (residual**2).sum() / free
    return free / 2 * (np.log(2 * np.pi * variance) + 1) + seeds / 2 * np.log(y.shape[1])


def test_runs_that_do_not_exist_do_not_count() -> None:
    exists = EXISTS.copy()
    exists[0, 1] = False
    times = np.where(exists, TIMES, np.nan)
    without = TimeLaw(SIZES, times, FINISHED, exists).loss(AT)
    assert without[0] < TimeLaw(SIZES, TIMES, FINISHED, EXISTS).loss(AT)[0]
    assert np.isfinite(without[1]).all()


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.01])
def test_times_with_little_noise_are_followed_to_their_critical_size(noise: float) -> None:
    """A steep likelihood has places, far from the best one, where a search stops."""
    sizes = np.round(100 * 1.3 ** np.arange(8))
    shaken = np.exp(noise * np.random.default_rng(5).standard_normal((3, 8)))
    times = 1e5 / (sizes - 90) * shaken
    finished = times < 2000
    law = TimeLaw(sizes, np.minimum(times, 2000), finished, np.ones_like(finished))
    found = law.critical_size()
    assert found.value == pytest.approx(90, rel=0.05)
    assert found.low < 90 < found.high < sizes[1]


def test_weights_are_repeated_seeds() -> None:
    """Loss and gradient of one seed taken twice and another three times."""
    law, counts = TimeLaw(SIZES, TIMES, FINISHED, EXISTS), [3, 2]
    rows = np.repeat([0, 1], counts)
    many = TimeLaw(SIZES, TIMES[rows], FINISHED[rows], EXISTS[rows])
    law.weights = np.array(counts, float)
    at = AT.copy()
    at[3] += np.log(many.scale / law.scale)  # D_crit is in units of the scale
    # A seed's times are in units of the scale too, which adds to its offset only.
    assert many.loss(AT)[0] == pytest.approx(law.loss(at)[0])
    np.testing.assert_allclose(many.loss(AT)[1], law.loss(at)[1], rtol=1e-6)


def test_resamples_give_the_sizes_that_their_own_data_would() -> None:
    rng, sizes = np.random.default_rng(1), np.array([100.0, 150, 220, 330, 500, 750, 1100])
    beyond = np.maximum(sizes - 280 * np.exp(0.05 * rng.standard_normal((4, 1))), 1e-9)
    times = 1e5 / beyond * np.exp(0.1 * rng.standard_normal((4, 7)))
    times, finished = (
        np.vstack([times, times[:1]]),
        np.vstack([times < 1e4, np.zeros((1, 7), bool)]),
    )
    law = TimeLaw(sizes, np.minimum(times, 1e4), finished, np.ones_like(finished))
    counts = np.array([[2, 0, 1, 1, 1], [0, 0, 0, 0, 5]])
    found, rows = law.resampled_places(counts), np.repeat(np.arange(5), counts[0])
    own = TimeLaw(sizes, np.minimum(times, 1e4)[rows], finished[rows], finished[rows] >= 0)
    assert np.exp(found[0]) == pytest.approx(own.critical_size().value, rel=1e-3)
    assert np.isnan(found[1])  # only the seed that never groks
