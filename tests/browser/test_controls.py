"""Each control of the explorer changes what it should, and the address holds the state."""

from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
from probes import model_neuron_ipr, model_neuron_norms, subset_accuracy
from tests.browser.conftest import Opened

pytestmark = pytest.mark.slow

PLACES = """() => [...document.querySelectorAll('#scatter > g:nth-of-type(2) > circle')].map(
    (point) => { const box = point.getBoundingClientRect();
                 return [box.x + box.width / 2, box.y + box.height / 2]; })"""
OFF = "() => Array.from(explorer.off).flatMap((off, unit) => off ? [unit] : [])"
PICTURE = "id => document.getElementById(id).toDataURL()"


def text(page: Any, name: str) -> str:
    return page.locator(f"#{name}").inner_text()


def fragment(page: Any) -> dict[str, str]:
    return dict(word.split("=") for word in page.url.partition("#")[2].split("&") if word)


def settle(page: Any) -> None:
    """Until everything is drawn."""
    page.locator("body[data-ready=yes]").wait_for()


def wait(page: Any, count: int) -> None:
    """Until the network has answered with so many units off."""
    page.locator("#status", has_text=f"answered with {count} of 40 units off").wait_for()


def check_now(page: Any, run: gi.Run, model: Any, gone: list[int]) -> None:
    hooks = gi.ablate(gone) if gone else []
    logits = model.run_with_hooks(run.dataset.tokens, fwd_hooks=hooks)
    for subset, share in subset_accuracy(logits, run.dataset).items():
        if subset in ("test", "changed", "unchanged"):
            shown = float(text(page, f"now-{subset}").removesuffix(" %"))
            assert shown == pytest.approx(100 * share, abs=0.051)


