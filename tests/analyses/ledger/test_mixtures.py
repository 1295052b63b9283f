"""What is read from mixtures, on losses whose numbers are known."""

import numpy as np
import pytest
import xarray as xr

from analyses.efficiency.mixing import delay, variants
from analyses.ledger.measures import mixtures
from analyses.ledger.paper2 import mixture as entries

STEP = np.arange(0, 101, 5)


def curves(train: np.ndarray, test: np.ndarray) -> xr.Dataset:
    axes, coords = ("step", "split"), {"step": STEP, "split": ["train", "test"]}
    right = np.ones_like(train)
    return xr.Dataset(
        {
            "loss": (axes, np.stack([train, test], -1)),
            "accuracy": (axes, np.stack([right] * 2, -1)),
        },
        coords=coords,
    )


def test_a_mixture_that_groks() -> None:
    train = 0.02 * np.exp(-STEP / 5.0)  # below 1 % of its start at step 25, below 1.1e-5 at 40
    test = np.where(STEP < 30, 0.02 + STEP * 1e-3, np.where(STEP < 60, 0.05, 0.0))
    found = mixtures.of_curves(curves(train, test))
    assert found.peak_loss == 0.05
    assert found.peak_at == 30
    assert found.train_loss_at_peak.item() == pytest.approx(0.02 * np.exp(-6))
    assert found.zero_step == 60
    assert found.loss_when_fitted == 0.05
    assert found.tandem == 2.5  # train loss is at .26 % of its start at step 30
    assert found.groks == 1
    assert found.falls_together == 0


def test_what_does_not_happen_is_missing_and_not_at_the_first_step() -> None:
    flat = np.full(len(STEP), 0.02)
    found = mixtures.of_curves(curves(flat, flat).assign(accuracy=("step", flat)))
    for name in ("loss_when_fitted", "tandem", "zero_step"):
        assert np.isnan(found[name]), name
    assert found.first_step.isnull().all()
    # Validation loss rises and is gone at the end, but train loss never falls to a hundredth.
    test = np.where(STEP < 100, 0.02 + STEP * 1e-3, 0.0)
    assert mixtures.of_curves(curves(flat, test)).groks == 0
    none = mixtures.of_curves(curves(flat * np.nan, flat * np.nan))
    assert np.isnan(none.groks)
    assert np.isnan(none.falls_together)


def test_losses_that_fall_together() -> None:
    falling = 0.02 * np.exp(-STEP / 10.0)
    assert mixtures.of_curves(curves(falling, 2 * falling)).falls_together == 1


def delays(train_steps: list[int], test_steps: list[int], names: list[str]) -> xr.Dataset:
    """The summary of losses that fall to nothing at these steps, never if beyond the last."""
    loss = [
        [(train > STEP).astype(float), (test > STEP).astype(float)]
        for train, test in zip(train_steps, test_steps, strict=True)
    ]
    data = xr.DataArray(
        np.array(loss), {"start": names, "split": ["train", "test"], "step": STEP},
        ("start", "split", "step"),
    ).to_dataset(name="loss")  # fmt: skip
    return data.merge(delay.summary(data))


def test_a_delay_without_an_end_counts_if_its_bound_tells() -> None:
    at = {"factor": 10.0}
    both = mixtures.of_delays(delays([10, 20], [50, 40], ["10:1", "1:1"])).sel(at)
    assert both.delay_growth == 2.5  # 5 over 2
    censored = mixtures.of_delays(delays([10, 20], [999, 40], ["10:1", "1:1"])).sel(at)
    assert censored.delay_growth == 5  # at least 10, over 2
    unknown = mixtures.of_delays(delays([10, 20], [999, 999], ["10:1", "1:1"])).sel(at)
    assert np.isnan(unknown.delay_growth)  # that of 1:1 may be any
    early = mixtures.of_delays(delays([10, 80], [20, 999], ["10:1", "1:1"])).sel(at)
    assert np.isnan(early.delay_growth)  # 2, over at least 1.25
    sure = mixtures.of_delays(delays([10, 20], [20, 999], ["10:1", "1:1"])).sel(at)
    assert sure.delay_growth == 0.4  # 2, over at least 5
    open_end = mixtures.of_delays(delays([80, 10], [999, 40], ["10:1", "1:1"])).sel(at)
    assert np.isnan(open_end.delay_growth)  # at least 1.25, over 4
    less = mixtures.of_delays(delays([10, 10], [20, 40], ["10:1", "1:1"])).sel(at)
    assert less.delay_growth == 0.5


def test_growth_is_from_the_next_smaller_factor() -> None:
    data = delays([40, 20, 10, 5], [40, 40, 999, 999], ["1:1", "3:1", "10:1", "30:1"])
    found = mixtures._by_factor(data)
    assert found["factor_train_fall"].values.tolist() == [40, 20, 10, 5]
    growth = found["factor_growth"].sel(factor_of_mem=[3.0, 10.0]).values.tolist()
    assert growth == [2, 5]
    assert found["factor_growth"].sel(factor_of_mem=[1.0, 30.0]).isnull().all()


def test_entries_name_the_variants_that_are_mixed() -> None:
    assert [entries.AS_PAPER, *entries.OTHERS] == list(variants.VARIANTS)
    assert entries.AS_PAPER == variants.PUBLISHED
    for name, pays in entries.OTHERS.items():
        assert pays == (variants.VARIANTS[name].decay == "circuits"), name
    factors = [float(start.partition(":")[0]) for start in variants.FACTORS]
    assert factors == [1, 3, 10, 30, 1000]
    assert [mem / gen for mem, gen in variants.FACTORS.values()] == factors
