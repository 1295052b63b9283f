import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import grokinterp as gi
from analyses.phase_diagrams import sweep_job
from tests.analyses.shell import told

pytestmark = pytest.mark.usefixtures("no_type_checker_in_module")

QUICK = ["--set", "data.p=13", "--set", "model.d_mlp=32", "--set", "training.steps=60"]


def sweep(out: Path, *options: str) -> tuple[int, str, str]:
    return told(
        "sweep", "fig3a", "--size", "tiny", "--device", "cpu", "--out", out, *QUICK, *options
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished sweep of two seeds, and what the command printed."""
    out = tmp_path_factory.mktemp("cli") / "sweep"
    code, printed, err = sweep(out, "--seeds", "2", "--panels", "0,5,30")
    assert code == 0, err
    return out, printed


def test_a_preset_is_trained_stored_and_drawn(drawn: tuple[Path, str]) -> None:
    out, printed = drawn
    stored = gi.open_sweep(out / "sweep.zarr")
    axes = ["training.weight_decay", "data.train_fraction", "data.corruption"]
    assert dict(stored.done.sizes) == dict.fromkeys(axes, 3) | {"seed": 2}
    assert bool(stored.done.all())
    assert bool(stored.mean_ipr.notnull().all())
    assert "54 runs of 60 steps; cpu, float32, 1 process" in printed
    assert re.search(r"time: (about \d+ s|less than a second)", printed)
    page = (out / "diagram.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert page.count('class="plotly-graph-div"') == 3  # phases, accuracies, IPR
    assert "<h1>Fig. 3a (fig3a, tiny)</h1>" in page


def test_the_summary_counts_every_cell(drawn: tuple[Path, str]) -> None:
    out, printed = drawn
    summary = json.loads((out / "summary.json").read_text())
    panels = summary["cells"]
    assert [sum(counts.values()) for counts in panels.values()] == [9, 9, 9]
    for i, value in enumerate(("0", "5", "30")):
        assert list(panels)[i].startswith(f"weight decay {value} ")
    lines = [line.split() for line in printed.splitlines()]
    for phase in {name for counts in panels.values() for name in counts}:
        counts = [str(panel.get(phase, 0)) for panel in panels.values()]
        assert [*phase.split(), *counts] in lines
    assert summary["disagreements"]["of"] == summary["trained"] == 54
    assert summary["config"]["model"]["d_mlp"] == 32


def test_a_run_of_the_sweep_is_the_run_of_its_config(drawn: tuple[Path, str]) -> None:
    stored = gi.open_sweep(drawn[0] / "sweep.zarr")
    config = gi.RunConfig(
        data=gi.DataConfig(p=13, train_fraction=0.6, corruption=0.2, seed=1),
        model=gi.MLPConfig(d_mlp=32),
        training=gi.TrainConfig(steps=60, weight_decay=5.0),
        seed=1,
    )
    last = gi.train(config, device="cpu", progress=False).history.isel(step=-1)
    cell = stored.isel({"training.weight_decay": 1}).sel(
        {"data.train_fraction": 0.6, "data.corruption": 0.2, "seed": 1}
    )
    for subset in ("train", "test", "changed"):
        got = float(cell.final_accuracy.sel(subset=subset))
        assert got == pytest.approx(float(last[f"{subset}_accuracy"]), abs=0.05)
    assert float(cell.final_norm) == pytest.approx(
        float(np.sqrt((last["norm"] ** 2).sum())), rel=1e-3
    )


def test_an_existing_sweep_needs_resume(drawn: tuple[Path, str]) -> None:
    out, _ = drawn
    options = ("--seeds", "2", "--panels", "0,5,30")
    code, _, err = sweep(out, *options)
    assert code == 2
    assert re.fullmatch(r"Error: .* already holds a sweep; resume it with --resume .*\n", err)
    before = (out / "summary.json").read_text()
    code, printed, _ = sweep(out, *options, "--resume")
    assert code == 0
    assert "nothing is left to train" in printed
    assert (out / "summary.json").read_text() == before
    code, _, err = sweep(out, *options, "--resume", "--set", "training.lr=0.1")
    assert code == 2
    assert re.fullmatch(r"Error: .*another sweep: training\.lr differ.*--out\n", err)
    code, _, err = sweep(out, "--resume")
    assert code == 2
    assert re.search(r"the values of training\.weight_decay, the values of seed differ", err)
    code, _, err = sweep(out, *options, "--resume", "--precision", "float64")
    assert code == 2
    assert re.fullmatch(r"Error: .*precision was 'float32', now 'float64'.*\n", err)


def test_json_and_nothing_else(tmp_path: Path) -> None:
    code, out, _ = sweep(tmp_path / "a", "--json", "--estimate-only")
    plan = json.loads(out)
    assert code == 0
    assert not (tmp_path / "a").exists()
    assert plan["runs"] == plan["left"] == 18
    assert plan["steps"] == 18 * 60
    assert 0 < plan["seconds_estimated"] < 60
    code, out, _ = sweep(tmp_path / "a", "--json", "--panels", "5", "--per-neuron")
    summary = json.loads(out)
    assert code == 0
    assert summary == json.loads((tmp_path / "a" / "summary.json").read_text())
    stored = gi.open_sweep(tmp_path / "a" / "sweep.zarr")
    assert stored.ipr.shape == (1, 3, 3, 1, 32)
    code, out, _ = sweep(
        tmp_path / "a", "--json", "--panels", "5", "--per-neuron", "--estimate-only"
    )
    assert code == 0
    assert json.loads(out)["left"] == json.loads(out)["seconds_estimated"] == 0


@pytest.mark.slow
def test_adaptive_infers_what_lies_between(tmp_path: Path) -> None:
    """One phase everywhere: the four corners are enough. A redraw knows it was refined."""
    options = ["--adaptive", "--panels", "0", "--set", "training.steps=1", "--json"]
    code, out, err = sweep(tmp_path, *options)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["trained"] == 4
    assert summary["inferred"] == 5
    assert list(summary["cells"].values()) == [{"confusion": 9}]
    assert "inferred, not trained" in (tmp_path / "diagram.html").read_text()
    code, out, _ = told(
        "diagram", tmp_path / "sweep.zarr", "--out", tmp_path / "again.html", "--json"
    )
    assert code == 0
    assert json.loads(out)["cells"] == summary["cells"]


@pytest.mark.slow
def test_diagram_redraws_a_store_and_a_file(drawn: tuple[Path, str], tmp_path: Path) -> None:
    stored = gi.open_sweep(drawn[0] / "sweep.zarr")
    stored.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    said = []
    for source in (drawn[0] / "sweep.zarr", tmp_path / "sweep.nc"):
        page = tmp_path / f"{source.suffix[1:]}.html"
        code, out, err = told("diagram", source, "--out", page, "--json")
        assert code == 0, err
        assert "54 of 54 runs are trained" in page.read_text()
        said.append(json.loads(out)["cells"])
    summary = json.loads((drawn[0] / "summary.json").read_text())
    assert said == [summary["cells"]] * 2
    turned = ["--x", "training.weight_decay", "--y", "data.corruption"]
    turned += ["--panel", "data.train_fraction"]
    code, out, _ = told("diagram", tmp_path / "sweep.nc", *turned, "--json")
    assert code == 0
    assert [sum(c.values()) for c in json.loads(out)["cells"].values()] == [9, 9, 9]
    assert (tmp_path / "sweep.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep"], r"name a preset, or --list them: .*fig3a"),
        (["sweep", "fig3c"], r"'fig3c' is unknown\. Did you mean 'fig3[ab]'"),
        (["sweep", "fig3a", "--size", "big"], "size='big' is unknown"),
        (["sweep", "fig3a", "--panels", "0;5"], "--panels needs numbers"),
        (["sweep", "fig3a", "--panels", "0,0"], "has 0.0 twice"),
        (["sweep", "fig3b", "--panels", "0,1"], r"dropout=1\.0.*dropout must lie in \[0\.0, 1"),
        (["sweep", "fig3a", "--set", "training.wd=3"], r"not a field.*training\.weight_decay"),
        (["sweep", "fig3a", "--set", "training.weight_decay=3"], "is an axis.*use --panels"),
        (["sweep", "fig3a", "--set", "data.corruption=.3"], "is an axis.*another --size"),
        (["sweep", "fig3a", "--seeds", "0"], "seeds must be at least 1"),
        (["sweep", "fig3a", "--workers", "0"], "workers must be at least 1"),
        (["sweep", "fig3a", "--precision", "half"], "precision='half' is unknown"),
        (
            ["sweep", "fig3a", "--memory-limit", "1 KB"],
            "memory_limit='1 KB' is too low for one run",
        ),
        (["diagram", "missing.zarr"], "missing.zarr does not exist"),
        (["diagram", "tests"], "tests is not a grokinterp sweep"),
        (["diagram", "pyproject.toml"], "pyproject.toml is not a netCDF file"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(tmp_path)
    code, _, err = told(*arguments)
    assert code == 2
    assert re.fullmatch(f"Error: .*{message}.*\n", err), err
    assert not (tmp_path / "sweeps").exists()


@pytest.mark.parametrize(
    "error",
    [gi.MeasureError("a"), gi.SweepExecutorError("b"), gi.SweepStoreError("c")],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_a_sweep_are_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sweep_job.gi, "sweep", fail)
    assert sweep(tmp_path)[::2] == (2, f"Error: {error}\n")


def test_list_names_every_preset() -> None:
    from analyses.phase_diagrams.presets import PRESETS

    code, out, _ = told("sweep", "--list")
    assert code == 0
    for name, preset in PRESETS.items():
        assert name in out
        assert preset.figure in out
    code, out, _ = told("sweep", "--list", "--json")
    assert json.loads(out).keys() == PRESETS.keys()


# Enough steps that it cannot be over before it is stopped.
LONGER = ["sweep", "fig3a", "--size", "tiny", "--panels", "5", "--chunk", "1"]
LONGER += ["--device", "cpu", "--precision", "float64", *QUICK, "--set", "training.steps=400"]


def stored(out: Path) -> int:
    """How many blocks of one run have been stored."""
    return len(list((out / "sweep.zarr" / "done").glob("[0-9]*")))


def stopped(how: signal.Signals, shell, out: Path, *options: str) -> tuple[int, str]:
    """The command, sent a signal once it has stored something: its exit code, and what it said.

    Ctrl-C reaches every process of the terminal's foreground group.
    """
    out.mkdir(exist_ok=True)
    before = stored(out)
    process = shell(out, "analyses.cli", *LONGER, "--out", out, *options)
    give_up = time.monotonic() + 180
    while stored(out) == before:
        if time.monotonic() > give_up or not process.is_alive():
            process.kill()
            pytest.fail(f"nothing was stored: {(out / 'stderr').read_text()}")
        time.sleep(0.005)
    os.killpg(process.pid, how)
    process.join(60)
    return process.exitcode, (out / "stdout").read_text() + (out / "stderr").read_text()


def interrupted(shell, out: Path, workers: str) -> None:
    """It says how to go on."""
    code, said = stopped(signal.SIGINT, shell, out, "--workers", workers)
    assert code == 130, said
    assert ("1 process" if workers == "1" else f"{workers} processes") in said
    done = int(gi.open_sweep(out / "sweep.zarr").done.sum())
    assert 0 < done < 9
    assert f"Interrupted; {done} of 9 runs are stored" in said
    assert "--resume" in said
    assert "Traceback" not in said


def resumed(shell, out: Path) -> None:
    """To the end; in a process like the first, as here measures are checked and so others."""
    done = int(gi.open_sweep(out / "sweep.zarr").done.sum())
    process = shell(out, "analyses.cli", *LONGER, "--out", out, "--resume")
    process.join(180)
    assert process.exitcode == 0, (out / "stderr").read_text()
    assert f"{done} of them done" in (out / "stdout").read_text()
    assert bool(gi.open_sweep(out / "sweep.zarr").done.all())


@pytest.mark.command
def test_a_sweep_that_is_stopped_goes_on(tmp_path: Path, shell) -> None:
    """Interrupted, then killed; and what two worker processes began ends as the work of one."""
    one, two = tmp_path / "one", tmp_path / "two"
    interrupted(shell, one, "1")
    code, _ = stopped(signal.SIGKILL, shell, one, "--resume")
    assert code == -signal.SIGKILL
    assert 1 < int(gi.open_sweep(one / "sweep.zarr").done.sum()) < 9
    code, _, err = told("diagram", one / "sweep.zarr", "--out", one / "half.html")
    assert code == 0, err
    assert "not trained" in (one / "half.html").read_text()
    resumed(shell, one)
    interrupted(shell, two, "2")
    resumed(shell, two)
    losses = [gi.open_sweep(out / "sweep.zarr").final_loss for out in (one, two)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
