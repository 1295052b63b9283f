"""``grokinterp analyse RUN... [NAME]``: a page of any analysis, and the numbers behind it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import grokinterp as gi
from analyses.one_run import (
    corrupted_logits,
    logit_split,
    norm_curves,
    norm_gain,
    phases,
    pruning,
    row_ipr,
)

COMPUTE = {
    "row_ipr": row_ipr.compute,
    "corrupted_logits": corrupted_logits.compute,
    "logit_split": logit_split.compute,
    "norm_curves": norm_curves.compute,
    "norm_gain": lambda runs: norm_gain.compute(runs[0]),
}
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def normed(corrupted_run: gi.Run) -> gi.Run:
    config = corrupted_run.config.replace({"model.norm": "batch", "training.steps": 3})
    return gi.train(config, device="cpu", progress=False)


@pytest.fixture
def folder(corrupted_run: gi.Run, tmp_path: Path) -> Path:
    return corrupted_run.save(tmp_path / "run")


def assert_holds(file: Path, expected: xr.Dataset) -> None:
    with xr.open_dataset(file, engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), expected)


@pytest.mark.parametrize("name", COMPUTE)
def test_it_writes_a_page_and_the_numbers(
    name: str, normed: gi.Run, tmp_path: Path, command: Command
) -> None:
    folder = normed.save(tmp_path / "run")
    result = command("analyse", folder, name)
    assert result.exit_code == 0, result.output
    page = folder / "figures" / f"{name}.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    first, second, *verdict = result.stdout.splitlines()
    assert [first, second] == [str(page), str(page.with_suffix(".nc"))]
    assert verdict
    assert_holds(page.with_suffix(".nc"), COMPUTE[name]([normed]))
    assert gi.Run.load(folder).config == normed.config  # its folder is still a run


def test_pruning_ranks_again_if_asked(
    folder: Path, corrupted_run: gi.Run, command: Command
) -> None:
    command("analyse", folder, "pruning", "--order", "norm", "--iterative", "--random-seeds", 1)
    orders = ["norm", "random"]
    expected = pruning.compute(corrupted_run, orders=orders, random_seeds=1, iterative=True)
    assert expected.attrs["iterative"] == 1
    assert_holds(folder / "figures" / "pruning.nc", expected)


@pytest.mark.slow
def test_options_of_an_analysis(
    folder: Path, corrupted_run: gi.Run, tmp_path: Path, shell: Callable[..., Any]
) -> None:
    """In a process of its own, as a user has it."""
    out = tmp_path / "new" / "pruned.html"
    words = ["analyse", folder, "pruning", "--order", "ipr", "--out", out]
    process = shell(tmp_path, "analyses.cli", *words)
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "stderr").read_text()
    said = (tmp_path / "stdout").read_text()
    first, second, *verdict = said.splitlines()
    assert [first, second] == [str(out), str(out.with_suffix(".nc"))]
    assert [line.split("  ")[0] for line in verdict] == [
        f"removed first {which}" for which in ("low IPR", "high IPR", "random")
    ]
    assert out.read_text(encoding="utf-8").count("Plotly.newPlot(") >= 2
    expected = pruning.compute(corrupted_run, orders=["ipr", "random"])
    assert_holds(out.with_suffix(".nc"), expected)


def test_several_runs_a_row_each(
    folder: Path, corrupted_run: gi.Run, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "two.html"
    result = command("analyse", folder, folder, "phases", "--out", out)
    phase = phases.classify(corrupted_run)
    row = f"corruption 0.3  seed 5  phase {phase}  borderline"
    assert [row in line for line in result.stdout.splitlines()[2:]] == [True, True]
    assert_holds(out.with_suffix(".nc"), phases.compute([corrupted_run, corrupted_run]))


def test_json(folder: Path, corrupted_run: gi.Run, command: Command) -> None:
    found = json.loads(command("analyse", "--json", folder, "phases").stdout)
    assert found["page"] == str(folder / "figures" / "phases.html")
    (row,) = found["rows"]
    assert row["phase"] == str(phases.classify(corrupted_run))
    assert row["borderline"] in (True, False)


def test_the_name_may_stand_anywhere_and_a_folder_may_have_one(
    folder: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder.rename("phases")
    for words in (["phases", "phases"], ["weight_norms", "phases/"], ["./phases", "row_ipr"]):
        result = command("analyse", *words)
        assert result.exit_code == 0, result.output
    written = {file.stem for file in Path("phases", "figures").iterdir()}
    assert written == {"phases", "weight_norms", "row_ipr"}
    assert command("analyse", "./phases").stdout.endswith("report: phases/report.html\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["weight_norms", ".", "."], "weight_norms takes one run folder, got 2"),
        ([".", "."], "the report takes one run folder, got 2; name an analysis that takes several"),
        (["./nowhere", "phases"], "nowhere is not a run folder"),
        ([".", "phases", "--out", "page.pdf"], "out must end in .html, got page.pdf"),
        ([".", "prunning", "--order", "ipr"], "nor an analysis; did you mean pruning?"),
        (["training-curves", "."], "did you mean training_curves"),
        ([".", "xyz"], "there is report, training_curves, grokking"),
        (["--no-explorer", "xyz"], "there is report, training_curves, grokking"),
    ],
)
def test_mistakes_end_in_one_line_without_a_traceback(
    words: list[str],
    complaint: str,
    folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    result = command("analyse", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
