"""The explorer of a sweep: numbers are the library's, each control changes what it should."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.explorer import write_sweep_explorer
from analyses.phase_diagrams import sweep_phases
from analyses.phase_diagrams.panels import axis_label
from tests.analyses.end_points import end, fake_sweep
from tests.browser.conftest import Opened
from tests.browser.test_controls import fragment, text
from tests.browser.test_page import SMALL_LETTERS, UNNAMED

pytestmark = pytest.mark.slow

AXES = {
    "training.weight_decay": [0.0, 5.0],
    "data.train_fraction": [0.2, 0.5, 0.8],
    "data.corruption": [0.1, 0.3],
}
CELLS = """() => Array.from({ length: explorer.sweep.size }, (_, at) => {
    const { sweep } = explorer;
    return { majority: sweep.phase(at).name, inferred: sweep.isInferred(at), ...sweep.counts(at),
             means: sweep.about.measures.map(({ key }) => sweep.mean(key, at)),
             seeds: sweep.about.seeds.map((_, seed) => sweep.phaseOf(at, seed).name) }; })"""
KEYS = "() => explorer.sweep.about.measures.map(({ key }) => key)"
FILLS = """() => Array.from(document.querySelectorAll('#plane [data-cell]'),
    (cell) => cell.getAttribute('fill'))"""
HEIGHTS = """() => Array.from(document.querySelectorAll('#histogram .bar'),
    (bar) => Number(bar.getAttribute('height')))"""


def made(axes: Mapping[str, Any], seeds: int = 3) -> xr.Dataset:
    """A sweep of random accuracies; two runs are not trained, one diverged."""
    rng = np.random.default_rng(4)
    count = int(np.prod([len(values) for values in axes.values()], dtype=int)) * seeds
    ends = [
        end(test=rng.choice([0.05, 0.5, 0.97]), changed=rng.choice([0.02, 0.6, 1.0]))
        for _ in range(count)
    ]
    cells: list[Any] = [*ends]
    if count > seeds + 2:
        cells[-2:] = [None, None]
        cells[-3] = end(diverged=True)
    sweep = fake_sweep(cells, axes, seeds=seeds)
    shape = (*sweep.done.shape, 40)
    ipr = rng.random(shape)
    ipr[..., 0] = np.nan
    curve = rng.random((*sweep.done.shape, 6))
    return sweep.assign(
        ipr=((*sweep.done.dims, "neuron"), np.where(sweep.done.values[..., None], ipr, np.nan)),
        late=((*sweep.done.dims, "step"), curve),
    )


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sweep") / "page.html"
    write_sweep_explorer(made(AXES), file, name="small")
    return file


def test_numbers_are_the_librarys(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    sweep = made(AXES)
    phases = sweep_phases.compute(sweep)
    found = page.evaluate(CELLS)
    assert [cell["majority"] for cell in found] == phases.majority.values.ravel().tolist()
    assert [cell["seeds"] for cell in found] == phases.phase.values.reshape(-1, 3).tolist()
    counted = [cell["counted"] for cell in found]
    assert counted == phases.n_seeds.values.ravel().tolist()
    assert [cell["diverged"] for cell in found] == phases.n_diverged.values.ravel().tolist()
    agreement = (phases.agreement * phases.n_seeds).fillna(0).values.ravel()
    np.testing.assert_allclose([cell["agree"] for cell in found], agreement)
    places = {key: i for i, key in enumerate(page.evaluate(KEYS))}
    expected = {
        f"final_accuracy {subset}": phases.mean_accuracy.sel(subset=subset)
        for subset in ("train", "test", "changed", "unchanged")
    } | {"mean_ipr": phases.mean_ipr}
    for key, values in expected.items():
        means = np.array([cell["means"][places[key]] for cell in found], dtype=float)
        np.testing.assert_allclose(means, values.values.ravel(), atol=1e-6)
    heights = page.evaluate(HEIGHTS)
    here = tuple(page.evaluate("() => explorer.state.cell"))
    counts = np.histogram(sweep.ipr.values[here], np.linspace(0, 1, 41))[0]
    counts = counts[counts > 0]
    np.testing.assert_allclose(np.array(heights) / max(heights), counts / counts.max(), rtol=1e-6)


def test_click_keys_and_menus(page_file: Path, opened: Opened) -> None:
    page = opened(page_file, "#cell=0,1,0")
    before = page.evaluate(FILLS)
    page.locator("#plane [data-cell='2,1']").click()
    assert fragment(page) == {"cell": "0,2,1"}
    phases = sweep_phases.compute(made(AXES)).isel(dict(zip(AXES, (0, 2, 1), strict=True)))
    place = zip(AXES, ("0", "0.8", "0.3"), strict=True)
    words = ", ".join(f"{axis_label(axis)} {value}" for axis, value in place)
    assert text(page, "cell-place") == words
    told = text(page, "cell-words")
    assert told.startswith(phases.majority.item())
    assert f"{round(float(phases.agreement) * 3)} of 3 seeds agree" in told
    assert f"accuracy: test {float(phases.mean_accuracy.sel(subset='test')):.3g}," in told
    page.locator("#plane").focus()
    for key, cell in [
        ("ArrowLeft", "0,1,1"),
        ("ArrowDown", "0,1,0"),
        ("ArrowDown", "0,1,0"),
        ("End", "0,2,0"),
        ("PageUp", "1,2,0"),
    ]:
        page.keyboard.press(key)
        assert page.evaluate("() => explorer.state.cell.join()") == cell
    assert page.evaluate(FILLS) != before
    page.locator("#panels button").first.click()
    assert page.evaluate(FILLS) == before
    page.locator("#axis-0").select_option("1")
    page.locator("#by").select_option("mean_ipr")
    assert fragment(page) == {"by": "mean_ipr", "cell": "1,2,0"}
    assert all(fill.startswith(("rgb(", "url(#dotted)")) for fill in page.evaluate(FILLS))
    page.locator("#x").select_option("0")
    assert page.locator("#plane [data-cell]").count() == 4
    page.locator("#y").select_option("0")  # the two axes change places
    assert page.evaluate("() => [explorer.state.x, explorer.state.y]") == [2, 0]
    page.locator("#seeds button").nth(2).click()
    assert fragment(page)["seed"] == "2"
    assert text(page, "histogram-words") == "IPR of the neurons, seed 2"
    assert "--set seed=2 --set data.seed=2" in text(page, "command-text")
    page.locator("#numbers summary").click()
    page.locator("#table td[aria-current]").wait_for()
    assert page.locator("#table td").count() == 4


def test_the_address_and_missing_runs(page_file: Path, opened: Opened) -> None:
    state = "x=data.corruption&y=training.weight_decay&by=late_none&cell=1,2,1&seed=1"
    page = opened(page_file, f"#{state}")
    assert page.evaluate("() => [explorer.state.x, explorer.state.y]") == [2, 0]
    assert page.locator("#by").input_value() == "phase"  # there is no such measure
    assert text(page, "cell-words").startswith("diverged, 1 diverged, 1 of 3 seeds trained")
    assert "2 of 36 runs are not trained yet" in page.locator(".notes").inner_text()
    page.evaluate("() => { location.hash = '#cell=9,0,0&seed=7&x=no' }")
    page.wait_for_function("() => explorer.state.seed === -1")
    assert page.evaluate("() => explorer.state.cell.join()") == "0,1,0"


@pytest.mark.parametrize(
    "axes", [{}, {"model.act": ["relu"]}, {"<b>axis</b>": ["<img src=x>&amp;", "a,b=c", "two"]}]
)
def test_few_axes_and_markup(axes: dict[str, Any], tmp_path: Path, opened: Opened) -> None:
    name = "<script>alert(1)</script>"
    write_sweep_explorer(made(axes, seeds=2), tmp_path / "page.html", name=name)
    page = opened(tmp_path / "page.html", width=400)
    assert page.title() == f"Sweep {name}"
    assert not page.locator("#axes").is_visible()
    page.locator("#plane").focus()
    page.keyboard.press("End")
    page.keyboard.press("PageUp")
    values = next(iter(axes.values()), ["the only cell"])
    assert page.locator("#plane [data-cell]").count() == len(values)
    assert text(page, "cell-place").endswith(values[-1])


def test_narrow_named_and_printed(page_file: Path, opened: Opened) -> None:
    page = opened(page_file, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate(SMALL_LETTERS) == 0
    assert page.evaluate(UNNAMED) == []
    page.emulate_media(media="print")
    assert not page.locator("#by").is_visible()
    assert page.locator("#plane").is_visible()
    assert page.locator("#seeds").is_visible()
