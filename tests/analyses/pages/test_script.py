"""Analyses from the shell: they leave one HTML file and the numbers behind it."""

import re
import sys
from pathlib import Path

import plotly.graph_objects as go
import pytest
import xarray as xr

import grokinterp as gi
from analyses.one_run import phases, pruning, weight_norms
from analyses.pages.script import one_run, run_script, write_figures


@pytest.fixture(scope="module")
def run_dir(corrupted_run: gi.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corrupted_run.save(tmp_path_factory.mktemp("runs") / "tiny")


def assert_self_contained(page: Path, *, figures: int) -> None:
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert html.count("Plotly.newPlot(") >= figures
    assert not re.search(r"<script[^>]*\ssrc\s*=", html)
    assert not re.search(r"<link[^>]*\shref\s*=", html)
    assert len(html) > 1_000_000  # the drawing library is inside


def assert_holds(file: Path, expected: xr.Dataset) -> None:
    with xr.open_dataset(file, engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), expected)


def test_pruning_script(run_dir: Path, corrupted_run: gi.Run, tmp_path: Path, shell) -> None:
    out = tmp_path / "new" / "pruned.html"
    process = shell(tmp_path, "analyses.one_run.pruning", run_dir, "--order", "ipr", "--out", out)
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "stderr").read_text()
    said = (tmp_path / "stdout").read_text()
    assert said.split() == [str(out), str(out.with_suffix(".nc"))]
    assert_self_contained(out, figures=2)
    assert_holds(out.with_suffix(".nc"), pruning.compute(corrupted_run, orders=["ipr"]))


def test_phases_script_writes_beside_the_run(
    run_dir: Path, corrupted_run: gi.Run, tmp_path: Path, shell
) -> None:
    process = shell(tmp_path, "analyses.one_run.phases", run_dir)
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "stderr").read_text()
    assert_self_contained(run_dir / "figures" / "phases.html", figures=1)
    phase = phases.classify(corrupted_run)
    assert f"corruption 0.3, seed 5: {phase}" in (tmp_path / "stdout").read_text()
    assert_holds(run_dir / "figures" / "phases.nc", phases.compute(corrupted_run))
    assert gi.Run.load(run_dir).config == corrupted_run.config  # its folder is still a run


def test_scripts_take_several_runs(
    run_dir: Path, corrupted_run: gi.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "two.html"
    monkeypatch.setattr(sys, "argv", ["phases", *map(str, (run_dir, run_dir, "--out", out))])
    with pytest.raises(SystemExit) as left:
        run_script("phases", phases.compute, [phases.plot_phases])
    assert left.value.code == 0
    assert_holds(out.with_suffix(".nc"), phases.compute([corrupted_run, corrupted_run]))


@pytest.mark.parametrize(
    ("folders", "complaint"),
    [([".", "."], "takes one run folder, got 2"), (["nowhere"], "nowhere is not a run folder")],
)
def test_mistakes_end_in_one_line_without_a_traceback(
    folders: list[str],
    complaint: str,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["weight_norms", *(str(run_dir / name) for name in folders)])
    with pytest.raises(SystemExit) as left:
        run_script("weight_norms", one_run(weight_norms.compute), [weight_norms.plot_norms])
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert complaint in said.err
    assert said.err.count("\n") == 1


def test_figures_share_one_copy_of_the_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = xr.Dataset({"value": ("step", [1.0, 2.0])})
    figures = [go.Figure(go.Scatter(y=[i])) for i in range(3)]
    out = tmp_path / "three.html"
    write_figures("three", tmp_path, out, data, figures)
    assert_self_contained(out, figures=3)
    alone = tmp_path / "one.html"
    write_figures("one", tmp_path, alone, data, figures[:1])
    assert out.stat().st_size < alone.stat().st_size + 50_000
    assert_holds(tmp_path / "three.nc", data)
    assert capsys.readouterr().out.split()[:2] == [str(out), str(tmp_path / "three.nc")]


def test_a_page_named_like_the_numbers_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "figures.nc"
    out.write_bytes(b"numbers of before")
    with pytest.raises(ValueError, match=r"out must end in \.html, got .*figures\.nc"):
        write_figures("x", tmp_path, out, xr.Dataset({"value": 1.0}), [go.Figure()])
    assert out.read_bytes() == b"numbers of before"
    assert list(tmp_path.iterdir()) == [out]
