"""The explorer of networks that are no MLPs on one-hot pairs: numbers are the library's."""

from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.explorer import write_explorer
from analyses.one_run import embedding_planes, embedding_spectrum
from analyses.one_run.stored_networks import checkpoints_at
from probes import exact_effects, network_on_pairs, subset_accuracy, unit_pruning_curve
from tests.browser.conftest import Opened
from tests.browser.test_controls import OFF, fragment, settle, text
from tests.browser.test_numbers import check_accuracies, logits_in
from tests.browser.test_page import OVER_THE_EDGE, SMALL_LETTERS, UNNAMED

pytestmark = pytest.mark.slow

P = 7
SHOWN = ("test", "changed", "unchanged")


def trained(model: Any, folder: Path) -> tuple[gi.Run, Path]:
    """A network after some steps, with one stored on the way, and its explorer."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, train_fraction=0.7, corruption=0.3, seed=3),
        model=model,
        training=gi.TrainConfig(steps=20, lr=1e-2, eval_every=10, loss="cross_entropy"),
        seed=5,
    )
    run = gi.train(config, progress=False, device="cpu", checkpoints=checkpoints_at([10]))
    write_explorer(run, folder / "page.html", name="run")
    return run, folder / "page.html"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> tuple[gi.Run, Path]:
    """A small transformer and its explorer."""
    model = gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=12)
    return trained(model, tmp_path_factory.mktemp("transformer"))


def without(run: gi.Run, model: Any, chosen: list[int], unit: str) -> torch.Tensor:
    hooks = gi.ablate(chosen, unit=unit)
    return model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks).double()


def test_neurons_of_a_transformer_are_removed_exactly(
    transformer: tuple[gi.Run, Path], opened: Opened
) -> None:
    run, file = transformer
    page = opened(file, "#off=1,3-5")
    expected = without(run, run.model, [1, 3, 4, 5], "neurons.0")
    torch.testing.assert_close(logits_in(page, P), expected, rtol=0, atol=1e-5)
    check_accuracies(page, expected, run)
    (curves,) = page.evaluate("() => Array.from(explorer.curves.values())")
    order = torch.tensor(page.evaluate("() => Array.from(explorer.order)"))
    pruned = unit_pruning_curve(run.model, run.dataset, order)
    shown = torch.tensor(curves["low"], dtype=torch.float64).T
    torch.testing.assert_close(shown, pruned.accuracy[:, [1, 2, 3]], rtol=0, atol=1e-9)
    page.locator("#time").fill("1")
    settle(page)
    assert text(page, "step") == "step 10"
    expected = without(run, run.model_at("step_10"), [1, 3, 4, 5], "neurons.0")
    size = expected.abs().max().item()
    torch.testing.assert_close(logits_in(page, P), expected, rtol=0, atol=1e-3 * size)


def test_heads_are_removed_by_rank(transformer: tuple[gi.Run, Path], opened: Opened) -> None:
    run, file = transformer
    page = opened(file)
    page.locator("#of").select_option("heads.0")
    page.locator("#by").select_option("norm")
    page.locator("#high").fill("1")
    settle(page)
    assert fragment(page) == {"of": "heads.0", "by": "norm", "high": "1"}
    (gone,) = page.evaluate(OFF)
    expected = without(run, run.model, [gone], "heads.0")
    check_accuracies(page, expected, run)
    curves = page.evaluate("() => explorer.curves.get(explorer.curve)")
    pruned = unit_pruning_curve(
        run.model, run.dataset, torch.tensor([gone, 1 - gone]), unit="heads.0"
    )
    shown = torch.tensor(curves["high"], dtype=torch.float64).T
    torch.testing.assert_close(shown, pruned.accuracy[:, [1, 2, 3]], rtol=0, atol=1e-9)
    page.locator("#low").fill("2")  # the other end gives way
    settle(page)
    assert fragment(page)["low"] == "2"
    assert "high" not in fragment(page)
    page.locator("#all-on").click()
    page.locator("#scatter").focus()
    page.keyboard.press(" ")  # nothing is switched off by hand
    settle(page)
    assert page.evaluate(OFF) == []
    for absent in ("toggle", "invert", "lasso-off", "logits-first"):
        assert not page.locator(f"#{absent}").is_visible()
    effects = exact_effects(run.model, run.dataset, "heads.0", loss="cross_entropy")
    told = text(page, "alone").removesuffix(".").split(", ")
    for part, subset in zip(told, SHOWN, strict=True):
        change = 100 * float(effects.accuracy[subset][0])
        sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "±"
        assert part.endswith(f" {sign}{abs(change):.1f} %")
    logits = page.evaluate("() => Array.from(explorer.stored.logits(explorer.state.at, [2, 5]))")
    expected = run.model(torch.tensor([[2, 5]]))[0].double()
    torch.testing.assert_close(torch.tensor(logits).double(), expected, rtol=0, atol=1e-5)
    assert "no exact split" in text(page, "no-split")
    lengths = "() => Array.from(explorer.stored.activation(explorer.kind, 1, 0))"  # at step 10
    model = run.model_at("step_10")
    z = network_on_pairs(model).activations("blocks.0.attn.hook_z")[:, 0]
    expected = (z @ model.W_O[0, 0].double()).norm(dim=1)
    largest = expected.max().item()
    shown = torch.tensor(page.evaluate(lengths)).double()
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-3 * largest)


def test_on_a_narrow_screen(transformer: tuple[gi.Run, Path], opened: Opened) -> None:
    page = opened(transformer[1], "#of=heads.0&low=1&high=1&off=0", width=400)
    state = "() => [explorer.state.low, explorer.state.high, explorer.state.off.size]"
    assert page.evaluate(state) == [1, 0, 0]  # removals from one end only are stored
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate(OVER_THE_EDGE) == []
    assert page.evaluate(SMALL_LETTERS) == 0
    assert page.evaluate(UNNAMED) == []


def test_attention_and_the_embedding(transformer: tuple[gi.Run, Path], opened: Opened) -> None:
    run, file = transformer
    page = opened(file, "#from=1")
    assert page.locator("#attention-maps canvas").count() == 4  # 2 heads; = is not seen from b
    page.locator("#attention-from").select_option("2")
    assert page.locator("#attention-maps canvas").count() == 6
    network = network_on_pairs(run.model)
    pattern = network.activations("blocks.0.attn.hook_pattern", position=2)  # [pair, head, key]
    for head, to in ((0, 0), (1, 1), (1, 2)):
        values = f"() => Array.from(explorer.attention.values(explorer.state, {head}, {to}))"
        shown = torch.tensor(page.evaluate(values)).double()
        torch.testing.assert_close(shown, pattern[:, head, to], rtol=0, atol=1e-5)
    page.locator("#circle-frequency").fill("2")
    bars = "bars => bars.map((bar) => bar.classList.contains('chosen'))"
    assert page.locator("#circles rect.bar").evaluate_all(bars) == [False, True, False]
    found = page.evaluate("() => explorer.circles.values(explorer.state.at, 0, 2)")
    planes = embedding_planes.compute(run, frequencies=[1, 2, 3]).isel(step=-1, table=0)
    expected = torch.tensor((planes.position / planes["size"]).sel(frequency=2).values)
    shown = torch.tensor(found["places"]).double()
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
    shares = torch.tensor(embedding_spectrum.compute(run).share.isel(step=-1, table=0).values)
    torch.testing.assert_close(torch.tensor(found["shares"]).double(), shares, rtol=0, atol=1e-5)


def test_an_lstm(tmp_path: Path, opened: Opened) -> None:
    run, file = trained(gi.LSTMConfig(d_embed=4, d_hidden=5, n_layers=1), tmp_path)
    page = opened(file, "#of=hidden.0&by=effect_test&low=2&unit=3")
    offered = page.locator("#of option").evaluate_all("all => all.map((one) => one.value)")
    assert offered == list(network_on_pairs(run.model).units)
    effect = exact_effects(run.model, run.dataset, "hidden.0", loss="cross_entropy").loss["test"]
    gone = effect.argsort()[:2].tolist()
    assert page.evaluate(OFF) == sorted(gone)
    check_accuracies(page, without(run, run.model, gone, "hidden.0"), run)
    shown = page.evaluate("async () => Array.from(await explorer.answers.activation(3))")
    last = network_on_pairs(run.model).activations("layers.0.steps.2.hook_h")[:, 3]
    torch.testing.assert_close(torch.tensor(shown).double(), last, rtol=0, atol=1e-5)
    logits = page.evaluate("() => Array.from(explorer.stored.logits(explorer.state.at, [2, 5]))")
    expected = run.model(torch.tensor([[2, 5]]))[0].double()
    torch.testing.assert_close(torch.tensor(logits).double(), expected, rtol=0, atol=1e-5)
    page.locator("#time").fill("1")
    settle(page)
    assert page.locator("#low").is_disabled()
    assert not page.locator("#curves").is_visible()
    model = run.model_at("step_10")
    check_accuracies(page, model(run.dataset.tokens), run)
    logits = page.evaluate("() => Array.from(explorer.stored.logits(1, [2, 5]))")
    expected = model(torch.tensor([[2, 5]]))[0].double()
    largest = model(run.dataset.tokens).abs().max().item()
    torch.testing.assert_close(torch.tensor(logits).double(), expected, rtol=0, atol=1e-3 * largest)


def test_an_embedding_mlp(tmp_path: Path, opened: Opened) -> None:
    config = gi.EmbeddingMLPConfig(d_embed=6, hidden=(10, 8), prompt="a b =")
    run, file = trained(config, tmp_path)
    page = opened(file, "#off=2-4")
    expected = without(run, run.model, [2, 3, 4], "neurons.1")
    torch.testing.assert_close(logits_in(page, P), expected, rtol=0, atol=1e-5)
    check_accuracies(page, expected, run)
    page.locator("#of").select_option("neurons.0")
    page.locator("#high").fill("4")
    settle(page)
    check_accuracies(page, without(run, run.model, page.evaluate(OFF), "neurons.0"), run)


def test_a_network_of_ones_own(run: gi.Run, tmp_path: Path, opened: Opened) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(26, 9), torch.nn.Tanh(), torch.nn.Linear(9, 13, bias=False)
    )
    model = gi.wrap(net, p=13, first="0", neurons="1", readout="2", inputs="one-hot")
    data, name = run.dataset, "<b>mine</b>"
    pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
    own = gi.as_run(model, pairs, labels, operation="addition")
    write_explorer(own, tmp_path / "page.html", name=name)
    page = opened(tmp_path / "page.html", "#low=9")
    assert page.title() == f"{name}: addition mod 13"
    nothing = logits_in(page, 13)
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), rtol=0, atol=0)
    page.locator("#low").fill("4")
    settle(page)
    expected = without(own, model, page.evaluate(OFF), "neurons.0")
    torch.testing.assert_close(logits_in(page, 13), expected, rtol=0, atol=1e-5)
    assert float(text(page, "now-test").removesuffix(" %")) == pytest.approx(
        100 * subset_accuracy(expected, own.dataset)["test"], abs=0.051
    )
