"""Numbers in the page are the library's."""

from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from probes import model_neuron_ipr, pruning_curve, subset_accuracy
from tests.browser.conftest import Opened

LOGITS = "async () => Array.from(await explorer.pool.logits())"
SHOWN = "name => parseFloat(document.getElementById(`now-${name}`).textContent)"


def logits_in(page: Any, p: int) -> torch.Tensor:
    return torch.tensor(page.evaluate(LOGITS), dtype=torch.float64).reshape(-1, p)


def check_accuracies(page: Any, logits: torch.Tensor, run: gi.Run) -> None:
    expected = subset_accuracy(logits, run.dataset)
    for subset in ("test", "changed", "unchanged"):
        assert page.evaluate(SHOWN, subset) == pytest.approx(100 * expected[subset], abs=0.051)


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


def test_without_workers_the_page_works_itself(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer, "#off=3", before="delete window.Worker")
    assert not page.evaluate("explorer.pool.usesWorkers")
    expected = run.model.run_with_hooks(run.dataset.tokens, fwd_hooks=gi.ablate([3]))
    torch.testing.assert_close(logits_in(page, 13), expected.double(), rtol=0, atol=1e-5)
