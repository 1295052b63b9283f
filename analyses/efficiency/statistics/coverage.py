"""How often the 95 % intervals of D_crit hold the truth: simulated curves whose D_crit is known.

``python -m analyses.efficiency.statistics.coverage`` prints a table, which
takes some minutes at the default number of replicates.

Every replicate draws sizes anew, a ratio of 1.2 apart with a random phase, and seeds that differ:
each has an offset that its whole curve shares, a D_crit of its own (5 % around the common one), and
noise in every run. The truth is the common D_crit. Curves bend as real ones do: the memorising norm
is a power of the size plus a constant, transitions may be steeper than the sizes resolve, and
budgets end before the slowest runs grok.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from analyses.efficiency.statistics.critical_size import (
    Estimate,
    divergence_of_time,
    efficiency_crossing,
    ungrokking_midpoint,
)
from grokinterp._checks import check_int

if TYPE_CHECKING:
    import xarray as xr

TRUTH = 1000.0
_JITTER = 0.05  # of a seed's log D_crit
_N_SIZES, _RATIO = 9, 1.2


def sizes_around(rng: np.random.Generator, first: float) -> np.ndarray:
    """Nine sizes from about ``first`` times the truth on."""
    return np.round(TRUTH * first * _RATIO ** (np.arange(_N_SIZES) + rng.uniform()))


def simulated_crossing(rng: np.random.Generator, seeds: int) -> Estimate:
    """Norms that two circuits need: one grows with the size, the other does not."""
    sizes = sizes_around(rng, 0.4)
    critical = TRUTH * np.exp(_JITTER * rng.standard_normal((seeds, 1)))
    growing = 0.6 + 0.4 * (sizes / critical) ** 0.8
    memorising, generalising = (
        30 * curve * _log_noise(rng, (seeds, 1), 0.03) * _log_noise(rng, (seeds, _N_SIZES), 0.05)
        for curve in (growing, 1.0)
    )
    return efficiency_crossing(sizes, memorising, generalising)


def simulated_midpoint(rng: np.random.Generator, seeds: int) -> Estimate:
    """Final accuracies that go from chance to one, over a width that differs by replicate."""
    sizes = sizes_around(rng, 0.4)
    width = np.exp(rng.uniform(np.log(0.01), np.log(0.15)))  # of the logarithm of the size
    critical = TRUTH * np.exp(_JITTER * rng.standard_normal((seeds, 1)))
    logit = np.log(sizes / critical) / width + 0.5 * rng.standard_normal((seeds, _N_SIZES))
    return ungrokking_midpoint(sizes, 0.01 + 0.985 / (1 + np.exp(-logit)))


def simulated_divergence(rng: np.random.Generator, seeds: int) -> Estimate:
    """Times that diverge as a power of one half to two of the distance, cut by a budget."""
    sizes = sizes_around(rng, 0.6)
    critical = TRUTH * np.exp(_JITTER * rng.standard_normal((seeds, 1)))
    beyond = np.maximum(sizes - critical, 1e-9) / TRUTH
    exponent, budget = rng.uniform(0.5, 2), np.exp(rng.uniform(np.log(4e3), np.log(3e4)))
    times = 1000 * beyond**-exponent
    times *= _log_noise(rng, (seeds, 1), 0.15) * _log_noise(rng, (seeds, _N_SIZES), 0.2)
    finished = (times < budget) & (sizes > critical)
    return divergence_of_time(sizes, times, finished, budget)


SIMULATED: dict[str, Callable[[np.random.Generator, int], Estimate]] = {
    "efficiency crossing": simulated_crossing,
    "ungrokking midpoint": simulated_midpoint,
    "divergence of time": simulated_divergence,
}


def compute(
    seeds: tuple[int, ...] = (3, 5, 10),
    *,
    replicates: int = 300,
    estimators: tuple[str, ...] = tuple(SIMULATED),
    seed: int = 0,
) -> "xr.Dataset":
    """Simulate and estimate.

    Returns:
        Over ("estimator", "seeds"): ``detected``, share of replicates with an interval; of those,
        ``coverage``, the share whose interval holds the truth; ``above`` and ``below``, the shares
        whose interval lies wholly above or below it; ``bias``, median of value / truth - 1; and
        ``width``, median of high / low.
    """
    import xarray as xr

    check_int("replicates", replicates, minimum=1)
    rows = np.full((len(estimators), len(seeds), 6), np.nan)
    for i, name in enumerate(estimators):
        for j, n in enumerate(seeds):
            rng = np.random.default_rng([seed, n])
            every = [SIMULATED[name](rng, n) for _ in range(replicates)]
            found = [e for e in every if not np.isnan(e.low)]  # one seed has a value without one
            rows[i, j, 0] = len(found) / replicates
            if found:
                value, low, high = np.array([(e.value, e.low, e.high) for e in found]).T
                above, below = (low > TRUTH).mean(), (high < TRUTH).mean()
                middle = np.median(value) / TRUTH - 1, np.median(high / low)
                rows[i, j, 1:] = 1 - above - below, above, below, *middle
    names = ("detected", "coverage", "above", "below", "bias", "width")
    return xr.Dataset(
        {name: (("estimator", "seeds"), rows[..., k]) for k, name in enumerate(names)},
        coords={"estimator": list(estimators), "seeds": list(seeds)},
        attrs={"replicates": replicates, "truth": TRUTH, "nominal": 0.95},
    )


def main(
    replicates: Annotated[int, typer.Option(min=1)] = 300,
    seeds: Annotated[list[int] | None, typer.Option(help="numbers of seeds; 3, 5, 10")] = None,
) -> None:
    """Print the coverage of the three estimators of D_crit."""
    data = compute(tuple(seeds or (3, 5, 10)), replicates=replicates)
    typer.echo(data.to_dataframe().to_string(float_format=lambda x: f"{x:.3f}"))


def _log_noise(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    return np.exp(size * rng.standard_normal(shape))


if __name__ == "__main__":
    typer.run(main)
