"""Simulations of estimators are stored block by block, and put together by departure."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger.measures import estimators
from analyses.ledger.paper2 import critical_size
from analyses.statistics import coverage, joint
from analyses.statistics.joint_power import Power

NAME, ABSENCE = "ungrokking midpoint", "ungrokking midpoint: no drop"
# Departure -> by number of seeds: share found, coverage of those, share found without a D_crit.
SHARES = {
    "as assumed": {3: (0.5, 1.0, 0.0), 5: (1.0, 0.7, 0.1)},
    "uneven noise": {3: (0.0, np.nan, 0.2), 5: (0.0, np.nan, 0.4)},
}


def block(numbers: tuple[int, ...], **options: Any) -> xr.Dataset:
    (number,), (departure,) = numbers, options["departures"]
    assert options["replicates"] == 10
    found = SHARES[departure][number]
    axes = ("estimator", "departure", "seeds")
    return xr.Dataset(
        {
            "detected": (axes, [[[found[0]]]]),
            "coverage": (axes, [[[found[1]]]]),
            "false": (("absence", "departure", "seeds"), [[[found[2]]]]),
        },
        coords={
            "estimator": [NAME], "absence": [ABSENCE], "departure": [departure], "seeds": [number],
        },
    )  # fmt: skip


def test_no_departure_hides_behind_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(coverage, "DEPARTURES", SHARES)
    monkeypatch.setattr(coverage, "compute", block)
    options = {"estimator": NAME, "replicates": 10, "numbers": (3, 5)}
    found = estimators.coverage(seeds=1, work=tmp_path, **options)
    # 5 of 5 intervals and 7 of 10 hold; of the other departure there are none.
    np.testing.assert_allclose(found.holds, [12 / 15, np.nan])
    assert found.holds_in_all == pytest.approx(12 / 15)
    np.testing.assert_allclose(found.finds.sel(absence=ABSENCE), [0.05, 0.3])
    assert found.finds_in_all == pytest.approx(0.175)
    assert found.coverage.dims == ("departure", "seeds")
    monkeypatch.setattr(coverage, "compute", lambda *_, **__: pytest.fail("simulated again"))
    xr.testing.assert_identical(found, estimators.coverage(seeds=1, work=tmp_path, **options))
    monkeypatch.setattr(estimators, "code_key", lambda *_: "of other code")
    with pytest.raises(pytest.fail.Exception, match="again"):
        estimators.coverage(seeds=1, work=tmp_path, **options)


@pytest.mark.slow
def test_blocks_are_the_parts_of_one_simulation(tmp_path: Path) -> None:
    options = {"estimator": NAME, "replicates": 2, "numbers": (3, 4)}
    found = estimators.coverage(seeds=1, work=tmp_path, **options)
    whole = coverage.compute((3, 4), replicates=2, estimators=(NAME,))
    for name in ("detected", "false"):
        np.testing.assert_array_equal(found[name], whole[name].squeeze())


def test_the_joint_test_is_tried_with_each_estimator_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, float, int]] = []

    def power(factor: float, **options: Any) -> Power:
        asked.append((options["shifted"], factor, options["seed"]))
        differ = 0.0 if factor == 1 else 0.5 + 0.1 * options["seed"]
        complete = 0.0 if options["seed"] else 0.4  # of the first block alone
        holds = np.nan if options["seed"] else 0.9
        counted = {"replicates": options["replicates"], "seeds": options["seeds"]}
        shares = {"differ": differ, "agree": 0.0, "complete": complete, "holds": holds}
        return Power(factor=factor, shifted=options["shifted"], **counted, **shares)

    monkeypatch.setattr(estimators, "power", power)
    found = estimators.joint(seeds=10, work=tmp_path, factor=1.5, replicates=40)
    assert found.shifted.values.tolist() == ["none", *joint.ESTIMATORS]
    np.testing.assert_allclose(found.differ, [0, 0.55, 0.55, 0.55])
    np.testing.assert_allclose(found.complete, 0.2)
    np.testing.assert_allclose(found.holds, 0.9)
    assert len(asked) == len(set(asked)) == 8
    estimators.joint(seeds=10, work=tmp_path, factor=1.5, replicates=40)
    assert len(asked) == 8


def test_entries_name_the_departures_and_estimators_that_there_are() -> None:
    assert tuple(coverage.DEPARTURES) == critical_size.DEPARTURES
    assert critical_size.ESTIMATORS == joint.ESTIMATORS
