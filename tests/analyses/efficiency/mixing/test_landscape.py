"""Delay over the plane of initial speeds."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

import grokinterp as gi
from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.landscape import compute_landscape, plot_landscape
from analyses.efficiency.mixing.tables import Tables

P = 7
TRAINING = replace(mixture.PUBLISHED_TRAINING, steps=60, lr=0.02, batch_size=None)
CONFIG = mixture.MixtureConfig(training=TRAINING)


def make_tables(*, alike: bool = False) -> Tables:
    """C_mem knows the training pairs, C_gen all; or both are the same C_gen."""
    dataset = gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.5))
    rng = torch.Generator().manual_seed(0)
    right = torch.randn(P * P, P, generator=rng).double() + 5.0 * F.one_hot(dataset.labels, P)
    memorising = right if alike else right * dataset.is_train[:, None]
    return Tables(memorising, right, dataset.labels, dataset.is_train, dataset.is_test)


def test_a_cell_is_the_mixture_from_its_speeds() -> None:
    tables = make_tables()
    found = compute_landscape(tables, [3.0, 1.0], [0.5, 2.0, 1.0], CONFIG)
    assert found.w_m2.values.tolist() == [1, 3]
    assert found.w_g2.values.tolist() == [0.5, 1, 2]
    assert found.delay_ratio.dims == ("w_m2", "w_g2", "factor")
    for m, g in ((3.0, 0.5), (1.0, 2.0)):
        alone = summary(mixture.compute(tables, {"x": (m, g)}, CONFIG)).isel(start=0)
        cell = found.sel(w_m2=m, w_g2=g)
        for name in ("fall_step", "delay_ratio", "peak", "verdict"):
            xr.testing.assert_allclose(
                cell[name].drop_vars(["w_m2", "w_g2"]),
                alone[name].transpose(*cell[name].dims).drop_vars("start"),
                rtol=1e-9,  # float64, amplified by the steps
            )
    delayed = found.delay_ratio.sel(factor=2.0, w_m2=1.0).values
    assert (np.diff(delayed) < 0).all()  # the faster C_gen is, the less


def test_circuits_that_are_alike_make_a_symmetric_landscape() -> None:
    found = compute_landscape(make_tables(alike=True), (0.5, 1.0, 4.0), (0.5, 1.0, 4.0), CONFIG)
    steps = found.fall_step.transpose("w_m2", "w_g2", ...).values
    np.testing.assert_array_equal(steps, steps.swapaxes(0, 1))
    assert np.isfinite(steps).any()


@pytest.mark.parametrize("speeds", [[1.0, 1.0], [], [0.0], [math.inf]])
def test_speeds_are_positive_and_different(speeds: list[float]) -> None:
    with pytest.raises(ValueError, match="generalising"):
        compute_landscape(make_tables(), [1.0], speeds, CONFIG)


def test_the_figure_says_the_ratio_its_bound_or_that_there_is_none() -> None:
    found = compute_landscape(make_tables(), [1.0, 10.0], [0.5, 1.0], CONFIG)
    found["fall_step"][:] = 20.0
    found["delay_ratio"][:] = 2.0
    at = {"factor": 10.0}
    found.delay_ratio.loc[at | {"w_m2": 10.0, "w_g2": 0.5}] = np.nan  # train has fallen
    found.delay_ratio.loc[at | {"w_m2": 1.0, "w_g2": 1.0}] = np.nan
    found.fall_step.loc[at | {"w_m2": 1.0, "w_g2": 1.0, "split": "train"}] = np.nan
    figure: Any = plot_landscape(found)
    cells, crosses, censored, unknown = figure.data
    assert censored.name == "test loss has not fallen by step 60"
    assert unknown.name == "-: train loss has not fallen"
    assert [list(row) for row in cells.text] == [["2", "-"], ["> 3", "2"]]
    assert cells.z[0][0] == pytest.approx(math.log10(2))
    assert cells.z[1][0] == pytest.approx(math.log10(3))
    assert (list(crosses.x), list(crosses.y)) == (["0.5"], ["10"])
    assert "initial speed of C<sub>mem</sub>" in figure.layout.yaxis.title.text
