"""What is read from the second paper's experiments, on made-up results of known numbers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger import catalogue
from analyses.ledger.comparisons import Curve
from analyses.ledger.measures import experiments
from analyses.ledger.targets import target
from analyses.statistics.joint import ESTIMATORS

NAN = np.nan


def over_seeds(*values: float) -> xr.DataArray:
    return xr.DataArray(list(values), {"seed": range(len(values))}, ("seed",))


def test_a_plateau_lies_between_learning_and_half_way_to_generalising() -> None:
    step = np.array([0, 100, 200, 400, 800, 1600, 3200])
    test = xr.DataArray(
        [
            [0, 0.3, 0.5, 0.4, 0.6, 0.9, 1],  # from 100 to 400, half-way to 1600
            [0, 0.3, 0.5, 0.95, 1, 1, 1],  # generalises before it has learned, at 800
            [0, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2],  # never learns
        ],
        {"seed": range(3), "step": step},
        ("seed", "step"),
    )
    learned, ripe = over_seeds(100, 800, NAN), over_seeds(1600, 400, 6400)
    found = experiments.waiting(test, learned, ripe)
    np.testing.assert_array_equal(found, [0.4, 1, NAN])


def fractions(values: list[list[float]], at: list[float]) -> xr.DataArray:
    """[fraction, seed]."""
    return xr.DataArray(values, {"fraction": at, "seed": [0, 1]}, ("fraction", "seed"))


def test_a_range_needs_every_fraction_and_seed() -> None:
    values = fractions([[1.0, 3.0], [2.0, 2.0], [4.0, 2.0]], [0.3, 0.5, 0.9])
    assert experiments._range(values) == 1.5  # 3 over 2
    values[0, 1] = NAN
    assert np.isnan(experiments._range(values))
    assert experiments._range(experiments._wide(values, 0.5)) == 1.5


def test_circuits_exist_by_their_accuracies() -> None:
    random = {"train": [0.99, 1, 1, 0.98], "test": [0.02, 0.06, 0.02, 0.02]}
    task = {"train": [1, 1, 1, 1], "test": [0.99, 1, 0.98, 1]}
    data = xr.Dataset(
        {
            f"{split}_accuracy": (("circuit", "seed"), [random[split], task[split]])
            for split in ("train", "test")
        },
        coords={"circuit": ["random labels", "C_gen"]},
    )
    # It generalises a little on random labels; the task's are not learned; random ones are not.
    assert experiments._both_exist(data).values.tolist() == [1, 0, 0, 0]


def test_runs_that_are_too_short_are_no_evidence_against_semi_grokking() -> None:
    ends = [["semi-grokked", "unfinished"], ["grokked", "unfinished"], ["not generalised", ""]]
    none = [["unfinished"] * 2, ["unfinished"] * 2, ["unfinished", ""]]
    outcome = xr.DataArray([none, ends], {"budget": [10, 20]}, ("budget", "fraction", "seed"))
    found = xr.Dataset(experiments.judged_ends(outcome))
    assert found.judged.values.tolist() == [0, 3]
    np.testing.assert_allclose(found.unfinished, [1, 0.4])
    np.testing.assert_allclose(found.semi_grokked, [NAN, 1 / 3])
    np.testing.assert_allclose(found.semi_grokked_low, [NAN, 0.0615], atol=5e-5)  # Wilson's
    np.testing.assert_allclose(found.semi_grokked_high, [NAN, 0.7923], atol=5e-5)


def found_by(monkeypatch: pytest.MonkeyPatch, data: xr.Dataset) -> None:
    """Experiments find these numbers."""
    finding = SimpleNamespace(data=data)
    monkeypatch.setattr(experiments, "findings", lambda *_, **__: [finding])


@pytest.mark.parametrize(
    ("ratio_low", "within", "told"), [([0.9, 1.2, 1.1], 1.8, 1.2), ([0.8, 0.9, 0.7], 1.3, 1.0)]
)
def test_three_sizes_differ_by_at_least_what_the_joint_test_shows(
    ratio_low: list[float], within: float, told: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = xr.Dataset(
        {
            "value": ("estimator", [100.0, 150.0, 120.0]),
            "ratio_low": ("pair", ratio_low),
            "within": within,
            "censored": ("time_size", [0.9, 0.1]),
            "reason": ("estimator", ["", "", ""]),
            "crossing_if": ("end", [50.0, 80.0, NAN]),
        },
        coords={"estimator": list(ESTIMATORS), "end": ["mean", "low", "high"]},
    )
    found_by(monkeypatch, data)
    found = experiments.d_crit(seeds=3, work=Path(), size="small", network="mlp")
    assert (found.spread, found.spread_low, found.spread_high) == (1.5, told, within)
    assert found.censored_at_least == 0.9
    assert (found.moves, found.moves_low, found.moves_high) == (2.0, 1.25, np.inf)
    assert "reason" not in found
    found_by(monkeypatch, data.isel(pair=[]).assign(value=("estimator", [100.0, NAN, 120.0])))
    assert experiments.d_crit(seeds=3, work=Path(), size="small", network="mlp").spread.isnull()


def of_times(**found: Any) -> xr.Dataset:
    return xr.Dataset({name: over_seeds(*values) for name, values in found.items()})


def test_a_time_that_is_not_reached_bounds_a_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    data = of_times(
        ratio=[2.0, NAN, NAN, NAN, NAN],
        ratio_above=[NAN, 4.0, 0.5, NAN, NAN],
        ratio_below=[NAN, NAN, NAN, 0.5, 4.0],
    )
    found_by(monkeypatch, data)
    found = experiments.training_efficiency(seeds=5, work=Path(), size="small")
    # More than .5 may be less than 1 or not; less than 4, likewise.
    np.testing.assert_array_equal(found.ratio_told, [2, 4, NAN, 0.5, NAN])


def test_a_network_at_chance_has_none_of_the_published_curves() -> None:
    """Of Fig. 9, which is near chance for long."""
    checked = 0
    for entry in catalogue.entries():
        if entry.id.startswith("2/fig9-curves"):
            assert isinstance(entry.comparison, Curve)
            chance = xr.DataArray([[1.03, 1.03]], {"step": [1, 1e5]}, ("seed", "step"))
            for name in entry.reads:
                assert not entry.comparison.judge(chance, target(name)["value"]).agrees, name
                checked += 1
    assert checked == 11


def test_single_runs_of_the_published_size_fit_into_a_day() -> None:
    """One point of each figure, none of them longer than an hour and a half."""
    sources = {entry.source.name: entry.source for entry in catalogue.entries() if entry.paper == 2}
    single = [
        source
        for source in sources.values()
        if source.settings.get("size") == "published" and source.tier == "cpu"
    ]
    assert max(source.minutes for source in single) <= 90
    assert sum(source.minutes for source in single) <= 8 * 60
    figures = {
        entry.id.partition("/")[2][:4]
        for entry in catalogue.entries()
        if entry.source in single and entry.id.startswith("2/fig")
    }
    assert figures == {f"fig{n}" for n in range(1, 10)}
