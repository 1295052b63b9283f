"""Outcomes of runs whose curves are known: stuck, unfinished, grokked and diverged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from scipy.special import expit
from scipy.stats import binomtest

import grokinterp as gi
from analyses.efficiency import semi_grokking, settings
from analyses.efficiency.semi_grokking.figures import OUTCOME_STYLE
from analyses.pages.labels import seeds_in_words
from analyses.statistics.curves import Outcome

STEPS = np.arange(0, 3001, 20)


def made(
    test: np.ndarray, *, fraction: float = 0.5, seed: int = 0, diverged_at: int | None = None
) -> gi.Run:
    """A run of the transformer with this validation accuracy; it has no network."""
    config = settings.network("transformer", "tiny").replace({"data.p": 97, "seed": seed})
    config = settings.with_fraction(config, fraction)
    history = xr.Dataset(
        {"train_accuracy": ("step", np.ones(len(test))), "test_accuracy": ("step", test)},
        coords={"step": STEPS[: len(test)]},
    )
    return gi.Run(config, gi.make_dataset(config.data), None, history, diverged_at)


def rising(at: float, high: float = 1.0) -> np.ndarray:
    """A sigmoid in steps, half of the way up at ``at``; some hundred steps wide."""
    return high * expit((STEPS - at) / 100)


def outcomes(runs: list[gi.Run], **options: Any) -> list[list[str]]:
    """By budget, one per run, which must be of one fraction each."""
    found = semi_grokking.compute(runs, **options).outcome.squeeze("network").squeeze("seed")
    return found.transpose("budget", "fraction").values.tolist()


def test_each_kind_of_run() -> None:
    runs = [
        made(rising(300, high=0.05), fraction=0.2),  # flat, near chance
        made(rising(2800), fraction=0.3),  # on its way up
        made(rising(300, high=0.4), fraction=0.35),  # stuck in the middle
        made(rising(500), fraction=0.4),
        made(rising(300)[:40], fraction=0.5, diverged_at=780),
    ]
    want = ["not generalised", "unfinished", "semi-grokked", "grokked", "grokked"]
    assert outcomes(runs)[-1] == want


def test_a_diverged_run_is_neither_flat_nor_unfinished() -> None:
    gone = made(rising(300, high=0.4)[:120], fraction=0.3, diverged_at=2390)
    found = outcomes([gone, made(rising(500), fraction=0.4)], budgets=[2300, 3000])
    assert found == [["semi-grokked", "grokked"], ["diverged", "grokked"]]
    at_once = made(np.array([0.01]), fraction=0.3, diverged_at=3)
    assert outcomes([at_once, made(rising(500), fraction=0.4)])[-1] == ["diverged", "grokked"]


def test_a_longer_budget_tells_late_from_stuck() -> None:
    """At step 1000 both are flat in the middle; then one groks, and so the other may yet."""
    stuck = made(rising(100, high=0.4), fraction=0.2)
    late = made(rising(100, high=0.4) + rising(2000, high=0.6), fraction=0.3)
    found = semi_grokking.compute([stuck, late], budgets=[1000, 3000])
    assert semi_grokking.compute([stuck, late]).budget.values.tolist() == [1500, 3000]
    early, end = found.outcome.squeeze().values.tolist()
    assert early == ["semi-grokked", "semi-grokked"]
    assert end == ["unfinished", "grokked"]
    assert found.looks_semi.squeeze().values.tolist() == [[True, True], [True, False]]
    np.testing.assert_allclose(found["last"].squeeze()[0], 0.4, atol=0.001)


def test_a_run_is_unfinished_until_three_times_its_neighbour() -> None:
    stuck = made(rising(100, high=0.4), fraction=0.2)
    neighbours = [
        made(rising(at), fraction=0.3, seed=seed) for seed, at in enumerate((600, 900, 99_999))
    ]
    # Of three seeds, one of which never groks, the median is the second one's crossing of 90 %.
    found = semi_grokking.compute([stuck, *neighbours], budgets=[2900, 3000])
    crossing = found.crossing.sel(fraction=0.3, seed=1).item()
    assert crossing == 1120  # 900 + 100 ln 9 = 1119.7
    assert (found.crossing_median.sel(fraction=0.3) == crossing).all()
    assert found.outcome.sel(fraction=0.2, seed=0).values.ravel().tolist() == ["unfinished"] * 2
    faster = made(rising(700), fraction=0.3, seed=2)  # now the median is its 920
    found = semi_grokking.compute([stuck, *neighbours[:2], faster], budgets=[2740, 2780])
    of_stuck = found.outcome.sel(fraction=0.2, seed=0).values.ravel()
    assert of_stuck.tolist() == ["unfinished", "semi-grokked"]


def test_what_happened_after_a_budget_is_not_known_at_it() -> None:
    runs = [made(rising(100, high=0.4), fraction=0.2), made(rising(1500), fraction=0.3)]
    early, late = semi_grokking.compute(runs, budgets=[1400, 3000]).outcome.squeeze().values
    assert early.tolist() == ["semi-grokked", "unfinished"]  # no neighbour had grokked
    assert late.tolist() == ["unfinished", "grokked"]


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    """Shares that are known: of 0.2 none, of 0.3 one of two, of 0.4 all grok."""
    runs = [
        made(rising(300, high=0.05), fraction=0.2, seed=0),
        made(rising(100, high=0.4), fraction=0.2, seed=1),
        made(rising(300, high=0.4), fraction=0.3, seed=0),
        made(rising(1500), fraction=0.3, seed=1),
        made(rising(500), fraction=0.4, seed=0),  # and no second seed
    ]
    return semi_grokking.compute(runs)


def test_shares_are_of_the_seeds_there_are(found: xr.Dataset) -> None:
    last = found.share.squeeze("network").isel(budget=-1)
    assert last.sel(ending="grokked").values.tolist() == [0, 0.5, 1]
    assert last.sel(ending="semi-grokked").values.tolist() == [0.0, 0.5, 0]
    np.testing.assert_allclose(last.sum("ending"), 1)
    assert found.outcome.sel(fraction=0.4, seed=1).values.ravel().tolist() == ["", ""]


def test_shares_have_wilson_intervals(found: xr.Dataset) -> None:
    """Of all five runs two grok, of the two at 0.3 one; there is one run at 0.4."""
    end = found.squeeze("network").isel(budget=-1)
    grokked = {"ending": str(Outcome.GROKKED)}
    cells = {(2, 5): end.sel(grokked), (1, 2): end.sel(grokked | {"fraction": 0.3})}
    for (count, n), cell in cells.items():
        name = "overall" if n == 5 else "share"
        wilson = binomtest(count, n).proportion_ci(method="wilson")
        told = [float(cell[f"{name}{part}"]) for part in ("", "_low", "_high")]
        assert told == pytest.approx([count / n, wilson.low, wilson.high])
    alone = end.sel(grokked | {"fraction": 0.4})
    assert (float(alone.share), float(alone.share_high)) == (1, 1)


def test_figures_show_outcomes(
    found: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = semi_grokking.plot_trajectories(found)
    counts: Any = found.last_step.notnull().sum("seed").values
    assert seeds_in_words(counts, of=found.sizes["seed"]) in figure.layout.title.text
    runs = [trace for trace in figure.data if len(trace.x) > 1]
    assert len(runs) == 5
    np.testing.assert_array_equal(runs[3].y, rising(1500)[1:])
    styles = {str(end): style[1] for end, style in OUTCOME_STYLE.items()}
    assert runs[3].marker.symbol == styles["grokked"]
    assert runs[2].marker.symbol == styles["semi-grokked"]
    titles = axis_titles(figure)
    assert titles >= {
        "step (updates; dotted: smaller budgets end)",
        "test accuracy (dotted: chance)",
    }
    bars: Any = semi_grokking.plot_outcomes(found)
    right = {bar.name: list(bar.y) for bar in bars.data if bar.xaxis == "x2"}
    assert right["grokked"] == [0, 0.5, 1]
    assert "diverged" not in right
    assert len({(bar.marker.color, bar.marker.pattern.shape) for bar in bars.data}) == len(right)


def test_bad_budgets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in 1\.\.3000.*\[4000\]"):
        semi_grokking.compute([made(rising(500))], budgets=[4000])


def test_networks_train_longer_than_usual() -> None:
    wanted = semi_grokking.wanted("published", 2)
    usual = settings.network("transformer", "published").training
    assert {named.config.training.steps for named in wanted} == {3 * usual.steps}
    found = [(named.config.data.train_fraction, named.config.seed) for named in wanted]
    assert found == [(percent / 100, seed) for percent in range(20, 31) for seed in (0, 1)]
    assert wanted[3].folder == "semi-transformer-0.21-seed-1"
    assert all(named.config.data.seed == named.config.seed for named in wanted)


def test_one_row_is_neither_diverged_nor_a_plateau() -> None:
    found = semi_grokking.compute([made(rising(500))], budgets=[10, 3000])
    assert found.outcome.squeeze().values.tolist() == ["unfinished", "grokked"]
    assert found["last"].squeeze()[0] == rising(500)[0]


def test_the_largest_fraction_is_held_against_its_own_time() -> None:
    """Two of three seeds grok at 1220: the third may yet until 3660, and there is no 4th."""
    runs = [made(rising(1000), seed=seed) for seed in (0, 1)]
    runs.append(made(rising(100, high=0.4), seed=2))
    found = semi_grokking.compute(runs)
    last = found.outcome.isel(budget=-1).values.ravel()
    assert last.tolist() == ["grokked", "grokked", "unfinished"]