def test_sliders_switch_off_by_rank(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    order = model_neuron_ipr(run.model).order().tolist()
    page.locator("#low").fill("9")
    wait(page, 9)
    check_now(page, run, run.model, order[:9])
    page.locator("#high").fill("35")  # more than are left: the other end gives way
    wait(page, 40)
    assert fragment(page) == {"low": "5", "high": "35"}
    page.locator("#by").select_option("norm")
    page.locator("#high").fill("0")
    wait(page, 5)
    weakest = model_neuron_norms(run.model).argsort()[:5].tolist()
    assert page.evaluate(OFF) == sorted(weakest)
    check_now(page, run, run.model, weakest)
    page.locator("#invert").click()
    wait(page, 35)
    check_now(page, run, run.model, sorted(set(range(40)) - set(weakest)))
    page.locator("#all-on").click()
    wait(page, 0)
    assert fragment(page) == {"by": "norm"}


def test_a_loop_switches_what_is_inside(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    places = page.evaluate(PLACES)
    middle = sum(sorted(x for x, _ in places)[19:21]) / 2  # no point is on the line
    box = page.locator("#scatter").bounding_box()
    top, bottom, right = box["y"] + 2, box["y"] + box["height"] - 2, box["x"] + box["width"] - 2
    corners = [(right, top), (middle, top), (middle, bottom), (right, bottom)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    page.mouse.up()
    inside = [unit for unit, (x, _) in enumerate(places) if x > middle]
    wait(page, len(inside))
    assert 15 < len(inside) < 25
    assert page.evaluate(OFF) == inside
    check_now(page, run, run.model, inside)


def test_a_click_opens_a_unit(explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    before = page.evaluate(PICTURE, "activation")
    right = max(range(40), key=lambda unit: page.evaluate(PLACES)[unit][0])
    page.mouse.move(*page.evaluate(PLACES)[right])
    assert text(page, "tip").startswith(f"unit {right}: frequency ")
    page.mouse.click(*page.evaluate(PLACES)[right])
    settle(page)
    assert text(page, "unit-words").startswith(f"unit {right}: frequency ")
    assert page.evaluate(PICTURE, "activation") != before
    assert fragment(page) == {"unit": str(right)}
    page.locator("#toggle").click()
    wait(page, 1)
    assert page.evaluate(OFF) == [right]


def test_keys_do_what_the_pointer_does(explorer: Path, opened: Opened) -> None:
    page = opened(explorer)
    places = page.evaluate(PLACES)
    by_place = sorted(range(40), key=lambda unit: places[unit][0])
    page.locator("#scatter").focus()
    page.keyboard.press("ArrowRight")
    then = by_place[by_place.index(0) + 1]
    assert text(page, "unit-words").startswith(f"unit {then}: ")
    page.keyboard.press(" ")
    wait(page, 1)
    assert page.evaluate(OFF) == [then]
    page.locator("#table").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert text(page, "pair-words").startswith("(1, 12): ")
    assert fragment(page)["pair"] == "1,12"


def test_time_moves_everything(run: gi.Run, explorer: Path, opened: Opened) -> None:
    page = opened(explorer, "#unit=3&low=4")
    pictures = ["activation", "table"]
    before = [page.evaluate(PICTURE, name) for name in pictures] + page.evaluate(PLACES)
    page.locator("#time").fill("1")
    settle(page)
    assert (text(page, "step"), fragment(page)["at"]) == ("step 50", "1")
    model = run.model_at("step_50")
    check_now(page, run, model, model_neuron_ipr(model).order()[:4].tolist())
    after = [page.evaluate(PICTURE, name) for name in pictures] + page.evaluate(PLACES)
    assert all(one != other for one, other in zip(before, after, strict=True))
    page.locator("#ruler").click(position={"x": 45, "y": 60})  # near step 0
    settle(page)
    assert text(page, "step") == "step 0"
    page.locator("#play").click()
    page.locator("#play", has_text="Pause").wait_for()
    page.locator("#play", has_text="Play").wait_for()
    assert text(page, "step") == "step 300"


TIMERS = """() => {
    window.waits = []; window.shown = [];
    window.setTimeout = (done) => waits.push(done);
    explorer.set = ({ at }) => { explorer.state.at = at; shown.push(at); }; }"""
WAITED = """async () => {
    waits.splice(0).forEach((done) => done());
    await new Promise(requestAnimationFrame);
    return [shown, waits.length]; }"""


def test_play_pause_and_play_at_once_play_once(explorer: Path, opened: Opened) -> None:
    page = opened(explorer, "#at=0")
    page.evaluate(TIMERS)
    page.evaluate("() => [1, 2, 3].forEach(() => document.getElementById('play').click())")
    assert page.evaluate(WAITED) == [[1], 1]
    assert page.evaluate(WAITED) == [[1, 2], 1]
    assert page.evaluate(WAITED) == [[1, 2, 3], 0]
    assert text(page, "play") == "Play"


def test_the_address_is_the_state(explorer: Path, opened: Opened) -> None:
    state = "at=2&x=norm&y=writes_changed&by=norm&low=3&off=7,9-11&unit=8&pair=4,12&split=off"
    page = opened(explorer, f"#{state}")
    wait(page, len({*page.evaluate("() => explorer.order.slice(0, 3)"), 7, 9, 10, 11}))
    assert text(page, "step") == "step 120"
    assert text(page, "unit-words").startswith("unit 8: ")
    assert text(page, "pair-words").startswith("(4, 12): ")
    assert page.locator("#split").input_value() == "off"
    page.locator("#split").dispatch_event("change")
    assert page.url.partition("#")[2] == state  # written again as it was read
    page.evaluate("() => { location.hash = '#low=2' }")
    wait(page, 2)
    assert text(page, "step") == "step 300"
    page.evaluate("() => { location.hash = '#low=2.5&unit=99&pair=1,&x=no&off=4-2,x' }")
    wait(page, 0)  # what cannot be read is left out
    assert text(page, "unit-words").startswith("unit 0: ")


BARS = """name => [...document.querySelectorAll(`#logits-${name} .bar`)].map(
    (bar) => ['y', 'height'].map((key) => Number(bar.getAttribute(key))))"""


def bars(page: Any, name: str) -> torch.Tensor:
    """Heights of the bars in pixels, negative below zero."""
    y, height = torch.tensor(page.evaluate(BARS, name), dtype=torch.float64).T
    zero = (y + height).min()  # where bars above it end
    return torch.where(y < zero - 1e-6, height, -height)


def test_one_pair_is_split_exactly(run: gi.Run, explorer: Path, opened: Opened) -> None:
    ipr = model_neuron_ipr(run.model).ipr
    threshold = round(ipr.median().item(), 2)
    page = opened(explorer, f"#off=1,2&threshold={threshold}")
    cell = page.locator("#table").bounding_box()["width"] / 13
    page.locator("#table").click(position={"x": 7.5 * cell, "y": 5.5 * cell})
    assert text(page, "pair-words").startswith("(5, 7): ")

    def logits(gone: torch.Tensor) -> torch.Tensor:
        pair = torch.tensor([[5, 7]])
        return run.model.run_with_hooks(pair, fwd_hooks=gi.ablate(gone))[0].double()

    hand = torch.zeros(40, dtype=torch.bool)
    hand[[1, 2]] = True
    expected = {
        "first": logits(hand | (ipr >= threshold)),
        "second": logits(hand | (ipr < threshold)),
        "sum": logits(hand),
    }
    pixels = bars(page, "sum").abs().max() / expected["sum"].abs().max()
    for name, values in expected.items():
        torch.testing.assert_close(bars(page, name), values * pixels, rtol=0, atol=1e-3)
    answer = int(expected["sum"].argmax())
    assert text(page, "pair-words").endswith(f" {answer}")
    rows = page.locator("#deciding tr").all_inner_texts()
    assert len(rows) == 8
    for row in rows:
        without = hand.clone()
        without[int(row.split()[1])] = True
        then = int(logits(without).argmax())
        assert row.strip().endswith(f"answer becomes {then}") is (then != answer)
