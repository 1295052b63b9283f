"""Diagrams of few cells, on sweeps whose runs ended as the tests say; nothing is trained."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures import small_diagrams
from analyses.one_run.phases import EndPoint
from tests.analyses.end_points import end, fake_sweep

CELLS = {"train_fractions": [0.5, 0.9], "corruptions": [0.1, 0.3]}


def inverted(corruption: float) -> EndPoint:
    return end(changed=0.0, train=1 - corruption, corruption=corruption)


def untaught(corruption: float = 0.35) -> EndPoint:
    return end(test=0.1, train=0.5, changed=0.2, unchanged=0.5, corruption=corruption)


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The "ends" of runs, by config, values on the axes and seed, and what was "asked" for."""
    told: dict[str, Any] = {"asked": []}

    def sweep(
        base: gi.RunConfig, axes: Mapping[str, Any], seeds: int, **options: Any
    ) -> xr.Dataset:
        told["asked"].append((base, dict(axes), options["store"].name))
        runs = product(*axes.values(), range(seeds))
        return fake_sweep([told["ends"](base, *run) for run in runs], axes, seeds=seeds, base=base)

    monkeypatch.setattr(gi, "sweep", sweep)
    return told


def test_a_small_network_has_the_cells_that_are_asked_for(
    swept: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing works without decay, half at 1, all at 3, where one seed of three fails."""

    def ends(_: gi.RunConfig, decay: float, alpha: float, xi: float, seed: int) -> EndPoint:
        works = decay == 3 or (decay == 1 and alpha == 0.9)
        return inverted(xi) if works and seed < 2 else untaught(xi)

    swept["ends"] = ends
    options = {"name": "fig7a", "values": [0.0, 1.0, 3.0], **CELLS}
    found = small_diagrams.small_diagrams(seeds=3, work=tmp_path, **options).isel(preset=0)
    ((base, axes, store),) = swept["asked"]
    assert (base.data.p, base.model.d_model, base.training.steps) == (59, 64, 2000)
    assert axes == {
        "training.weight_decay": [0.0, 1.0, 3.0],
        "data.train_fraction": CELLS["train_fractions"],
        "data.corruption": CELLS["corruptions"],
    }
    assert store == "fig7a-3.zarr"
    assert found.generalising.values.tolist() == [0, 2, 4]
    assert found.cells.sel(phase="full inversion").values.tolist() == [0, 2, 4]
    assert np.isnan(found.generalising_ratio[:2]).all()  # nothing there to be kept
    assert found.generalising_ratio[2] == 2


def test_cells_of_each_norm_and_batch_size_are_counted_by_seed(
    swept: dict[str, Any], tmp_path: Path
) -> None:
    many = {"batch": {64: 3, 8: 4}, "layer": {64: 1, 8: 2}, None: {64: 0, 8: 1}}

    def ends(base: gi.RunConfig, _: float, alpha: float, xi: float, seed: int) -> EndPoint:
        place = 2 * CELLS["train_fractions"].index(alpha) + CELLS["corruptions"].index(xi)
        assert base.training.batch_size is not None
        enough = place < many[base.model.norm][base.training.batch_size] - seed  # pyright: ignore[reportAttributeAccessIssue]
        return inverted(xi) if enough else untaught(xi)

    swept["ends"] = ends
    found = small_diagrams.norm_diagrams(seeds=2, work=tmp_path, batches=[64, 8], **CELLS)
    assert found.inversion.sel(seed=0).values.tolist() == [[3, 4], [1, 2], [0, 1]]
    assert found.inversion.sel(norm="batch", seed=1).values.tolist() == [2, 3]
    assert found.inversion_of_norm.sel(seed=0).values.tolist() == [7, 3, 1]
    assert [base.training.steps for base, *_ in swept["asked"]] == [8000, 64_000] * 3
    assert len({store for *_, store in swept["asked"]}) == 6


@pytest.mark.parametrize(
    ("relu", "least"), [((5.0, 5.0, 20.0), 5.0), ((5.0, 20.0, 20.0), 20.0), ((99.0,) * 3, None)]
)
def test_the_least_decay_is_that_of_most_seeds(
    relu: tuple[float, ...],
    least: float | None,
    swept: dict[str, Any],
    tmp_path: Path,
) -> None:
    def ends(_: gi.RunConfig, act: str, decay: float, seed: int) -> EndPoint:
        return inverted(0.35) if act == "square" or decay >= relu[seed] else untaught()

    swept["ends"] = ends
    options: dict[str, Any] = {"train_fraction": 0.5, "corruption": 0.35, "precision": "float32"}
    found = small_diagrams.least_decay(seeds=3, work=tmp_path, decays=[0.0, 5.0, 20.0], **options)
    assert found.least.sel(activation="square") == 0
    got = float(found.least.sel(activation="relu"))
    assert np.isnan(got) if least is None else got == least
    ((base, *_),) = swept["asked"]
    assert (base.data.train_fraction, base.data.corruption) == (0.5, 0.35)
