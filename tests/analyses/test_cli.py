import functools
import json
import os
import re
import signal
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses import hypothesis
from analyses.cli import runs
from analyses.one_run import grokking
from tests.analyses.shell import told

pytestmark = pytest.mark.usefixtures("no_type_checker_in_module")


def settings(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


TINY = settings("data.p=11", "data.corruption=0.3", "model.d_mlp=24", "training.steps=60")
SMALL = settings("data.p=11", "model.d_mlp=8", "training.steps=20")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    code, _, err = told("train", out, *TINY)
    assert code == 0, err
    return out


def test_train_saves_the_run_that_was_asked_for(trained: Path) -> None:
    run = gi.Run.load(trained)
    assert run.config == gi.RunConfig(
        data=gi.DataConfig(p=11, corruption=0.3),
        model=gi.MLPConfig(d_mlp=24),
        training=gi.TrainConfig(steps=60),
    )
    assert "mean_ipr" in run.history


def test_a_runs_own_config_can_be_trained_again(trained: Path, tmp_path: Path) -> None:
    again, options = tmp_path / "again", ("--precision", "float64", "--set", "seed=5", "--json")
    code, out, _ = told("train", again, "--config", trained / "run.json", *options)
    assert code == 0
    config = gi.RunConfig.from_dict(json.loads(out)["config"])
    assert config == gi.Run.load(trained).config.replace({"seed": 5})
    assert gi.Run.load(again).model.W_E.dtype == torch.float64


def test_fewer_networks_than_asked_are_told_of(tmp_path: Path) -> None:
    code, _, said = told("train", tmp_path / "run", *SMALL, "--checkpoints", "5")
    steps = {kept.step for kept in gi.Run.load(tmp_path / "run").checkpoints.values()}
    assert (code, steps) == (0, {10, 20})
    assert "1 of 5 checkpoints lie on the way" in said
    assert "training.eval_every" in said


def test_networks_kept_on_the_way_are_seen_over_training(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert told("train", out, *SMALL, "--checkpoints", "1")[0::2] == (0, "")
    run = gi.Run.load(out)
    assert [kept.step for kept in run.checkpoints.values()] == [10]
    code, printed, _ = told("analyse", out, "progress_measures", "--follow", "--json")
    assert code == 0
    found = json.loads(printed)
    assert found["rows"][0].startswith("3 stored steps, 0 to 20")
    page = Path(found["page"]).read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    code, printed, _ = told("analyse", out, "embedding_planes", "--n-frequencies", "2", "--json")
    assert code == 0
    assert "Plotly.addFrames" in Path(json.loads(printed)["page"]).read_text()


def test_analyse_writes_a_self_contained_page(trained: Path) -> None:
    code, out, _ = told("analyse", trained)
    assert code == 0
    page = (trained / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    sections = page.split("</head>")[1].split("<section>")[1:]
    assert sum('class="plotly-graph-div"' in section for section in sections) == 13
    sentences = [re.findall(r"<p>(.*?)</p>", section, flags=re.DOTALL) for section in sections]
    assert [len(found) for found in sentences] == [1] * 14 + [0]  # last: what is not shown, and why
    assert "phase" in out
    assert "report.html" in out


def test_json_is_json_and_agrees_with_the_run(trained: Path, tmp_path: Path) -> None:
    code, out, _ = told("analyse", trained, "--out", tmp_path / "r.html", "--json")
    summary = json.loads(out)
    assert code == 0
    last = gi.Run.load(trained).history.isel(step=-1)
    assert summary["accuracy"]["test"] == pytest.approx(float(last.test_accuracy))
    assert sum(list(summary["neurons"].values())[1:]) == summary["neurons"]["all"] == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.wd=3"], r"'training\.wd' is not a field.*training\.weight_decay"),
        (["--set", "data.p"], "needs PATH=VALUE"),
        (["--set", "data.train_fraction=2"], r"train_fraction must lie in \(0\.0, 1\.0\), got 2"),
        (["--set", "model.act=sqare"], "Did you mean 'square'"),
        (["--precision", "half"], "precision='half' is unknown"),
        (["--config", "missing.json"], "missing.json"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    code, _, err = told("train", tmp_path / "run", *arguments)
    assert code == 2
    assert re.fullmatch(f"Error: .*{message}.*\n", err)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_refused_before_training(trained: Path) -> None:
    before = (trained / "run.json").read_bytes()
    code, _, err = told("train", trained, *TINY)
    assert code == 2
    assert "already holds a run" in err
    assert (trained / "run.json").read_bytes() == before


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    code, _, err = told("analyse", tmp_path)
    assert code == 2
    assert "run.json is missing" in err


@pytest.mark.slow
def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published_run: gi.Run) -> None:
    """The paper's default network, at its step 1000: coexistence, and pruning it (Fig. 6)."""
    asked: list[object] = []

    def trained(config: gi.RunConfig, out: Path, *options: object, progress: bool) -> gi.Run:
        asked.extend((config, *options, progress))
        published_run.save(out)
        return published_run

    monkeypatch.setattr(runs, "_train_and_save", trained)
    few = functools.partial(hypothesis.compute, random_draws=2)
    monkeypatch.setattr(hypothesis, "compute", few)
    code, out, _ = told("demo", "--out", tmp_path / "demo", "--precision", "bfloat16", "--json")
    paper = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
    assert asked == [paper, "bfloat16", None, False, False]
    summary = json.loads(out)
    assert code == 0
    assert (tmp_path / "demo" / "report.html").stat().st_size > 1e6
    assert summary["phase"] == "coexistence"
    low, high = summary["pruning_by_ipr"]["low"], summary["pruning_by_ipr"]["high"]
    assert low["fraction"] == 0.6
    assert low["test"] >= 0.97
    assert low["changed"] < 0.05
    assert high["fraction"] == 0.3
    assert high["test"] < 0.05
    assert high["changed"] >= 0.90


# What train does unless it is told otherwise, and what is shown of it.


def test_trains_default_has_corrupted_labels(tmp_path: Path) -> None:
    code, out, err = told("train", tmp_path / "run", *SMALL)
    assert code == 0, err
    run = gi.Run.load(tmp_path / "run")
    expected = {"data.p": 11, "data.corruption": 0.35, "model.d_mlp": 8, "training.steps": 20}
    assert run.config == gi.RunConfig().replace(expected)
    wrong = int(run.dataset.is_changed.sum())
    assert wrong > 0
    assert f"addition mod 11, {wrong} of 60 training labels wrong, 20 steps" in out


@pytest.mark.slow
@pytest.mark.parametrize("corruption", [0, 1])
def test_what_is_not_defined_is_left_out(corruption: int, tmp_path: Path) -> None:
    """Without corrupted labels, or without any other, a subset is empty."""
    options = settings(f"data.corruption={corruption}", "data.corruption_kind=derangement")
    assert told("train", tmp_path / "run", *SMALL, *options)[0] == 0
    code, out, err = told("analyse", tmp_path / "run")
    assert code == 0, err
    assert "nan" not in out.lower()
    missing, there = ["corrupted labels", "uncorrupted labels"][:: 1 if corruption == 0 else -1]
    assert f"accuracy: train, {missing} " not in out
    assert f"accuracy: train, {there} " in out
    page = (tmp_path / "run" / "report.html").read_text().split("</head>")[1]
    sentences = re.findall(r"<(?:p|td|th|h1)>(.*?)<", page)
    assert len(sentences) > 20
    assert not [text for text in sentences if re.search(r"\bnan\b", text, re.IGNORECASE)]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    _, out, _ = told("analyse", tmp_path / "run", "--json")
    accuracy = json.loads(out, parse_constant=refuse)["accuracy"]
    assert (accuracy["changed"] is None) == (corruption == 0)
    assert (accuracy["unchanged"] is None) == (corruption == 1)


def test_a_diverged_run_says_so_and_shows_no_undefined_number(tmp_path: Path) -> None:
    with pytest.warns(gi.DivergenceWarning):
        code, out, _ = told("train", tmp_path / "run", *SMALL, "--set", "training.lr=1e30")
    assert "diverged after 1 of 20 steps" in out
    code, out, _ = told("analyse", tmp_path / "run")
    assert code == 0
    assert "nan" not in out.lower()
    assert "diverged after 1 of 20 steps" in out


# Interrupted, and what is done about it.


@pytest.fixture(params=[1])
def interrupted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C at the first evaluated step, and perhaps again at the next."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    left = [request.param]

    def press(model: gi.HookedModel) -> float:
        left[0] -= 1
        if left[0] >= 0:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    monkeypatch.setattr(grokking, "PROBES", {"pressed": press})
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("interrupted", [2], indirect=True)
@pytest.mark.usefixtures("interrupted")
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    code, out, err = told("train", tmp_path / "run", *SMALL)
    assert (code, out) == (130, "")
    assert "Interrupted; there is nothing to save" in err
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_run_is_saved_as_unfinished(tmp_path: Path) -> None:
    code, out, err = told("train", tmp_path / "run", *SMALL)
    assert code == 130
    assert out == ""
    assert f"saved to {tmp_path / 'run'}: unfinished: interrupted after 1 of 20 steps" in err
    run = gi.Run.load(tmp_path / "run")
    assert run.interrupted_at == 1
    assert run.history.step.values.tolist() == [0, 1]
    code, out, _ = told("analyse", tmp_path / "run")
    assert code == 0
    assert "unfinished: interrupted" in out
    page = (tmp_path / "run" / "report.html").read_text()
    assert re.search(r"<h1>.*unfinished: interrupted after 1 of 20 steps.*</h1>", page)


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_while_the_unfinished_run_is_saved_is_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gi.Run.save

    def pressed(run: gi.Run, *args: Any, **options: Any) -> Path:
        signal.raise_signal(signal.SIGINT)
        return real(run, *args, **options)

    monkeypatch.setattr(gi.Run, "save", pressed)
    code, _, err = told("train", tmp_path / "run", *SMALL)
    assert code == 130
    assert "saved to" in err
    assert gi.Run.load(tmp_path / "run").interrupted_at == 1


@pytest.mark.usefixtures("interrupted")
def test_an_unfinished_run_does_not_replace_a_finished_one(
    corrupted_run: gi.Run, tmp_path: Path
) -> None:
    corrupted_run.save(tmp_path / "run")
    code, _, err = told("train", tmp_path / "run", *SMALL, "--overwrite")
    assert code == 130
    assert "run-unfinished" in err
    assert gi.Run.load(tmp_path / "run").config == corrupted_run.config
    assert gi.Run.load(tmp_path / "run-unfinished").interrupted_at == 1


def test_a_run_that_cannot_be_saved_is_saved_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was free when training began, and is not when it ends."""
    real = gi.train

    def slow(*args: object, **kwargs: object) -> gi.Run:
        (tmp_path / "run").write_text("somebody else's")
        return real(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(gi, "train", slow)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code, _, err = told("train", tmp_path / "run", *SMALL)
    assert code == 2
    rescued = re.search(r"The run is in (\S+) instead", err)
    assert rescued is not None
    assert gi.Run.load(rescued[1]).config.data.p == 11


@pytest.mark.parametrize("place", ["here", "link", "file/run", "x" * 300])
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*args: object, **kwargs: object) -> gi.Run:
        raise AssertionError("trained")

    monkeypatch.setattr(gi, "train", train)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.tex").touch()
    code, _, err = told("train", tmp_path / place, *SMALL)
    assert code == 2
    assert re.fullmatch(r"Error: .*choose another.*\n", err)


@pytest.mark.parametrize("name", ["nanda2023", "zhong2023"])
def test_published_settings_by_name(name: str, tmp_path: Path) -> None:
    small = settings("data.p=7", "model.d_model=8", "training.steps=2")
    code, _, err = told("train", tmp_path / "run", "--config", name, *small)
    assert code == 0, err
    config = gi.Run.load(tmp_path / "run").config
    assert config.training.loss == "cross_entropy_float64"
    assert config.data.train_fraction == {"nanda2023": 0.3, "zhong2023": 0.8}[name]


# Bad options: a line that names them.


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ('{"model": ["mlp"]}', ["--model", "mlp"], "model must be a mapping"),
        ('{"model": {"kind": ["mlp"]}}', ["--model", "mlp"], "contradicts --config"),
        ('{"config": [1]}', [], "must hold a JSON object"),
        ("[" * 100_000, [], r"c\.json is nested too deeply"),
        ('{"seed": ' + "1" * 5000 + "}", [], r"c\.json is truncated or not JSON"),
        (b"\xff\xfe", [], r"c\.json is truncated or not JSON"),
        ("{}", ["--set", "data.p=" + "[" * 100_000], "--set data.p is nested too deeply"),
        ("{}", ["--set", "seed=" + "1" * 5000], "--set seed"),
        ("{}", ["--set", "seed=NaN"], "seed must be an integer"),
        ("{}", ["--set", "training.betas=3"], "betas"),
        ("{}", ["--set", 'model={"kind": "mlp"}'], "model must be"),
        ("{}", ["--set", "=3"], "is not a field"),
        ("{}", ["--set", "data=1", "--set", "data.p=7"], "data must be of type DataConfig, got 1"),
        ('{"data": {"operation": {"name": "x", "p": 2, "labels": 5}}}', [], "labels must be a tup"),
        ("{}", ["--model", "rnn"], "model.kind='rnn' is unknown"),
        ("{}", ["--device", "meta"], "device='meta' cannot train; use 'cpu' or 'cuda'"),
        ("{}", ["--device", "mps"], "device='mps' cannot train: it has no float64"),
        ("{}", ["--device", ""], "device='' is not a device"),
        ("{}", ["--precision", "tf32"], "precision='tf32' needs a CUDA device"),
    ],
)
def test_bad_options_of_train(
    config: str | bytes, options: list[str], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "c.json"
    file.write_bytes(config if isinstance(config, bytes) else config.encode())
    code, _, err = told("train", tmp_path / "run", "--config", file, *options)
    assert code == 2
    assert re.search(f"^Error: .*{message}", err)
    assert len(err) < 1000
    assert not (tmp_path / "run").exists()


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert told("--version") == (0, f"grokinterp {project['version']}\n", "")
    assert "--version" in told("--help")[1]
