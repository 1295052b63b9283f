"""What the explorer takes from a sweep: commands, limits, and stores without phases or axes."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.cli.runs import _read_config
from analyses.explorer import sweep_payload, write_sweep_explorer
from analyses.explorer.sweep_commands import go_on
from analyses.explorer.sweep_payload import SweepPayload, gather_sweep
from analyses.phase_diagrams.presets import PRESETS
from grokinterp.sweeps.grid import Grid
from tests.analyses.end_points import end, fake_sweep

AXES = {"training.weight_decay": [0.0, 5.0], "data.corruption": [0.0, 0.2, 0.4]}


def gathered(sweep: xr.Dataset) -> SweepPayload:
    return gather_sweep(sweep, name="small", going_on="Go on.")


def test_the_command_repeats_the_run_of_a_cell_and_seed() -> None:
    base = gi.RunConfig(
        data=gi.DataConfig(p=11, operation="a**2 + b"),
        model=gi.MLPConfig(d_mlp=12, act="relu"),
        training=gi.TrainConfig(betas=(0.8, 0.9)),
    )
    axes = {"data.corruption": [0.0, 0.2], "model.init": ["standard", "lazy"]}
    sweep = fake_sweep([end()] * 12, axes, seeds=3, base=base)
    train = gathered(sweep).about["train"]
    for index, config in np.ndenumerate(Grid(base, axes, range(3)).configs):
        texts = [train["base"], *(train["axes"][i][index[i]] for i in range(2))]
        words = shlex.split(" ".join([*texts, train["seeds"][index[2]]]))
        assert set(words[::2]) == {"--set"}
        assert len({word.partition("=")[0] for word in words[1::2]}) == len(words) / 2
        assert _read_config(None, None, words[1::2]) == config


def test_settings_that_no_command_takes() -> None:
    table = gi.Table("own", 5, tuple(range(5)) * 5)
    own = gi.RunConfig(data=gi.DataConfig(p=5, operation=table))
    assert gathered(fake_sweep([end()], {}, base=own)).about["train"] is None
    labels = {"setting": ["one", "other"]}
    assert gathered(fake_sweep([end()] * 2, labels)).about["train"] is None


def test_what_goes_on_with_a_preset(tmp_path: Path) -> None:
    preset = PRESETS["fig3a"]
    base = preset.config("tiny")
    axes = {path: list(values) for path, values in preset.axes("tiny").items()}
    identity = {
        "base": json.loads(json.dumps(base.to_dict())),
        "axes": axes | {"seed": [0, 1]},
        "measure": {"ipr": {}},
        "precision": "bfloat16",
        "refine": None,
    }
    sweep = xr.Dataset(attrs={"identity": json.dumps(identity)})
    assert go_on(sweep, tmp_path / "sweep.zarr") == (
        f"To go on: grokinterp sweep fig3a --size tiny --out {tmp_path} --seeds 2 "
        "--precision bfloat16 --per-neuron --resume"
    )
    assert "gi.sweep with the same arguments" in go_on(sweep, tmp_path / "other.zarr")
    assert "the store that it was made from" in go_on(sweep, tmp_path / "part.nc")


def test_missing_runs_are_counted_and_the_first_cell_is_a_trained_one() -> None:
    about = gathered(fake_sweep([None] * 5 + [end()], AXES)).about
    assert about["cell"] == [1, 2]
    assert about["notes"][0] == "5 of 6 runs are not trained yet. Go on."
    nothing = gathered(fake_sweep([None] * 6, AXES)).about
    assert nothing["cell"] == [0, 1]
    assert nothing["measures"] == []


def test_what_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = fake_sweep([end()] * 6, AXES).assign(
        late=(("training.weight_decay", "data.corruption", "seed", "step"), np.ones((2, 3, 1, 9)))
    )
    assert "curve late" in gathered(sweep).arrays
    monkeypatch.setattr(sweep_payload, "MOST_NUMBERS", 70)
    found = gathered(sweep)
    notes = " ".join(found.about["notes"])
    assert "curve late" not in found.arrays
    assert "late has 54 numbers, which do not fit into a page of 70" in notes
    assert "Left out: " in notes
    assert len(found.arrays["runs"]) == len(found.about["measures"]) > 0
    assert sum(array.size for array in found.arrays.values()) <= 70
    monkeypatch.setattr(sweep_payload, "MOST_CELLS", 5)
    with pytest.raises(ValueError, match="6 cells, and a page shows at most 5"):
        gathered(sweep)


def test_what_diverged_does_not_stretch_a_scale() -> None:
    sweep = fake_sweep(
        [end(), end(), end(diverged=True)], {"model.act": ["relu", "gelu", "square"]}
    )
    sweep["final_norm"][:] = np.array([[1.0], [2.0], [1e300]])
    about, arrays = gathered(sweep.assign(phase=sweep.final_norm + 1))
    ranges = {measure["key"]: (measure["range"], measure["log"]) for measure in about["measures"]}
    assert ranges["final_norm"] == ([1.0, 2.0], False)
    assert ranges["phase, measured"] == ([2.0, 3.0], False)
    assert ranges["final_accuracy test"] == ([0.0, 1.0], False)
    place = list(ranges).index("final_norm")
    np.testing.assert_array_equal(arrays["runs"][place, :, 0], [1, 2, np.inf])


def test_without_what_phases_need() -> None:
    sweep = fake_sweep([end(), None], {"model.act": ["relu", "gelu"]}).drop_vars("final_norm")
    about, arrays = gathered(sweep)
    assert about["by"] == "trained"
    assert "Without phases: sweep has no final_norm" in " ".join(about["notes"])
    assert [about["phases"][code]["name"] for code in arrays["majority"]] == ["trained", ""]


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the whole dataset of a sweep"):
        write_sweep_explorer(xr.Dataset(), tmp_path / "page.html", name="x")
    one = fake_sweep([end()], {}).isel(seed=0)
    with pytest.raises(ValueError, match=r"sweep.sel\(seed=\[0\]\) keeps"):
        write_sweep_explorer(one, tmp_path / "page.html", name="x")
