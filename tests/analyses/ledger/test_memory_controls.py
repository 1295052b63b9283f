"""Controls of pruning and of the noise, on made-up curves; nothing is trained."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures import memory_controls

SEEDS, WIDTH = 2, 10


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[gi.RunConfig]:
    """The configs that were to be trained; a run is its config and a train accuracy of .64."""
    configs: list[gi.RunConfig] = []

    def trained(wanted: list[gi.RunConfig]) -> list[Any]:
        configs.extend(wanted)
        history = xr.Dataset({"train_accuracy": ("step", [1.0, 0.64])})
        return [SimpleNamespace(config=config, history=history) for config in wanted]

    monkeypatch.setattr(gi, "train_many", trained)
    return configs


def curves(run: Any, orders: list[str], mode: str) -> xr.Dataset:
    """Accuracy falls by .01 with each neuron removed, from a start that tells all curves apart.

    Only the numbers at 6 of 10 from the low end and 3 of 10 from the high end are looked at.
    """
    start = {"zero": 0.9, "mean": 0.8}[mode] - 0.1 * run.config.seed
    found: list[xr.DataArray] = []
    for order in orders:
        for direction in ("low", "high"):
            test = start - (0.02 if order == "attribution" else 0) - (direction == "high") * 0.3
            values = [[test - 0.01 * n, 0.5 - 0.01 * n] for n in range(WIDTH + 1)]
            found.append(xr.DataArray(values, dims=("removed", "subset")))
    data = xr.concat(found, "curve").to_dataset(name="accuracy")
    return data.assign_coords(
        removed=range(WIDTH + 1),
        subset=["test", "changed"],
        order=("curve", [order for order in orders for _ in range(2)]),
        direction=("curve", ["low", "high"] * len(orders)),
        seed=("curve", [-1] * 2 * len(orders)),
    )


def test_accuracies_are_those_after_the_removals(
    asked: list[gi.RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory_controls.pruning, "compute", curves)
    options = {"steps": 7, "corruption": 0.35}
    found = memory_controls.pruning_controls(seeds=SEEDS, work=tmp_path, **options)
    assert [config.seed for config in asked] == [0, 1]
    assert {config.training.weight_decay for config in asked} == {0.0}
    at = {"order": "ipr", "subset": "test", "seed": 1}
    low, high = (found.accuracy.sel({**at, "end": end}) for end in ("low", "high"))
    assert low.sel(mode="zero") == pytest.approx(0.8 - 0.06)
    assert low.sel(mode="mean") == pytest.approx(0.7 - 0.06)
    assert high.sel(mode="zero") == pytest.approx(0.5 - 0.03)
    assert found.accuracy.sel({**at, "end": "high", "subset": "changed", "mode": "zero"}) == (
        pytest.approx(0.47)
    )
    assert found.over_attribution.values.tolist() == pytest.approx([0.02, 0.02])
    assert found.hypothesis.values.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("test_low", "changed_low", "test_high", "changed_high", "holds"),
    [
        (0.97, 0.05, 0.05, 0.90, 1.0),
        (0.96, 0.05, 0.05, 0.90, 0.0),
        (0.97, 0.06, 0.05, 0.90, 0.0),
        (0.97, 0.05, 0.06, 0.90, 0.0),
        (0.97, 0.05, 0.05, 0.89, 0.0),
    ],
)
def test_the_hypothesis_has_four_bounds(
    test_low: float,
    changed_low: float,
    test_high: float,
    changed_high: float,
    holds: float,
    asked: list[gi.RunConfig],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def removed(run: Any, mode: str) -> xr.DataArray:
        values = [[[test_low, changed_low], [test_high, changed_high]], [[0.0, 1.0], [1.0, 0.0]]]
        axes = {"order": ["ipr", "attribution"], "end": ["low", "high"]}
        return xr.DataArray(values, {**axes, "subset": ["test", "changed"]})

    monkeypatch.setattr(memory_controls, "_removed", removed)
    options = {"steps": 1, "corruption": 0.35}
    found = memory_controls.pruning_controls(seeds=1, work=tmp_path, **options)
    assert found.hypothesis.values.tolist() == [[holds], [holds]]


def test_every_redrawn_label_is_wrong(
    asked: list[gi.RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory_controls, "phases", lambda runs: xr.Dataset())
    found = memory_controls.wrong_labels_only(
        seeds=SEEDS, work=tmp_path, decays=[[0.0, 30], [15.0, 20]], corruption=0.35
    )
    assert found.weight_decay.values.tolist() == [0, 15]
    assert found.over_plateau.values.ravel().tolist() == pytest.approx([-0.01] * 4)
    assert [(c.seed, c.data.seed, c.training.steps) for c in asked] == [
        (0, 0, 30), (1, 1, 30), (0, 0, 20), (1, 1, 20),
    ]  # fmt: skip
    data = gi.make_dataset(asked[-1].data)
    assert int(data.is_changed.sum()) == int(data.is_selected.sum()) == int(0.35 * 4704)
