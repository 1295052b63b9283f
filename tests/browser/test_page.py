"""The explorer's page on a narrow screen, on paper, and with little in it."""

import dataclasses
from pathlib import Path

import pytest
import torch

import grokinterp as gi
from analyses.explorer import write_explorer
from tests.browser.conftest import CONFIG, Opened

OVER_THE_EDGE = """() => [...document.querySelectorAll('main *, header *, section *')].filter(
    (element) => { const box = element.getBoundingClientRect();
                   return box.width && (box.right > innerWidth + 1 || box.left < -1); }
    ).map((element) => element.outerHTML.slice(0, 120))"""
SMALL_LETTERS = """() => [...document.querySelectorAll('svg text')].filter((element) =>
    element.getBoundingClientRect().height < 11).length"""
UNNAMED = """() => [...document.querySelectorAll(
    'button, input, select, svg[role], canvas, [tabindex]')].filter((element) =>
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
    assert not page.locator("#play").is_visible()
    assert page.locator("#curve-low").is_visible()
    assert page.pdf().startswith(b"%PDF")


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


@pytest.mark.parametrize("act", ["relu", "gelu"])
def test_other_activations(act: str, run: gi.Run, tmp_path: Path, opened: Opened) -> None:
    config = CONFIG.replace({"model.act": act})
    model = gi.build_model(config).eval()
    assert isinstance(model, gi.HookedMLP)
    model.W_E.mul_(8)  # far enough from 0 that gelu is neither linear nor a step
    write_explorer(
        dataclasses.replace(run, config=config, model=model, checkpoints={}),
        tmp_path / "page.html",
        name=act,
    )
    page = opened(tmp_path / "page.html")
    found = torch.tensor(page.evaluate("async () => Array.from(await explorer.pool.logits())"))
    expected = model(run.dataset.tokens).double().flatten()
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)
