"""Numbers in the page are the library's."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.explorer import write_explorer
from probes import model_neuron_ipr, pruning_curve, subset_accuracy
from tests.browser.conftest import Opened

pytestmark = pytest.mark.slow

LOGITS = "async () => Array.from(await explorer.pool.logits())"
SHOWN = "name => parseFloat(document.getElementById(`now-${name}`).textContent)"


def logits_in(page: Any, p: int) -> torch.Tensor:
    return torch.tensor(page.evaluate(LOGITS), dtype=torch.float64).reshape(-1, p)


def check_accuracies(page: Any, logits: torch.Tensor, run: gi.Run) -> None:
    expected = subset_accuracy(logits, run.dataset)
    for subset in ("test", "changed", "unchanged"):
        assert page.evaluate(SHOWN, subset) == pytest.approx(100 * expected[subset], abs=0.051)


def check_answers(page: Any, logits: torch.Tensor, run: gi.Run) -> None:
    """How many answers are right, memorised wrong labels, and so on."""
    answer, data = logits.argmax(dim=1), run.dataset
    follows, knows = answer == data.labels, answer == data.clean_labels
    kinds = {
        "right": follows & knows,
        "memorised": follows & ~knows,
        "corrected": ~follows & knows,
        "wrong": ~follows & ~knows,
    }
    for kind, found in kinds.items():
        assert page.locator(f"#count-{kind}").inner_text() == str(int(found.sum()))
    page.locator("#next-wrong").click()
    a, b = divmod(int(kinds["wrong"][1:].nonzero()[0, 0]) + 1, 13)
    assert page.locator("#pair-words").inner_text().startswith(f"({a}, {b}): ")


@pytest.mark.parametrize("fragment", ["", "#low=11", "#high=7&low=3", "#off=0-4,9", "#low=40"])
def test_logits_and_accuracies(fragment: str, run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer, fragment)
    order = model_neuron_ipr(run.model).order().tolist()
    gone = {
        "": [],
        "#low=11": order[:11],
        "#high=7&low=3": order[-7:] + order[:3],
        "#off=0-4,9": [0, 1, 2, 3, 4, 9],
        "#low=40": order,
    }[fragment]
    hooks = gi.ablate(gone) if gone else []
    expected = run.model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks)
    torch.testing.assert_close(logits_in(page, 13), expected.double(), rtol=0, atol=1e-5)
    check_accuracies(page, expected, run)
    check_answers(page, expected, run)


def test_the_curve_is_that_of_pruning(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    order = model_neuron_ipr(run.model).order()
    curves = page.evaluate("() => Array.from(explorer.curves.values())[0]")
    for end, by in {"low": order, "high": order.flip(0)}.items():
        expected, _ = pruning_curve(run.model, run.dataset, by)
        shown = torch.tensor(curves[end], dtype=torch.float64).T
        torch.testing.assert_close(shown, expected[:, [1, 2, 3]], rtol=0, atol=1e-9)


def test_a_stored_network(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer, "#at=1&low=5")
    name = next(name for name, kept in run.checkpoints.items() if kept.step == 50)
    model = run.model_at(name)
    gone = model_neuron_ipr(model).order()[:5]
    expected = model.run_with_hooks(run.dataset.tokens, fwd_hooks=gi.ablate(gone))
    size = model(run.dataset.tokens).abs().max().item()
    torch.testing.assert_close(logits_in(page, 13), expected.double(), rtol=0, atol=1e-3 * size)
    check_accuracies(page, expected, run)


@pytest.mark.parametrize(
    "refused",
    [
        "delete window.Worker",
        "window.Worker = class { constructor() { throw new DOMException('', 'SecurityError'); } }",
        """window.Worker = class { postMessage() {
            setTimeout(() => this.onerror(new ErrorEvent('error', { message: 'blocked' }))); } }""",
    ],
)
def test_without_workers_the_page_works_itself(
    refused: str, run: gi.Run, explorer: Path, opened: Opened
) -> None:
    page = opened(explorer, "#off=3", before=refused)
    assert not page.evaluate("explorer.pool.usesWorkers")
    expected = run.model.run_with_hooks(run.dataset.tokens, fwd_hooks=gi.ablate([3]))
    torch.testing.assert_close(logits_in(page, 13), expected.double(), rtol=0, atol=1e-5)


DARKEST = """id => { const canvas = document.getElementById(id);
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const red = Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i]);
    const least = Math.min(...red);
    return red.flatMap((value, i) =>
        value <= least + 2 ? [[Math.floor(i / canvas.width), i % canvas.width]] : []); }"""


def test_figures_of_a_unit_with_one_frequency(run: gi.Run, tmp_path: Path, opened: Opened) -> None:
    p, k = 13, 4
    wave = torch.cos(2 * torch.pi * k * torch.arange(p) / p + 0.3)
    model = gi.build_model(run.config).eval()
    assert isinstance(model, gi.HookedMLP)
    model.W_E[:, :, 5] = wave
    model.W_U[5] = wave
    periodic = dataclasses.replace(run, model=model, checkpoints={})
    write_explorer(periodic, tmp_path / "page.html", name="periodic")
    page = opened(tmp_path / "page.html", "#unit=5")
    assert page.locator("#unit-words").inner_text().startswith("unit 5: frequency 4, IPR 1,")
    # (cos(wa + s) + cos(wb + s))^2 is strongest in the products, at (k, k) and its mirror images.
    middle = p // 2
    corners = [[middle + x, middle + y] for x in (-k, k) for y in (-k, k)]
    assert page.evaluate(DARKEST, "transform") == corners
    a = int(wave.abs().argmax())
    assert [a, a] in page.evaluate(DARKEST, "activation")
    path = page.locator("#spectrum .vector.U").get_attribute("d")
    heights = [float(place.split()[1]) for place in path[1:].split("L")]
    assert heights.index(min(heights)) == k
    assert len(set(heights)) == 2  # all power is at k
    # In steps of its frequency a cosine goes around the ring once: a circle off the middle.
    path = page.locator("#circle .vector.W").get_attribute("d")
    places = torch.tensor([[float(x) for x in at.split()] for at in path[1:-1].split("L")])
    size = page.locator("#circle").bounding_box()["width"]
    radius = (places - size / 2).norm(dim=1)
    half_a_turn = int(radius.argmax()) - int(radius.argmin())
    assert abs(half_a_turn) in (p // 2, p // 2 + 1)
    steps = (radius - radius.roll(1)).sign()
    assert int((steps != steps.roll(1)).sum()) == 2  # it grows once and shrinks once
