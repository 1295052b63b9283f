"""When losses fall, on curves whose answers are known."""

import numpy as np
import pytest
import xarray as xr

from analyses.efficiency.mixing.delay import Verdict, summary

STEP = np.arange(0, 101)


def dataset(train: np.ndarray, test: np.ndarray, start: str = "a") -> xr.Dataset:
    loss = xr.DataArray(
        np.stack([train, test], axis=-1)[None],
        dims=("start", "step", "split"),
        coords={"start": [start], "step": STEP, "split": ["train", "test"]},
    )
    return xr.Dataset({"loss": loss}, attrs={"loss": "mse"})


FALLING = 0.25 * 2.0 ** (-STEP / 5)  # halves every 5 steps, so falls by 10 times at 16.6
CURVES = {
    Verdict.DELAYED: np.where(STEP < 50, 0.25 * (1 + np.sin(STEP / 20) / 5), 0.02),
    Verdict.MEMORISED: np.full(101, 0.25),
    Verdict.TOGETHER: 0.25 * 2.0 ** (-STEP / 10),
    # It falls, then rises above its start, as a mixture's does that memorises in the end.
    Verdict.IN_PART: np.where(STEP < 30, 0.25 - 0.005 * STEP, 0.1 + 0.01 * (STEP - 30)),
    Verdict.DIVERGED: np.where(STEP > 60, np.nan, 0.25),
}


def test_exponentials_fall_when_they_should() -> None:
    found = summary(dataset(FALLING, CURVES[Verdict.TOGETHER])).isel(start=0)
    assert found.fall_step.sel(split="train").values.tolist() == [5, 17]
    assert found.fall_step.sel(split="test").values.tolist() == [10, 34]
    assert found.delay.values.tolist() == [5, 17]
    assert found.delay_ratio.values.tolist() == [2, 2]
    assert found.peak == 1
    assert found.peak_step == 0
    assert found.test_at_train_fall.item() == pytest.approx(2.0**-1.7)
    np.testing.assert_allclose(found.final.sel(split="train"), 2.0**-20)
    assert found.attrs == {"loss": "mse", "steps": 100}


@pytest.mark.parametrize("verdict", list(CURVES))
def test_verdicts(verdict: Verdict) -> None:
    found = summary(dataset(FALLING, CURVES[verdict])).isel(start=0)
    assert found.verdict == str(verdict)
    assert summary(dataset(np.full(101, 0.25), CURVES[verdict])).verdict[0] == (
        "diverged" if verdict == Verdict.DIVERGED else "unfinished"
    )


def test_the_peak_is_that_of_the_validation_loss() -> None:
    found = summary(dataset(FALLING, CURVES[Verdict.DELAYED])).isel(start=0)
    assert found.peak_step == 31  # of sin(x / 20) at pi / 2
    assert found.peak.item() == pytest.approx(1.2, abs=1e-4)
    assert found.fall_step.sel(split="test", factor=10) == 50


def test_what_does_not_happen_is_nan_and_other_axes_are_kept() -> None:
    many = xr.concat(
        [
            xr.concat([dataset(FALLING, CURVES[v], s) for s in "ab"], dim="start")
            for v in (Verdict.MEMORISED, Verdict.TOGETHER)
        ],
        dim=xr.Variable("variant", ["x", "y"]),
    )
    found = summary(many)
    assert found.verdict.dims == ("variant", "start")
    assert found.verdict.values.tolist() == [["memorised"] * 2, ["together"] * 2]
    assert np.isnan(found.delay.sel(variant="x")).all()
    assert found.delay.sel(variant="y", factor=10).values.tolist() == [17, 17]
