"""A sweep's phases: the same as run by run, and what the seeds of a cell agree on."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokinterp as gi
from analyses.one_run import phases
from analyses.one_run.phases import EndPoint, Thresholds
from analyses.phase_diagrams import sweep_phases
from tests.analyses.end_points import N_TEST, end, fake_sweep

AXES = {"data.train_fraction": [0.3, 0.6], "data.corruption": [0.0, 0.2, 0.4]}


def sweep_of(ends: Sequence[EndPoint | None], **options: Any) -> xr.Dataset:
    return fake_sweep(ends, AXES, **options)


COEXISTENCE, PARTIAL, FULL = end(), end(changed=0.5), end(changed=0.0)
DIVERGED = end(diverged=True)


def one_cell(*ends: EndPoint | None) -> xr.Dataset:
    sweep = fake_sweep(ends, {"data.corruption": [0.35]}, seeds=len(ends))
    return sweep_phases.compute(sweep).isel({"data.corruption": 0})


SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.9, 0.5, 0.7, 0.0, 1.0]))
RUNS = st.none() | st.builds(
    EndPoint,
    test=SHARES,
    train=SHARES,
    changed=SHARES | st.just(math.nan),
    unchanged=SHARES | st.just(math.nan),
    max_test=SHARES,
    n_changed=st.integers(0, 4704),
    corruption=st.just(0.0),
    diverged=st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    ends=st.lists(RUNS, min_size=12, max_size=12),
    cut=st.builds(Thresholds, learned=st.floats(0.5, 0.99), not_memorised=st.floats(0.01, 0.49)),
)
def test_every_run_of_a_sweep_has_the_phase_it_has_alone(
    ends: list[EndPoint | None], cut: Thresholds
) -> None:
    sweep = sweep_of(ends, seeds=2)
    for chosen in (None, cut):
        found = sweep_phases.compute(sweep, chosen)
        cells = np.ndindex(2, 3, 2)
        for index, e in zip(cells, ends, strict=True):
            here = found.isel(dict(zip(found.phase.dims, index, strict=True)))
            if e is None:
                assert (here.phase.item(), here.published_phase.item()) == ("", "")
                assert not here.borderline
                assert not here.once_generalised
                assert math.isnan(here.norm_ratio)
                continue
            xi = float(here["data.corruption"])
            alone = EndPoint(**{**vars(e), "corruption": xi})
            assert here.phase.item() == phases.phase_of(alone, chosen)
            assert here.published_phase.item() == phases.published_phase_of(alone)
            assert bool(here.borderline) == phases.is_borderline(alone, N_TEST, chosen)
            assert bool(here.once_generalised) == (e.max_test >= (chosen or Thresholds()).learned)
            assert here.norm_ratio == 0.25


@pytest.mark.parametrize("where", ["axis", "base", "scalar"])
def test_the_published_rule_takes_the_corruption_from_where_it_is(where: str) -> None:
    run = end(train=0.75, changed=0.0)  # full inversion if 0.75 < 1.05 - corruption
    low = gi.RunConfig(data=gi.DataConfig(corruption=0.2))
    high = gi.RunConfig(data=gi.DataConfig(corruption=0.4))
    if where == "base":
        axes = {"training.weight_decay": [1.0]}
        sweeps = [fake_sweep([run], axes, base=base) for base in (low, high)]
    else:
        both = fake_sweep([run, run], {"data.corruption": [0.2, 0.4]}, base=low)
        pick = [0, 1] if where == "scalar" else [[0], [1]]
        sweeps = [both.isel({"data.corruption": i}) for i in pick]
    found = [sweep_phases.compute(sweep).published_phase.item() for sweep in sweeps]
    assert found == ["full inversion", "partial inversion"]


def test_a_run_with_an_infinite_weight_or_loss_has_diverged() -> None:
    for variable in ("final_norm", "final_loss"):
        sweep = sweep_of([COEXISTENCE] * 6)
        sweep[variable][0, 0] = math.inf
        found = sweep_phases.compute(sweep)
        assert found.phase.values.ravel().tolist() == ["diverged"] + ["coexistence"] * 5


def test_a_cell_counts_its_seeds() -> None:
    cell = one_cell(COEXISTENCE, PARTIAL, PARTIAL, DIVERGED, None)
    assert cell.sizes["label"] == 7
    assert "diverged" not in cell.label
    assert cell.n_seeds == 3
    assert cell.n_diverged == 1
    np.testing.assert_allclose(cell.share.sel(label="partial inversion"), 2 / 3)
    np.testing.assert_allclose(cell.share.sel(label="coexistence"), 1 / 3)
    np.testing.assert_allclose(cell.share.sum(), 1)
    assert cell.majority == "partial inversion"
    np.testing.assert_allclose(cell.agreement, 2 / 3)
    assert bool(cell.undecided)


@pytest.mark.parametrize(
    ("ends", "majority", "agreement", "undecided"),
    [
        ([COEXISTENCE, COEXISTENCE, COEXISTENCE], "coexistence", 1.0, False),
        ([COEXISTENCE, PARTIAL], "mixed", 0.5, True),
        ([COEXISTENCE, DIVERGED, None], "coexistence", 1.0, False),
        ([DIVERGED, DIVERGED, None], "diverged", math.nan, False),
        ([None, None], "", math.nan, False),
        ([FULL, PARTIAL, FULL, COEXISTENCE, PARTIAL], "mixed", 0.4, True),
    ],
)
def test_majorities(
    ends: list[EndPoint | None], majority: str, agreement: float, undecided: bool
) -> None:
    cell = one_cell(*ends)
    assert cell.majority.item() == majority
    np.testing.assert_allclose(cell.agreement, agreement)
    assert bool(cell.undecided) is undecided
    if not cell.n_seeds:
        assert cell.share.isnull().all()


def test_means_are_over_the_seeds_that_stayed_finite() -> None:
    broken = end(test=0.2, diverged=True)
    cell = one_cell(end(test=0.9), end(test=0.8), broken, None)
    np.testing.assert_allclose(cell.mean_accuracy.sel(subset="test"), 0.85)
    assert cell.lowest_accuracy.sel(subset="test") == 0.8
    assert cell.highest_accuracy.sel(subset="test") == 0.9
    clean = one_cell(end(n_changed=0, changed=math.nan))
    assert clean.majority == "clean generalization"
    assert math.isnan(clean.mean_accuracy.sel(subset="changed"))


def test_ipr_is_averaged_over_living_neurons_and_finite_runs() -> None:
    sweep = fake_sweep([COEXISTENCE, PARTIAL, DIVERGED], {"data.corruption": [0.35]}, seeds=3)
    ipr = [[[0.2, 0.4, math.nan, math.nan], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]]]
    found = sweep_phases.compute(sweep.assign(ipr=((*sweep.done.dims, "neuron"), ipr)))
    np.testing.assert_allclose(found.mean_ipr, [0.4])  # the mean of .3 and .5
    np.testing.assert_allclose(found.dead_share, [2 / 8])
    means = sweep.assign(mean_ipr=(sweep.done.dims, [[0.3, 0.5, 1.0]]))
    found = sweep_phases.compute(means)
    np.testing.assert_allclose(found.mean_ipr, [0.4])
    assert "dead_share" not in found
    assert "mean_ipr" not in sweep_phases.compute(sweep)


def test_disagreements_count_runs() -> None:
    unseen = end(train=0.95, changed=0.0, corruption=0.05)
    ends = [unseen, unseen, COEXISTENCE, DIVERGED, None, end(n_changed=0, changed=math.nan)]
    table = sweep_phases.disagreements(sweep_phases.compute(sweep_of(ends)))
    expected = {
        ("full inversion", "coexistence"): 2,
        ("coexistence", "coexistence"): 1,
        ("diverged", "diverged"): 1,
        ("clean generalization", "coexistence"): 1,
    }
    for ours in table.phase.values:
        for theirs in table.published_phase.values:
            count = table.sel(phase=ours, published_phase=theirs).item()
            assert count == expected.get((ours, theirs), 0)


def test_disagreements_of_single_runs(corrupted_run: gi.Run) -> None:
    found = phases.compute([corrupted_run, corrupted_run])
    table = sweep_phases.disagreements(found)
    assert table.sum() == 2
    ours, theirs = found.phase.values[0], found.published_phase.values[0]
    assert table.sel(phase=ours, published_phase=theirs) == 2


def test_moved_cells() -> None:
    ends = [
        end(changed=0.80),  # partial at .90, coexistence at .70 and .50
        end(changed=0.12),  # partial at .10 and .05, full inversion at .15
        end(test=0.6, max_test=0.6, unchanged=0.6, changed=0.3),  # confusion; partial at .50
        COEXISTENCE,
        None,
        DIVERGED,
    ]
    found = sweep_phases.moved(sweep_of(ends))
    assert found.learned.values.tolist() == [0.70, 0.50]
    assert found.not_memorised.values.tolist() == [0.15, 0.05]
    assert found.moved.values.reshape(2, 6).tolist() == [
        [True, True, False, False, False, False],
        [True, False, True, False, False, False],
    ]
    np.testing.assert_allclose(found.share, [2 / 4, 2 / 4])
    lower = Thresholds(learned=0.7)
    same = sweep_phases.moved(sweep_of(ends), [lower], thresholds=lower)
    np.testing.assert_allclose(same.share, [0.0])
    assert sweep_phases.moved(sweep_of([None] * 6)).share.isnull().all()


@pytest.mark.parametrize("name", ["done", "final_norm", "n_test", "best_accuracy"])
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"no {name}.*grokinterp.sweep"):
        sweep_phases.compute(sweep_of([COEXISTENCE] * 6).drop_vars(name))


def test_other_missing_parts_are_named() -> None:
    sweep = sweep_of([COEXISTENCE] * 6)
    with pytest.raises(ValueError, match="no dimension seed"):
        sweep_phases.compute(sweep.isel(seed=0))
    with pytest.raises(ValueError, match="no subset changed"):
        sweep_phases.compute(sweep.sel(subset=["train", "test", "unchanged"]))
    with pytest.raises(ValueError, match="corruption is unknown"):
        sweep_phases.compute(sweep.isel({"data.corruption": 0}, drop=True).drop_attrs())


def test_order_of_dimensions_and_subsets_does_not_matter() -> None:
    ends = [COEXISTENCE, PARTIAL, FULL, DIVERGED, None, end(test=0.88)]
    sweep = sweep_of(ends)
    sweep["n_test"] = sweep.n_test.copy(data=[[[4705.0]] * 3, [[4705.0], [4705.0], [100.0]]])
    expected = sweep_phases.compute(sweep)
    assert expected.borderline.values.ravel().tolist() == [False] * 5 + [True]
    turned = sweep.transpose("subset", "seed", ...).isel(subset=[3, 1, 0, 2])
    xr.testing.assert_equal(expected, sweep_phases.compute(turned).transpose(*AXES, "seed", ...))
    for name in ("n_test", "n_changed", "best_accuracy", "diverged_at", "largest_norm"):
        mixed = sweep.assign({name: sweep[name].transpose(*reversed(sweep[name].dims))})
        xr.testing.assert_equal(expected, sweep_phases.compute(mixed))


def test_survives_netcdf_and_leaves_the_sweep_alone(tmp_path: Path) -> None:
    sweep = sweep_of([COEXISTENCE, PARTIAL, FULL, DIVERGED, None, end(test=0.2)])
    before = sweep.copy(deep=True)
    found = sweep_phases.compute(sweep)
    xr.testing.assert_identical(sweep, before)
    assert found.attrs["base"] == sweep.attrs["base"]
    found.to_netcdf(tmp_path / "phases.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "phases.nc", engine="h5netcdf") as stored:
        xr.testing.assert_equal(stored, found)
