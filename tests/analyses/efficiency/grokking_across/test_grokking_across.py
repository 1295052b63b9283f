"""Crossings and delays of runs whose curves are known, and of curves read off the paper."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import grokking_across, settings

STEPS = np.arange(0, 1001, 10)


def made(
    train: np.ndarray,
    test: np.ndarray,
    *,
    network: str = "lstm",
    fraction: float = 0.5,
    seed: int = 0,
    steps: np.ndarray = STEPS,
    p: int = 97,
) -> gi.Run:
    """A run with these curves; it has no network."""
    config = settings.network(network, "tiny").replace({"data.p": p, "seed": seed})
    config = settings.with_fraction(config, fraction)
    history = xr.Dataset(
        {"train_accuracy": ("step", train), "test_accuracy": ("step", test)},
        coords={"step": steps},
    )
    return gi.Run(config, gi.make_dataset(config.data), None, history)


def steep(*, at: float, high: float = 1.0, steps: np.ndarray = STEPS) -> np.ndarray:
    """Nothing before a step, ``high`` from it on."""
    return np.where(steps >= at, high, 0.0)


def late(delay: float, **where: Any) -> gi.Run:
    """Trained at step 50, generalising ``delay`` times later."""
    return made(steep(at=50), steep(at=50 * delay), **where)


def test_crossings_and_delay_of_a_run() -> None:
    ramp = np.clip(STEPS / 500, 0, 1)  # 50 % at 250, 90 % at 450, 99 % at 500
    run = made(steep(at=100), ramp)
    found = grokking_across.compute([run]).squeeze()
    assert found.crossing.sel(split="train").values.tolist() == [100, 100, 100]
    assert found.crossing.sel(split="test").values.tolist() == [250, 450, 500]
    assert found.delay.item() == 5
    assert found.test_at_learned.item() == pytest.approx(0.2)  # the ramp at step 100
    assert found.delay_above.isnull()
    np.testing.assert_array_equal(found.accuracy.sel(split="test"), ramp)


@pytest.mark.parametrize(("p", "leaving"), [(97, 5 / 97), (20, 0.25)])
def test_train_accuracy_where_validation_leaves_chance(p: int, leaving: float) -> None:
    train = np.clip(STEPS / 400, 0, 1)
    first = 220.0
    test = leaving * (0.99 + 0.01 * steep(at=first))
    found = grokking_across.compute([made(train, test, p=p)]).squeeze()
    assert found.train_at_leaving.item() == pytest.approx(first / 400)


def test_a_peak_of_four_rows_is_no_crossing() -> None:
    test = np.where((STEPS >= 200) & (STEPS < 240), 1.0, steep(at=700))
    found = grokking_across.compute([made(steep(at=100), test)]).squeeze()
    assert found.crossing.sel(split="test", level=0.99) == 700


def test_a_run_that_ends_first_bounds_the_delay() -> None:
    never = made(steep(at=50), np.zeros_like(STEPS, dtype=float), seed=2)
    found = grokking_across.compute([late(4, seed=0), late(8, seed=1), never])
    assert found.delay.squeeze().values.tolist()[:2] == [4, 8]
    assert found.delay.squeeze().isnull().values.tolist() == [False, False, True]
    assert found.delay_above.squeeze().values[2] == 1000 / 50
    assert found.delay_median.item() == 8  # of 4, 8 and more than 20; a mean of two would be 6
    median = found.crossing_median.sel(level=0.99).squeeze()
    assert median.values.tolist() == [50, 400]


def test_what_never_happens_is_not_made_up() -> None:
    zero = np.zeros_like(STEPS, dtype=float)
    untrained = made(zero, zero, network="mlp")
    never = made(steep(at=50), zero, network="lstm")
    found = grokking_across.compute([never, untrained])
    assert np.isinf(found.delay_median.sel(network="lstm")).all()
    assert np.isinf(found.crossing_median.sel(network="mlp")).all()
    for name in ("delay", "delay_above", "delay_median", "test_at_learned", "train_at_leaving"):
        assert found[name].sel(network="mlp").isnull().all(), name
    rows = grokking_across.table(found)
    assert [row["delay above"] for row in rows] == [20, None]
    assert [row["delay"] for row in rows] == [None, None]
    figure: Any = grokking_across.plot_networks(found)
    headings = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert "do not reach 99% test here" in headings[0]
    assert "training does not reach" in headings[1]


def test_a_run_without_rows_is_there_and_says_nothing() -> None:
    gone = made(np.array([0.0]), np.array([0.0]), steps=STEPS[:1], seed=1)
    found = grokking_across.compute([late(4), gone])
    assert found.delay.sel(seed=1).isnull().all()
    assert found.delay_median.item() == 4
    assert len(grokking_across.table(found)) == 2


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    """Two networks, three fractions, three seeds; more data, less delay."""
    cells = itertools.product(("transformer", "lstm"), (0.3, 0.5, 0.7), range(3))
    runs = [
        late((seed + 1) * 2 / fraction, network=network, fraction=fraction, seed=seed)
        for network, fraction, seed in cells
    ]
    return grokking_across.compute(runs)


def test_medians_of_seeds(grid: xr.Dataset) -> None:
    np.testing.assert_allclose(grid.delay_median.sel(network="lstm", fraction=0.5), 8)
    test = grid.median_accuracy.sel(network="lstm", fraction=0.5, split="test")
    np.testing.assert_array_equal(test, steep(at=400))


def test_curves_are_drawn_as_computed(
    grid: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    fractions = grokking_across.plot_fractions(grid, network="lstm")
    figures: list[Any] = [grokking_across.plot_networks(grid), fractions]
    for figure, panels in zip(figures, (2, 3), strict=True):
        assert len(figure.data) == panels * 2 * (3 + 1)
        assert "3 seeds" in figure.layout.title.text
        assert {"step (updates)", "accuracy (dotted: chance)"} <= axis_titles(figure)
        named = {trace.name for trace in figure.data if trace.showlegend}
        assert named == {"train, median of seeds", "test, median of seeds"}
    middle = figures[1].data[8:16]
    cells = grid.sel(network="lstm", fraction=0.5, step=slice(1, None))
    for seed in range(3):
        np.testing.assert_array_equal(
            middle[4 + seed].y, cells.accuracy.sel(split="test", seed=seed)
        )
    np.testing.assert_array_equal(middle[7].y, cells.median_accuracy.sel(split="test"))
    assert min(middle[7].x) > 0  # a logarithmic axis
    heading = figures[1].layout.annotations[1].text.replace("<br>", " ")
    assert "test 8 times later" in heading


def test_networks_are_drawn_on_what_data_there_is(grid: xr.Dataset) -> None:
    for fractions, shown in [([0.3, 0.5, 0.7], 0.5), ([0.3], 0.3), ([0.3, 0.7], 0.7)]:
        figure: Any = grokking_across.plot_networks(grid.sel(fraction=fractions))
        assert f"{shown:.0%} of the pairs" in figure.layout.title.text


def test_crossings_are_drawn_and_censored_ones_marked(grid: xr.Dataset) -> None:
    figure: Any = grokking_across.plot_crossings(grid)
    assert "3 seeds" in figure.layout.title.text
    gone = grid.last_step.where((grid.seed != 1) | (grid.network != "lstm"))
    fewer: Any = grokking_across.plot_crossings(grid.assign(last_step=gone))
    assert "2 to 3 of 3 seeds" in fewer.layout.title.text
    marks = [trace for trace in figure.data if trace.marker.symbol == "triangle-up-open"]
    drawn = sum(np.isfinite(np.asarray(trace.y, dtype=float)).sum() for trace in marks)
    learned = grid.crossing.sel(level=0.99)
    assert drawn == learned.isnull().sum()
    assert drawn == 0 or {y for t in marks for y in t.y if np.isfinite(y)} == {1000}
    named = [trace for trace in figure.data if trace.name == "test, median of seeds"]
    medians = [trace for trace in named if trace.mode == "lines+markers"]
    np.testing.assert_array_equal(
        medians[1].y, grid.crossing_median.sel(network="lstm", split="test", level=0.99)
    )
    assert medians[1].x.tolist() == [int(f * 97**2) for f in (0.3, 0.5, 0.7)]


def test_every_network_is_trained_on_every_fraction() -> None:
    wanted = grokking_across.wanted("published", 2)
    assert len(wanted) == len({named.config for named in wanted}) == 3 * 3 * 2
    named = wanted[-1]
    assert named.folder == "mlp-0.7-seed-1"
    assert named.config.data.train_fraction == 0.7
    assert named.config.data.seed == named.config.seed == 1
    assert named.config.model == settings.network("mlp", "published").model
