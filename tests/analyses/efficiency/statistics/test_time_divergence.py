"""The likelihood of diverging times: SciPy's densities, its integral over seeds, its gradient."""

from math import erfc

import numpy as np
import pytest
from scipy import integrate, stats

from analyses.efficiency.statistics.time_divergence import TimeLaw

SIZES = np.array([80.0, 100.0, 140.0, 200.0, 300.0])
TIMES = np.array([[90.0, 90.0, 60.0, 25.0, 14.0], [90.0, 80.0, 40.0, 22.0, 11.0]])
FINISHED = np.array([[False, False, True, True, True], [False, True, True, True, True]])
EXISTS = np.ones_like(FINISHED)
AT = np.array([0.3, 0.1, -0.7, -2.0, -0.2])  # a, log b, log sigma, log tau, log D_crit


def log_likelihood(row: int, critical: float, a: float, b: float, sigma: float) -> float:
    """Of one seed, in the law's units: sizes by 120, the median smallest one that grokked."""
    logs = np.log(TIMES) - np.median(np.log(TIMES)[FINISHED])
    z_all, total = (logs[row] - a) / sigma, 0.0
    for size, z, finished in zip(SIZES / 120, z_all, FINISHED[row], strict=True):
        if size <= critical:
            if finished:
                return -np.inf
            continue
        z = z + b * np.log(size - critical) / sigma
        total += norm_logpdf(z) - np.log(sigma) if finished else np.log(erfc(z / 2**0.5) / 2)
    return total


def norm_logpdf(z: float) -> float:
    return -(z**2) / 2 - np.log(2 * np.pi) / 2


def test_the_loss_is_an_integral_over_the_seeds_own_critical_size() -> None:
    a, (b, sigma, tau, critical) = AT[0], np.exp(AT[1:])
    deviations, want = np.linspace(-6, 6, 1201), 0.0
    for row in range(2):
        likelihood = [
            np.exp(log_likelihood(row, critical * np.exp(tau * u), a, b, sigma)) for u in deviations
        ]
        total = integrate.simpson(stats.norm.pdf(deviations) * likelihood, x=deviations)
        want -= np.log(total)
    found = TimeLaw(SIZES, TIMES, FINISHED, EXISTS).loss(AT)[0]
    assert found == pytest.approx(want, abs=1e-4)


def test_the_gradient_is_that_of_differences() -> None:
    law = TimeLaw(SIZES, TIMES, FINISHED, EXISTS)
    for shift in (0.0, 0.1, -0.3):
        at = AT + shift
        up, down = (
            np.array([law.loss(at + step * axis)[0] for axis in np.eye(5)])
            for step in (1e-6, -1e-6)
        )
        slope = (up - down) / 2e-6
        np.testing.assert_allclose(law.loss(at)[1], slope, rtol=1e-4, atol=1e-4)


def test_an_early_success_of_one_seed_is_no_bound_for_all() -> None:
    """Without a D_crit of its own, the second seed would rule out anything above 100."""
    found = TimeLaw(SIZES, TIMES, FINISHED, EXISTS).critical_size()
    assert found.high > 100
    assert found.low < found.value < found.high


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
