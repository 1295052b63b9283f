"""The report of every architecture: which questions it answers, and why not the others."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from torch import nn

import grokinterp as gi
from analyses import hypothesis
from analyses.one_run import pruning
from analyses.one_run.stored_networks import evenly_spaced
from analyses.one_run.summary import table_rows
from analyses.pages.report import Report, write_report
from tests.analyses.pages.test_page import NASTY, Texts

P = 7
ALWAYS = ["training curves", "removing units", "Hypothesis 2.2", "weight norms"]
ALWAYS += ["units by frequency", "corrupted examples", "progress measures"]
ALWAYS += ["frequencies of the tables"]
MODELS: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=8),
    "deep": gi.MLPConfig(d_mlp=8, n_layers=2, act="relu"),
    "normed": gi.MLPConfig(d_mlp=8, norm="batch"),
    "transformer": gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8),
    "lstm": gi.LSTMConfig(d_embed=4, d_hidden=8),
    "embedding MLP": gi.EmbeddingMLPConfig(d_embed=4, hidden=(8,)),
}
ALSO = {"mlp": ["IPR over training"], "transformer": ["attention"]}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws and few removals."""
    for module, changes in ((hypothesis, {"random_draws": 2}), (pruning, {"removals": 3})):
        monkeypatch.setattr(module, "compute", functools.partial(module.compute, **changes))
    monkeypatch.setattr("analyses.pages.report._REMOVALS", 3)


def trained(model: Any, **data: Any) -> gi.Run:
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, corruption=0.3, **data),
        model=model,
        training=gi.TrainConfig(steps=4, eval_every=2),
    )
    checkpoints = evenly_spaced(4, 1)
    return gi.train(config, device="cpu", progress=False, checkpoints=checkpoints)


@pytest.mark.parametrize(
    "name",
    [name if name == "mlp" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_every_network_gets_a_report(name: str) -> None:
    report = Report(trained(MODELS[name]))
    sections = report.sections()
    expected = set(ALWAYS) | set(ALSO.get(name, []))
    assert report.questions.keys() - report.not_shown.keys() == expected
    assert all(len(part.sentence) > 20 for part in sections[:-1])
    assert sections[-1].title == "Not shown, and why"
    assert list(sections[-1].rows) == list(report.not_shown.items())
    told = dict(table_rows(report.summary))
    assert told["Hypothesis 2.2"].startswith("not applicable")
    assert told["network"] == report.run.model.description
    (table,) = [part.rows for part in sections if part.title.startswith("Hypothesis 2.2")]
    assert [row[0] for row in table] == list(hypothesis.compute(report.run).ingredient.values)
    assert not any("nan" in cell for row in table for cell in row)


def test_a_network_that_was_trained_elsewhere_gets_one() -> None:
    net = nn.Sequential(nn.Linear(2 * P, 8), nn.ReLU(), nn.Linear(8, P))
    model = gi.wrap(net, p=P, first="0", neurons="1", readout="2", inputs="one-hot")
    data = gi.make_dataset(gi.DataConfig(p=P, corruption=0.3))
    pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
    report = Report(gi.as_run(model, pairs, labels, operation="addition"))
    sections = report.sections()
    over_training = ["training curves", "weight norms", "progress measures"]
    over_training += ["frequencies of the tables"]
    assert report.not_shown.keys() == {*over_training, "dissociation", "attention"}
    assert any("How periodic" in str(part.figure) for part in sections)
    unknown = {
        "weight decay (lr x weight decay)",
        "accuracy: train, redrawn labels (1/p of them true)",
    }
    assert not unknown & dict(table_rows(report.summary)).keys()
    settings = report.summary["training"]
    assert settings.pop("ending") == "trained elsewhere"
    assert set(settings.values()) == {report.summary["task"]["data_seed"]} == {None}
    assert "trained elsewhere, and only its end" in report.not_shown["progress measures"]


def test_what_both_memorises_and_generalises_is_taken_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The analytic solution beside neurons that know one wrong label each."""
    model = gi.closed_form_mlp(p=P, d_mlp=60).double()
    run = trained(gi.MLPConfig(d_mlp=60))
    last = {"test_accuracy": 1.0, "changed_accuracy": 1.0}
    history = run.history.assign({name: run.history[name] * 0 + x for name, x in last.items()})
    run = gi.Run(run.config, run.dataset, model, history)
    asked: list[Any] = []

    def compute(networks: Mapping[str, Any], **options: Any) -> xr.Dataset:
        asked.append(options)
        values = {"S_mem": 0.9, "S_gen": 0.8, "units": 60.0}
        data = xr.Dataset({name: (("row", "seed"), [[x]]) for name, x in values.items()})
        controls = (("row", "seed", "order"), [[[0.1, 0.3, 0.2]]])
        data = data.assign(control_mem=controls, control_gen=controls)
        data["verdict"] = ("row", "seed"), [["separable"]]
        return data.assign_coords(unit=("row", ["neurons.0"]))

    monkeypatch.setattr("analyses.dissociation.compute", compute)
    report = Report(run)
    (table,) = report.questions["dissociation"]()
    assert dict(zip(table.head, table.rows[0], strict=True)) == {
        "units": "neurons.0", "n": "60", "verdict": "separable",
        "S_mem": "0.9", "S_gen": "0.8", "S_mem, random": "0.3", "S_gen, random": "0.3",
    }  # fmt: skip
    told = dict(table_rows(report.summary))
    assert told["dissociation: neurons.0"] == "separable (S_mem 0.900, S_gen 0.800)"


def test_a_page_escapes_markup_and_has_plotly_once(tmp_path: Path) -> None:
    labels = tuple((a + b) % P for a in range(P) for b in range(P))
    run = trained(gi.MLPConfig(d_mlp=4), operation=gi.Table(NASTY, P, labels))
    summary = write_report(run, tmp_path / "report.html")
    page = Texts()
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"plotly\.js v\d", text)) == 1
    assert len(text) < 5.1e6
    assert ">Open the explorer of this run<" in text
    assert re.findall(r'class="button" href="(.*?)"', text) == ["explorer.html"]
    assert (tmp_path / "explorer.html").exists()
    page.feed(text)
    assert "".join(page.texts["h1"]).startswith(NASTY)
    assert "b" not in page.tags
    assert "has no known periodic basis" in summary["not_shown"]["Hypothesis 2.2"]
    assert summary["hypothesis"] is None


def test_an_explorer_beside_the_report_or_why_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Report, "questions", {})
    run = trained(gi.MLPConfig(d_mlp=4))
    write_report(run, tmp_path / "one.html")
    assert 'href="one-explorer.html"' in (tmp_path / "one.html").read_text(encoding="utf-8")
    assert (tmp_path / "one-explorer.html").exists()

    write_report(run, tmp_path / "other.html", explorer=False)
    assert not (tmp_path / "other-explorer.html").exists()
    text = (tmp_path / "other.html").read_text(encoding="utf-8")
    assert "grokinterp explore RUN writes" in text

    slow = trained(gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8))
    for explorer in (None, True):
        write_report(slow, tmp_path / "slow.html", explorer=explorer)
        assert (tmp_path / "slow-explorer.html").exists() == (explorer is True)

    def refuse(*given: Any, **options: Any) -> None:
        raise ValueError("too wide for a page")

    monkeypatch.setattr("analyses.explorer.write_explorer", refuse)
    summary = write_report(run, tmp_path / "two.html")
    text = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert summary["not_shown"]["explorer"] == "too wide for a page"
    assert "too wide for a page" in text
    assert 'class="button"' not in text
