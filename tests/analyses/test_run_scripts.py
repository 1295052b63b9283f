"""The scripts of the analyses of norms, tables and corrupted logits."""

import runpy
import sys
from pathlib import Path

import pytest
import xarray as xr

import grokinterp as gi
from analyses.one_run import corrupted_logits, logit_split, norm_curves, norm_gain, row_ipr

COMPUTE = {
    "row_ipr": row_ipr.compute,
    "corrupted_logits": corrupted_logits.compute,
    "logit_split": logit_split.compute,
    "norm_curves": norm_curves.compute,
    "norm_gain": lambda runs: norm_gain.compute(runs[0]),
}


@pytest.fixture(scope="module")
def run(corrupted_run: gi.Run) -> gi.Run:
    config = corrupted_run.config.replace({"model.norm": "batch", "training.steps": 3})
    return gi.train(config, device="cpu", progress=False)


# The module is imported already, which runpy remarks on.
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", COMPUTE)
def test_a_script_writes_a_page_and_the_numbers(
    name: str, run: gi.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run.save(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", [name, str(folder)])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"analyses.one_run.{name}", run_name="__main__")
    assert left.value.code == 0
    page = folder / "figures" / f"{name}.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    with xr.open_dataset(page.with_suffix(".nc"), engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), COMPUTE[name]([run]))
