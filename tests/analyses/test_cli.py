import json
import re
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from typer.testing import CliRunner

import grokinterp as gi
from analyses.cli import app, runs

TINY = [
    "--set", "data.p=11", "--set", "data.corruption=0.3", "--set", "model.d_mlp=24",
    "--set", "training.steps=60",
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def no_type_checker() -> Iterator[None]:
    """The shell's user meets the code's own checks, not those of the tests' import hook."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    code, _, err = invoke("train", out, *TINY)
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
    code, out, _ = invoke("train", again, "--config", trained / "run.json", *options)
    assert code == 0
    config = gi.RunConfig.from_dict(json.loads(out)["config"])
    assert config == gi.Run.load(trained).config.replace({"seed": 5})
    assert gi.Run.load(again).model.W_E.dtype == torch.float64


def test_analyse_writes_a_self_contained_page(trained: Path) -> None:
    code, out, _ = invoke("analyse", trained)
    assert code == 0
    page = (trained / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    figures = page.split("</script></head>")[1].count("<section>")
    assert figures == 8
    assert page.count('class="plotly-graph-div"') == figures
    for sentence in re.findall(r"</div><p>(.*?)</p></section>", page, flags=re.DOTALL):
        assert len(sentence) > 40
    assert "phase" in out
    assert "report.html" in out


def test_json_is_json_and_agrees_with_the_run(trained: Path, tmp_path: Path) -> None:
    code, out, _ = invoke("analyse", trained, "--out", tmp_path / "r.html", "--json")
    summary = json.loads(out)
    assert code == 0
    last = gi.Run.load(trained).history.isel(step=-1)
    assert summary["accuracy"]["test"] == pytest.approx(float(last.test_accuracy))
    assert sum(list(summary["neurons"].values())[1:]) == summary["neurons"]["all"] == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.wd=3"], r"'training\.wd' is no field.*training\.weight_decay"),
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
    code, _, err = invoke("train", tmp_path / "run", *arguments)
    assert code == 2
    assert re.fullmatch(f"Error: .*{message}.*\n", err)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_refused_before_training(trained: Path) -> None:
    before = (trained / "run.json").read_bytes()
    code, _, err = invoke("train", trained, *TINY)
    assert code == 2
    assert "already holds a run" in err
    assert (trained / "run.json").read_bytes() == before


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    code, _, err = invoke("analyse", tmp_path)
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
    code, out, _ = invoke("demo", "--out", tmp_path / "demo", "--precision", "bfloat16", "--json")
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
