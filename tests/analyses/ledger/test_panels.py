"""Gains of single panels of Fig. 4 are paired, corrected, and as sure as they are said to be."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from analyses.efficiency.data_efficiency import grids
from analyses.ledger.measures import panels
from grokinterp.sweeps.collect import Named

PLAIN = grids.BASELINE
# Means over fractions, by seed.
ACCURACY = {
    PLAIN: [0.50, 0.60, 0.55, 0.45],
    "dropout": [0.60, 0.71, 0.64, 0.56],
    "update noise": [0.55, 0.50, 0.65, 0.40],
    "decay to zero": [0.40, 0.49, 0.46, 0.34],
}


def accuracies() -> xr.DataArray:
    values = np.array(list(ACCURACY.values()))[:, None, :] + np.array([-0.1, 0.1])[:, None]
    coords = {"factor": list(ACCURACY), "fraction": [0.3, 0.5], "seed": range(4)}
    return xr.DataArray(values, coords, ("factor", "fraction", "seed"))


def test_gains_are_paired_and_their_intervals_hold_at_once() -> None:
    found = xr.Dataset(panels.gains(accuracies()))
    level = 1 - 0.05 / 3  # three comparisons
    for factor in ("dropout", "update noise", "decay to zero"):
        one = found.sel(factor=factor)
        test = stats.ttest_rel(ACCURACY[factor], ACCURACY[PLAIN])
        interval = test.confidence_interval(level)
        ends = [float(one.gain_low), float(one.gain_high)]
        np.testing.assert_allclose(ends, [interval.low, interval.high], atol=1e-12)
        assert float(one.gain_mean) == pytest.approx(sum(ends) / 2)
        np.testing.assert_allclose(one.gain, np.subtract(ACCURACY[factor], ACCURACY[PLAIN]))
    assert found.told.sel(factor="dropout") == 1
    assert found.told.sel(factor="decay to zero") == -1
    assert np.isnan(found.told.sel(factor="update noise"))  # neither can be told
    assert found.sel(factor=PLAIN).to_array().isnull().all()


def test_a_missing_run_leaves_its_seed_out() -> None:
    some = accuracies()
    some[0, 0, 1] = np.nan
    found = xr.Dataset(panels.gains(some)).sel(factor="dropout")
    assert found.gain.isnull().values.tolist() == [False, True, False, False]
    assert found.gain.mean() == pytest.approx(0.1)


@pytest.mark.parametrize(("seeds", "comparisons", "told"), [(3, 14, 12.3), (8, 5, 1.6)])
def test_a_gain_of_this_size_is_found_in_four_of_five_cases(
    seeds: int, comparisons: int, told: float
) -> None:
    """By simulation; ``told`` is what the entries' text says."""
    gain = panels.smallest_gain(seeds, comparisons)
    assert gain == pytest.approx(told, abs=0.05)
    drawn = np.random.default_rng(0).normal(gain, 1, (20_000, seeds))
    t = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / seeds**0.5)
    bound = stats.t.ppf(1 - 0.05 / (2 * comparisons), seeds - 1)
    found = float((abs(t) > bound).mean())
    assert found == pytest.approx(0.8, abs=4 * (0.8 * 0.2 / 20_000) ** 0.5)


def test_panels_are_trained_with_the_settings_of_the_grid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Named] = []

    def made(_: Path, wanted: list[Named]) -> list[Any]:
        asked.extend(wanted)
        ends = np.arange(len(wanted)) ** 2 / 1000
        return [SimpleNamespace(history=SimpleNamespace(test_accuracy=[0, end])) for end in ends]

    monkeypatch.setattr(panels, "collect", made)
    found = panels.panels(
        seeds=2, work=tmp_path, size="small", factors=(PLAIN, "dropout"), rate="high",
        fractions=(0.3, 0.6),
    )  # fmt: skip
    assert found.accuracy.sel(factor="dropout", fraction=0.3).values.tolist() == [0.016, 0.025]
    assert float(found.gain.sel(factor="dropout", seed=1)) == pytest.approx(0.032)  # .037 less .005
    grid = grids.get("small")
    config = asked[6].config  # dropout, 60 %, the first seed
    changes = grid.axes["setting"][grids.label("dropout", "high")]
    assert config == grid.base.replace(changes | {"data.train_fraction": 0.6})
    assert (asked[7].config.seed, asked[7].config.data.seed) == (1, 1)
    assert len({named.folder for named in asked}) == 8
    alone = panels.panels(
        seeds=1, work=tmp_path, size="small", factors=("small batches",), rate="baseline",
        fractions=(0.5,),
    )  # fmt: skip
    assert set(alone.data_vars) == {"accuracy"}
    assert asked[-1].config.training.batch_size == grid.batch_size
