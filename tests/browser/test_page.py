"""The explorer's page on a narrow screen, on paper, and with little in it."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.explorer import sizes, write_explorer
from analyses.pages.explorer_link import link_to
from analyses.pages.page import write_page
from analyses.pages.report import Report
from grokinterp.data import make_dataset
from probes import subset_accuracy, unit_pruning_curve
from tests.browser.conftest import CONFIG, Opened

pytestmark = pytest.mark.slow

NONE = "\N{EN DASH}"  # where there is no number
OVER_THE_EDGE = """() => [...document.querySelectorAll('main *, header *, section *')].filter(
    (element) => { const box = element.getBoundingClientRect();
                   return box.width && (box.right > innerWidth + 1 || box.left < -1); }
    ).map((element) => element.outerHTML.slice(0, 120))"""
SMALL_LETTERS = """() => [...document.querySelectorAll('svg text')].filter((element) =>
    element.getBoundingClientRect().height < 11).length"""
UNNAMED = """() => [...document.querySelectorAll(
    'button, input, select, svg[role], canvas:not([aria-hidden]), [tabindex]')].filter((element) =>
    !(element.textContent.trim() || element.getAttribute('aria-label') || element.labels?.length)
    ).map((element) => element.id)"""


def test_on_a_narrow_screen(explorer: Path, opened: Opened) -> None:
    page = opened(explorer, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate(OVER_THE_EDGE) == []
    assert page.evaluate(SMALL_LETTERS) == 0


def test_every_control_and_figure_has_a_name(explorer: Path, opened: Opened) -> None:
    assert opened(explorer).evaluate(UNNAMED) == []


def test_on_paper(explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    page.emulate_media(media="print")
    for control in ("play", "low", "toggle", "x"):
        assert not page.locator(f"#{control}").is_visible()
    assert page.locator("#next-wrong").is_visible()  # also a legend
    assert page.locator("#curve-low").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_the_button_of_a_report_opens_it(explorer: Path, opened: Opened) -> None:
    report = explorer.with_name("report.html")
    link = link_to(explorer.parent, report)
    write_page(report, heading="", intro="", rows=[], sections=[], link=link)
    page = opened(report, until="a")
    page.locator("a").click()
    page.wait_for_selector("body[data-ready=yes]")
    assert page.locator("h1").inner_text() == "addition mod 13"


def test_a_report_is_drawn_without_a_warning(run: gi.Run, tmp_path: Path, opened: Opened) -> None:
    questions = Report(run).questions
    names = ("training curves", "units by frequency", "corrupted examples", "weight norms")
    sections = [part for name in names for part in questions[name]()]
    write_page(tmp_path / "report.html", heading="", intro="", rows=[], sections=sections)
    page = opened(tmp_path / "report.html", until=".js-plotly-plot .main-svg", width=400)
    assert page.locator(".main-svg").count() >= len(sections)
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_an_old_browser_is_told(explorer: Path, opened: Opened) -> None:
    page = opened(explorer, before="delete window.DecompressionStream", until="#problem")
    assert "DecompressionStream is not defined" in page.locator("#problem").inner_text()


def test_markup_in_names_and_one_network_only(tmp_path: Path, opened: Opened) -> None:
    name = "<img src=x onerror=alert(1)>&amp;"
    table = gi.Table(name, 5, tuple(a * b % 5 for a in range(5) for b in range(5)))
    config = CONFIG.replace({"data.p": 5, "data.operation": table, "training.steps": 3})
    start = gi.train(config, progress=False, device="cpu").checkpoint()
    run = gi.train(config, start=start, progress=False, device="cpu")
    write_explorer(run, tmp_path / "page.html", name=name)
    page = opened(tmp_path / "page.html")
    assert page.title() == f"{name}: {name} mod 5"
    assert page.locator("h1").inner_text() == f"{name} mod 5"
    assert page.locator("#time").count() == 0
    assert "grokinterp train OUT --checkpoints 30" in page.locator("#over-time").inner_text()


def test_dead_units_and_no_corrupted_labels(run: gi.Run, tmp_path: Path, opened: Opened) -> None:
    config = CONFIG.replace({"data.corruption": 0.0, "data.operation": "multiplication"})
    model = gi.build_model(config).eval()
    assert isinstance(model, gi.HookedMLP)
    model.W_E.zero_()
    data = make_dataset(config.data)
    dead = dataclasses.replace(run, config=config, dataset=data, model=model, checkpoints={})
    write_explorer(dead, tmp_path / "page.html", name="dead")
    page = opened(tmp_path / "page.html")
    assert (
        page.locator("#unit-words").inner_text().startswith(f"unit 0: frequency {NONE}, IPR {NONE}")
    )
    assert page.locator("#now-changed").inner_text() == NONE
    expected = subset_accuracy(model(data.tokens), data)["test"]  # of a network that answers 0
    assert page.locator("#now-test").inner_text() == f"{100 * expected:.1f} %"
    assert "the powers of 2: 1, 2, 4, 8, …" in page.locator("#one-unit").inner_text()
    assert not page.locator("#toggle-frequency").is_visible()


def test_a_network_too_large_to_run(
    run: gi.Run, tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "MOST_LOGITS", 2000)
    write_explorer(run, tmp_path / "page.html", name="large")
    page = opened(tmp_path / "page.html")
    told = page.locator("#over-time").inner_text()
    assert "2,197 logits of all pairs, 2,000 at most. Removals are left out" in told
    assert page.locator("#scatter").is_visible()
    assert page.locator("#activation").is_visible()
    for gone in ("logits-sum", "logits-first", "toggle", "toggle-frequency", "invert"):
        assert not page.locator(f"#{gone}").is_visible()
    assert page.locator("#low").is_disabled()
    whole = subset_accuracy(run.model(run.dataset.tokens), run.dataset)["test"]
    assert page.locator("#now-test").inner_text() == f"{100 * whole:.1f} %"
    page.locator("#time").fill("0")
    assert page.locator("#step").inner_text() == "step 0"


@pytest.mark.parametrize(
    "change", [{"act": "relu", "norm": "batch"}, {"act": "gelu", "n_layers": 3}]
)
def test_other_networks(
    change: dict[str, Any], run: gi.Run, tmp_path: Path, opened: Opened
) -> None:
    config = CONFIG.replace({f"model.{name}": value for name, value in change.items()})
    model = gi.build_model(config).eval()
    assert isinstance(model, gi.HookedMLP)
    model.W_E.mul_(8)  # far enough from 0 that gelu is neither linear nor a step
    if "norm" in change:
        model.state_dict()["layers.0.norm.running_mean"].fill_(0.3)
    other = dataclasses.replace(run, config=config, model=model, checkpoints={})
    write_explorer(other, tmp_path / "page.html", name="other")
    page = opened(tmp_path / "page.html", "#off=2-30")
    found = torch.tensor(page.evaluate("async () => Array.from(await explorer.pool.logits())"))
    last = config.model.n_layers - 1
    hooks = gi.ablate(range(2, 31), unit=f"neurons.{last}")
    expected = model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks).double().flatten()
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)
    (curves,) = page.evaluate("() => Array.from(explorer.curves.values())")
    order = torch.tensor(page.evaluate("() => Array.from(explorer.order)"))
    pruned = unit_pruning_curve(model, other.dataset, order, unit=f"neurons.{last}")
    shown = torch.tensor(curves["low"], dtype=torch.float64).T[pruned.removed]
    torch.testing.assert_close(shown, pruned.accuracy[:, [1, 2, 3]], rtol=0, atol=1e-9)
