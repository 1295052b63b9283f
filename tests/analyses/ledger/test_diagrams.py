"""What the ledger counts on phase diagrams: drawn by hand, and the one of the tutorials."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analyses.ledger.measures import diagrams
from analyses.one_run.phases import EndPoint
from analyses.phase_diagrams.refine import Refinement
from tests.analyses.end_points import end, fake_sweep

P = 97
ALPHAS, XIS = [0.1, 0.2, 0.5, 0.9], [0.1, 0.3, 0.5]
# One letter a cell; rows are train fractions, columns corruptions.
DRAWN = {
    0.0: ["MMM", "MMM", "CMM", "PCM"],
    5.0: ["M..", "FMM", "FFM", "FfL"],
    15.0: ["...", "...", "CCC", "CMM"],
    20.0: ["...", "LLM", "MMM", "..."],
}
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


def ended(letter: str, xi: float) -> EndPoint:
    """Coexistence, Partial or Full Inversion, Memorization, Confusion (.), Lost what it knew."""
    floor = 1 - xi + xi / P  # train accuracy of a network that knows no wrong label
    known = {
        "C": {},
        "P": {"changed": 0.8, "train": 1 - 0.2 * (xi - xi / P)},
        "F": {"changed": 0.0, "train": floor},
        "f": {"changed": 0.06, "train": floor + 0.06 * (xi - xi / P)},
        "M": {"test": 0.2},
        ".": {"test": 0.2, "changed": 0.3, "unchanged": 0.6, "train": 0.55},
        "L": {"test": 0.1, "changed": 0.1, "unchanged": 0.1, "train": 0.1, "max_test": 0.4},
    }
    return end(corruption=xi, **known[letter])


def swept(drawn: dict[float, list[str]]) -> xr.Dataset:
    """A sweep that ended as drawn; " " was not trained."""
    ends = [
        None if letter == " " else ended(letter, xi)
        for rows in drawn.values()
        for row in rows
        for letter, xi in zip(row, XIS, strict=True)
    ]
    axes = {
        "training.weight_decay": [*drawn],
        "data.train_fraction": ALPHAS,
        "data.corruption": XIS,
    }
    return fake_sweep(ends, axes)


@pytest.fixture(scope="module")
def drawn() -> xr.Dataset:
    return swept(DRAWN)


def counts(*sweeps: xr.Dataset) -> xr.Dataset:
    cells = [diagrams.cells_of(sweep, "training.weight_decay", P) for sweep in sweeps]
    return diagrams.compared(cells, [f"number {i}" for i in range(len(cells))])


def test_counts_on_diagrams_drawn_by_hand(drawn: xr.Dataset) -> None:
    found = counts(drawn).isel(preset=0, drop=True)
    assert found.cells.sel(phase="memorization").values.tolist() == [9, 4, 2, 4]
    assert found.inversion.values.tolist() == [1, 5, 0, 0]
    assert found.generalising.values.tolist() == [3, 5, 4, 0]
    assert found.generalising_anywhere == 12
    assert found.least_present.values.tolist() == [1, 0, 0, 0]
    assert found.mean_alpha.sel(panel=0, phase="coexistence") == pytest.approx(0.7)
    assert found.mean_alpha.sel(panel=0, phase="partial inversion") == pytest.approx(0.9)
    assert found.corner.values.tolist() == [1, 0.5, 0, 0.5]
    # Columns .1 and .3 of the first panel: .5, .9 and nowhere; all generalise in some panel.
    assert found.boundary.values.tolist() == [0.9, 0.5, 0.5, 1.0]
    assert found.largest_xi[:3].values.tolist() == [0.3, 0.3, 0.5]
    assert found.xi_falls[:3].values.tolist() == pytest.approx([0, 0, 2])
    assert found.most_xi == 0.5
    assert found.first_inverting == 0.0
    assert found.forgot.values.tolist() == [0, 1, 0, 2]
    # Of those that memorised and never generalised; every run here once fits its training set.
    assert found.forgot_share.values.tolist() == pytest.approx([0, 1 / 7, 0, 2 / 12])
    assert float(found.plateau_error_anywhere) == pytest.approx(0.06 * 0.3 * 96 / 97)
    assert (found.consistent == 1).all()
    # By the cut .7 the partial inversion is coexistence; by .05, "f" is no full inversion any more.
    assert found.moved.sel(cut="0.7") == pytest.approx(1 / 48)
    assert found.moved.sel(cut="0.5") == pytest.approx(2 / 48)
    # At xi .1 train accuracy is above .90 in all seven: P and three F look like coexistence.
    assert found.table_differs.sel(noise="below 0.15") == pytest.approx(4 / 7)
    assert found.table_differs.sel(noise="from 0.15") == 0


def test_diagrams_are_compared_with_the_first(drawn: xr.Dataset) -> None:
    other = drawn.isel({"training.weight_decay": [1, 1, 2, 3]})
    other = other.assign_coords({"training.weight_decay": [3.0, 5.0, 15.0, 20.0]})
    second = counts(drawn, other).isel(preset=1)
    alike = sum(a == b for a, b in zip("MMMMMMCMMPCM", "M..FMMFFMFfL", strict=True))
    assert second.same.values.tolist() == [alike / 12, 1, 1, 1]
    assert second.same_share == pytest.approx((alike / 12 + 3) / 4)
    assert second.generalising_share == 14 / 12
    assert second.first_inverting == 3.0


def test_where_nothing_generalises_there_is_no_boundary(drawn: xr.Dataset) -> None:
    nothing = drawn.isel({"training.weight_decay": [3, 3]})
    found = counts(nothing).isel(preset=0)
    for name in ("boundary", "largest_xi", "xi_falls", "most_xi", "plateau_error_anywhere"):
        assert found[name].isnull().all(), name
    for name in ("first_inverting", "table_differs"):
        assert found[name].isnull().all(), name
    assert found.generalising_anywhere == 0


def test_cells_that_were_not_trained_are_inferred() -> None:
    """Between two of the same phase."""
    skipped = swept(DRAWN | {0.0: ["M M", "MMM", "CMM", "PCM"]})
    cells = diagrams.cells_of(skipped, "training.weight_decay", P, Refinement(stride=2))
    found = diagrams.compared([cells], ["a"]).isel(preset=0)
    assert found.cells.sel(phase="memorization").values.tolist() == [9, 4, 2, 4]
    assert (found.consistent == 1).all()


def test_a_finer_grid_serves_a_coarser_one(sweep: xr.Dataset, tmp_path: Path) -> None:
    coarse = diagrams.presets.get("fig31").axes("coarse")
    parts = {
        f"panel {panel}": sweep.isel({"training.weight_decay": [panel]}) for panel in range(4)
    } | {"coarse": sweep.sel({path: list(values) for path, values in coarse.items()})}
    names = {"fig3a": list(parts)[:4], "fig31": ["coarse"]}
    both = diagrams.diagrams(seeds=1, work=tmp_path, parts=parts, names=names, size="coarse")
    assert (both.cells.sum("phase") == 25).all()
    assert (both.same == 1).all()


@pytest.mark.slow
def test_panels_trained_apart_are_the_diagram_trained_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = {"data.p": 7, "training.steps": 10, "training.eval_every": 5}
    monkeypatch.setattr(diagrams.presets, "_TOY", toy)

    def trained(panel: int | None) -> xr.Dataset:
        return diagrams.trained(
            seeds=2, work=tmp_path, name="fig3a", size="tiny", panel=panel, precision="float32",
        )  # fmt: skip

    whole, parts = trained(None), {str(panel): trained(panel) for panel in range(2)}
    joined = diagrams.joined(list(parts.values()), "fig3a")
    xr.testing.assert_allclose(whole, joined.drop_attrs().transpose(*whole.dims))
    assert diagrams.sweep_phases.compute(joined).attrs["base"] == joined.attrs["base"]
    assert joined.done.all()
    assert joined.mean_ipr.notnull().any()
