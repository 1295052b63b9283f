"""What the ledger counts on phase diagrams, on the sweep that comes with the tutorials."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analyses.ledger.measures import diagrams

SWEEP = Path(__file__).parents[3] / "tutorials" / "data" / "phase_diagram.nc"


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    with xr.open_dataset(SWEEP, engine="h5netcdf") as stored:
        return stored.load().rename(neuron="ipr_0").isel(seed=[0])


@pytest.mark.parametrize(("size", "shape"), [("small", (9, 10)), ("coarse", (5, 5))])
def test_counts_of_cells(sweep: xr.Dataset, size: str, shape: tuple[int, int]) -> None:
    cells = diagrams._cells(sweep, "fig3a", size)
    assert (cells.sizes["alpha"], cells.sizes["xi"]) == shape
    counted = diagrams._count(cells.assign(same=cells.majority == cells.majority))
    test = sweep.final_accuracy.sel(subset="test").isel(seed=0)
    test = test.sel({"data.train_fraction": cells.alpha, "data.corruption": cells.xi})
    names = ["memorization", "coexistence", "partial inversion"]
    for panel, decay in enumerate(sweep["training.weight_decay"].values):
        phases = cells.phase.isel(seed=0, panel=panel).values.ravel().tolist()
        assert counted.cells[panel].sum() == np.prod(shape)
        counts = [phases.count(name) for name in names]
        assert counted.cells.sel(panel=panel, phase=names).values.tolist() == counts
        assert counted.least_present[panel] == min(counts)
        works = int((test.sel({"training.weight_decay": decay}) >= 0.9).sum())
        assert counted.generalising[panel] == works
    assert (counted.same == 1).all()
    rows = cells.mean_ipr.isel(seed=0).transpose("panel", ...).values.reshape(4, -1)
    assert counted.mean_ipr.isel(seed=0).values == pytest.approx(np.nanmean(rows, 1))


def test_a_finer_grid_serves_a_coarser_one(
    sweep: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sweep is trained once, in the size that ``grids`` says."""
    asked = []

    def trained(name: str, seeds: int, work: Path, size: str, *_: object) -> xr.Dataset:
        asked.append((name, size))
        return sweep

    monkeypatch.setattr(diagrams, "_trained", trained)
    both = diagrams.diagrams(
        seeds=1,
        work=tmp_path,
        names=["fig3a", "fig31"],
        size="coarse",
        grids={"fig3a": "small"},
        neurons=True,
    )
    assert asked == [("fig3a", "small"), ("fig31", "coarse")]
    assert (both.cells.sum("phase") == 25).all()
    assert (both.same == 1).all()
