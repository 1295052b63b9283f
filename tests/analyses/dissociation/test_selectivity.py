"""Selectivity and verdicts on pruning curves whose answer is known."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from analyses.dissociation.selectivity import best_cut, lost, selectivity
from analyses.dissociation.verdict import Verdict, upper_bound, verdict

CHANCE = 0.1
REMOVED = np.arange(11)


def falls(at: int, *, units: int = 10, high: float = 1.0) -> np.ndarray:
    """Accuracy ``high`` until ``at`` units are gone, then chance."""
    return np.where(np.arange(units + 1) < at, high, CHANCE)


def test_what_is_lost_is_a_share_of_what_there_was_above_chance() -> None:
    found = lost(np.array([0.9, 0.5, 0.1, 0.05, 1.0]), chance=CHANCE)
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.0])
    assert np.isnan(lost(np.array([0.1, 0.0]), chance=CHANCE)).all()


def test_apart_in_the_first_four_units() -> None:
    low = {"changed": falls(4), "test": falls(9)}
    found = selectivity(REMOVED, low["changed"], low["test"], chance=CHANCE)
    assert found.score == 1.0
    assert (found.removed, found.place) == (4, 4)
    # From the top, the test accuracy is gone with the 2nd unit, the wrong labels with the 7th.
    high = {"changed": falls(7), "test": falls(2)}
    cut, total = best_cut((REMOVED, low), (REMOVED, high), chance=CHANCE)
    assert (cut, total) == (4, 2.0)  # 4 of 10 low gone, or 6 high gone: fewer than 7


def test_abilities_that_fall_together_are_not_selective() -> None:
    both = falls(5)
    assert selectivity(REMOVED, both, both, chance=CHANCE).score == 0.0
    worse = selectivity(REMOVED, falls(8), falls(2), chance=CHANCE)
    assert (worse.score, worse.removed) == (0.0, 0)  # nothing removed is the best there is
    curve = (REMOVED, {"changed": both, "test": both})
    assert best_cut(curve, curve, chance=CHANCE)[1] == 0.0


def test_an_ability_that_is_not_there_has_no_selectivity() -> None:
    none = np.full(11, CHANCE)
    found = selectivity(REMOVED, none, falls(4), chance=CHANCE)
    assert np.isnan(found.score)
    curve = (REMOVED, {"changed": none, "test": falls(4)})
    assert np.isnan(best_cut(curve, curve, chance=CHANCE)[1])


def test_cuts_between_measured_removals_are_interpolated() -> None:
    coarse = np.array([0, 5, 10])
    low = {"changed": np.array([1.0, CHANCE, CHANCE]), "test": np.array([1.0, 1.0, CHANCE])}
    high = {"changed": np.array([1.0, 1.0, CHANCE]), "test": np.array([1.0, CHANCE, CHANCE])}
    assert best_cut((coarse, low), (coarse, high), chance=CHANCE) == (5, 2.0)


def test_the_bound_of_a_control_is_a_prediction_interval() -> None:
    rng = np.random.default_rng(3)
    control = rng.normal(0.2, 0.05, (4000, 6))
    one_more = rng.normal(0.2, 0.05, 4000)
    beyond = np.mean(
        [value > upper_bound(row) for value, row in zip(one_more, control.tolist(), strict=True)]
    )
    # One side of a 95 % interval: 2.5 %, within four standard errors of a share.
    assert beyond == pytest.approx(0.025, abs=4 * (0.025 * 0.975 / 4000) ** 0.5)
    assert upper_bound([0.3]) == np.inf
    assert stats.t.ppf(0.975, 2) * (4 / 3) ** 0.5 + 1 == pytest.approx(upper_bound([0.0, 1.0, 2.0]))


CONTROL = [0.05, 0.1, 0.08, 0.12]


def judged(**changes: Any) -> Verdict:
    """Of a network that does both, selectively, unlike its controls."""
    known: dict[str, Any] = {"test": 1.0, "changed": 1.0, "s_mem": 0.9, "s_gen": 0.9}
    known |= {"control_mem": CONTROL, "control_gen": CONTROL}
    return verdict(**known | changes)


@pytest.mark.parametrize(
    ("s_mem", "s_gen", "word"),
    [
        (0.9, 0.8, "separable"),
        (0.9, 0.3, "memorising only"),
        (0.4, 0.8, "generalising only"),
        (0.4, 0.3, "entangled"),
        (0.5, 0.5, "separable"),
        (float("nan"), 0.8, "generalising only"),
    ],
)
def test_a_word_for_each_combination(s_mem: float, s_gen: float, word: str) -> None:
    found = judged(test=0.97, changed=0.85, s_mem=s_mem, s_gen=s_gen)
    assert found.word == word


def test_what_random_orders_also_do_does_not_count() -> None:
    wild = [0.1, 0.9, 0.3, 0.7]
    assert judged().word == "separable"
    assert judged(control_mem=wild).word == "generalising only"


@pytest.mark.parametrize(("test", "changed"), [(0.94, 1.0), (1.0, 0.79), (float("nan"), 1.0)])
def test_a_network_that_does_not_do_both_is_not_judged(test: float, changed: float) -> None:
    found = judged(test=test, changed=changed)
    assert found.word == "not applicable"
    assert (
        f"test accuracy {test:.3f} (wanted 0.95), on changed labels {changed:.3f}" in found.reason
    )
