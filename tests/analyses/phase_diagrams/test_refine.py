"""Refinement against diagrams whose full answer is known."""

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokinterp as gi
from analyses.one_run.phases import Thresholds
from analyses.phase_diagrams import diagram_page, sweep_phases
from analyses.phase_diagrams.refine import Refinement, refine_panel
from grokinterp.sweeps.fingerprint import fingerprint
from tests.analyses.end_points import end, fake_sweep

ALPHA, XI = np.linspace(0.1, 0.9, 17).round(10), (np.arange(19) * 0.05).round(10)
M, C, P, F = "memorization", "coexistence", "partial inversion", "full inversion"
G, K, N = "forgetting", "confusion", "clean generalization"
ENDS = {
    M: end(test=0.1),
    C: end(),
    P: end(changed=0.5),
    F: end(changed=0.0),
    G: end(test=0.1, max_test=1.0, train=0.1, changed=0.0, unchanged=0.1),
    K: end(test=0.1, train=0.1, changed=0.0, unchanged=0.1),
    N: end(changed=math.nan, n_changed=0),
}


def bands(alpha: np.ndarray, edges: list[np.ndarray], names: list[str]) -> np.ndarray:
    """``names`` from left to right, parted where alpha passes each of ``edges``."""
    return np.array(names, dtype=object)[sum((alpha > edge).astype(int) for edge in edges)]


def diagrams(noise: float, seed: int) -> dict[str, np.ndarray]:
    """Diagrams (alpha, xi) shaped like the paper's.

    Every cell is labelled as if its alpha were off by normal noise; ``noise`` is the deviation in
    cells. Where nothing is corrupted the phase is another one.
    """
    jitter = np.random.default_rng(seed).normal(0, noise * 0.05, (17, 19))
    a, x = ALPHA[:, None] + jitter, XI[None, :]
    disc = (a - 0.6) ** 2 + (x - 0.3) ** 2 < 0.18**2
    curved, wavy = 0.5 * x**1.5, 0.45 + 0.4 * x + 0.03 * np.sin(8 * x)
    found = {
        "memorization, coexistence, partial": bands(
            a, [0.22 + 0.55 * x**1.4, 0.72 + 0.5 * x**2], [M, C, P]
        ),
        "thin coexistence": bands(a, [0.18 + curved, 0.25 + curved, 0.48 + curved], [M, C, P, F]),
        "thin partial": bands(a, [0.16 + 0.45 * x**1.7, 0.2 + 0.5 * x**1.7], [M, P, F]),
        "disc of full inversion": np.where(
            disc, F, bands(a, [0.18 + 0.5 * x**2, 0.3 + 0.7 * x], [K, G, P])
        ),
        "five bands": bands(
            a, [0.2 + 0.3 * x, 0.32 + 0.35 * x, wavy, 0.7 + 0.2 * x], [M, C, P, F, G]
        ),
        "thin diagonal": bands(a, [0.15 + 0.75 * x, 0.25 + 0.75 * x], [M, C, F]),
    }
    for name, labels in found.items():
        if name != "thin diagonal":
            labels[:, 0] = np.where(ALPHA > 0.2, N, M)
    return found


NAMES = tuple(diagrams(0.0, 0))


def refine(truth: np.ndarray, stride: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The labels at the end, and which were trained."""
    known = np.full(truth.shape, "", dtype=object)
    for _ in range(truth.size + 1):
        labels, ask = refine_panel(known, stride)
        if not ask.any():
            return labels, known != ""
        assert not (known[ask] != "").any()  # no cell is trained twice
        known[ask] = truth[ask]
    raise AssertionError("refinement does not end")


@pytest.mark.parametrize("name", NAMES)
def test_smooth_diagrams_are_recovered(name: str) -> None:
    truth = diagrams(0.0, 0)[name]
    labels, trained = refine(truth)
    assert (labels == truth).mean() >= 0.99
    assert trained.mean() <= 0.40


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_noise_at_the_boundaries_costs_at_most_two_cells_in_a_hundred(name: str, seed: int) -> None:
    truth = diagrams(0.2, seed)[name]
    labels, trained = refine(truth)
    assert (labels == truth).mean() >= 0.98
    assert trained.mean() <= 0.40


def test_one_phase_takes_the_coarse_grid_only() -> None:
    truth = np.full((17, 19), M, dtype=object)
    labels, trained = refine(truth)
    assert (labels == M).all()
    assert sorted(set(np.nonzero(trained)[0])) == [0, 4, 8, 12, 16]
    assert sorted(set(np.nonzero(trained)[1])) == [0, 4, 9, 14, 18]
    assert trained.sum() == 25


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.integers(1, 6),
    data=st.data(),
)
def test_any_diagram_ends_with_every_cell_labelled_and_none_trained_made_up(
    shape: tuple[int, int], stride: int, data: st.DataObject
) -> None:
    size = math.prod(shape)
    flat = data.draw(st.lists(st.sampled_from("abc"), min_size=size, max_size=size))
    truth = np.array(flat, dtype=object).reshape(shape)
    labels, trained = refine(truth, stride)
    assert set(np.unique(labels.astype(str))) <= set("abc")
    assert (labels[trained] == truth[trained]).all()
    if stride == 1:
        assert trained.all()


def test_a_cell_is_inferred_from_the_two_across_a_line_and_from_three_of_four_at_a_crossing() -> (
    None
):
    # Corners a a / a b: two edges are inferred, two asked for.
    known = np.array([["a", "", "a"], ["", "", ""], ["a", "", "b"]], dtype=object)
    labels, ask = refine_panel(known, 2)
    assert labels[0, 1] == labels[1, 0] == "a"
    assert np.argwhere(ask).tolist() == [[1, 2], [2, 1]]
    one, two = known.copy(), known.copy()
    one[1, 2], one[2, 1] = "a", "b"  # three a around the middle
    labels, ask = refine_panel(one, 2)
    assert (labels[1, 1], ask.any()) == ("a", False)
    two[1, 2], two[2, 1] = "b", "b"
    labels, ask = refine_panel(two, 2)
    assert np.argwhere(ask).tolist() == [[1, 1]]


def sweep_of(truths: dict[float, np.ndarray], seeds: int = 2) -> xr.Dataset:
    """A sweep, all trained, whose phases are ``truths`` by weight decay."""
    names = np.stack(list(truths.values())).ravel()
    ends = [ENDS[str(name)] for name in names for _ in range(seeds)]
    axes = {"training.weight_decay": list(truths), "data.train_fraction": ALPHA}
    return fake_sweep(ends, axes | {"data.corruption": XI}, seeds=seeds)


def train_what_it_asks(
    refinement: Callable[[xr.Dataset], xr.DataArray], full: xr.Dataset
) -> tuple[xr.Dataset, int]:
    """Play the sweep: hide what was not asked for; how often it asked."""
    done = full.done.copy(data=np.zeros(full.done.shape, dtype=bool))
    for rounds in itertools.count():
        seen = full.where(done).assign(done=done)
        ask = refinement(seen)
        assert ask.dtype == bool
        assert ask.dims == full.done.dims[:-1]
        if not ask.any():
            return seen, rounds
        done = (done | ask).transpose(*full.done.dims)
    raise AssertionError


def test_a_sweep_of_several_panels_is_refined_panel_by_panel() -> None:
    truths = dict(zip((0.0, 5.0, 20.0), [diagrams(0.2, 3)[n] for n in NAMES[:3]], strict=True))
    truths[30.0] = np.full((17, 19), K, dtype=object)
    full = sweep_of(truths)
    refinement = Refinement()
    seen, rounds = train_what_it_asks(refinement, full)
    assert rounds <= 8  # few, so that each can train many runs at once
    found = refinement.infer(sweep_phases.compute(seen))
    known = sweep_phases.compute(full)
    for wd, truth in truths.items():
        assert (known.majority.sel({"training.weight_decay": wd}).values == truth).all()
        here = found.sel({"training.weight_decay": wd})
        alone, trained = refine(truth)
        assert (here.majority.values == alone).all()
        assert (here.inferred.values == ~trained).all()
    assert found.majority.dims == known.majority.dims
    assert (found.majority == known.majority).mean() >= 0.98
    assert found.inferred.mean() >= 0.60
    assert (found.n_seeds.values == np.where(found.inferred, 0, 2)).all()


def test_a_cell_without_all_its_seeds_is_asked_for_again() -> None:
    full = sweep_of({0.0: np.full((17, 19), M, dtype=object)}, seeds=2)
    seen, _ = train_what_it_asks(Refinement(), full)
    seen["done"][0, 0, 0, 1] = False
    ask = Refinement()(seen)
    assert np.argwhere(ask.values).tolist() == [[0, 0, 0]]


def test_cells_are_not_inferred_before_their_neighbours_are_trained() -> None:
    full = sweep_of({0.0: diagrams(0.0, 0)[NAMES[0]]})
    nothing = full.where(False).assign(done=full.done & False)
    found = Refinement().infer(sweep_phases.compute(nothing))
    assert (found.majority == "").all()
    assert not found.inferred.any()


def test_thresholds_and_axes_can_be_others() -> None:
    full = sweep_of({0.0: diagrams(0.0, 0)[NAMES[0]]})
    full["final_accuracy"] = full.final_accuracy.where(full.final_accuracy != 0.5, 0.75)
    low = Refinement(thresholds=Thresholds(learned=0.7))  # there, partial inversion is coexistence
    seen_low, _ = train_what_it_asks(low, full)
    seen, _ = train_what_it_asks(Refinement(), full)
    assert seen_low.done.sum() < seen.done.sum()
    turned = full.transpose("data.corruption", "data.train_fraction", ...)
    swapped = Refinement(x="data.corruption", y="data.train_fraction")
    seen_turned, _ = train_what_it_asks(swapped, turned)
    assert (seen_turned.done.transpose(*seen.done.dims).values == seen.done.values).all()


def test_errors_name_argument_value_and_remedy() -> None:
    full = sweep_of({0.0: np.full((17, 19), M, dtype=object)})
    with pytest.raises(ValueError, match=r"'model.d_mlp' is not an axis.*data.corruption"):
        Refinement(x="model.d_mlp")(full)
    shuffled = full.isel({"data.corruption": [1, 0, *range(2, 19)]})
    with pytest.raises(ValueError, match=r"data.corruption.*numbers in order"):
        Refinement()(shuffled)
    with pytest.raises(ValueError, match="two different axes"):
        Refinement(x="data.corruption", y="data.corruption")
    with pytest.raises(ValueError, match="stride must be at least 1"):
        Refinement(stride=0)


def test_a_page_infers_cells_that_the_standard_refinement_left_out() -> None:
    """Whatever code it had then; and not those that another one left out."""
    full = sweep_of({0.0: diagrams(0.0, 0)[NAMES[0]]})
    seen, _ = train_what_it_asks(Refinement(), full)
    standard = fingerprint(Refinement())
    older = {name: pieces | {"code": "older"} for name, pieces in standard.items()}
    older["Refinement object"] = standard["Refinement object"]
    # What it was in stores of format 1, among them those of the tutorials.
    text = (
        "Refinement(x='data.train_fraction', y='data.corruption', stride=4, thresholds=None) "
        "analyses.phase_diagrams.refine.Refinement.__call__ 0123456789ab"
    )
    chosen = {"standard": standard, "older": older, "text": text, "none": None}
    chosen |= {"stride": fingerprint(Refinement(stride=3)), "mine": fingerprint(lambda data: data)}
    inferred = {}
    for name, refine in chosen.items():
        seen.attrs["identity"] = json.dumps({"refine": refine})
        inferred[name] = "inferred" in diagram_page.phases_of(seen)
    expected = dict.fromkeys(("standard", "older", "text"), True)
    assert inferred == expected | dict.fromkeys(("none", "stride", "mine"), False)


def test_a_sweep_takes_it(tmp_path: Any) -> None:
    calls = []

    class Counting:
        def __call__(self, ds: xr.Dataset) -> xr.DataArray:
            calls.append(Refinement(stride=2)(ds))
            return calls[-1]

    base = gi.RunConfig(
        data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4), training=gi.TrainConfig(steps=2)
    )
    axes = {"data.train_fraction": [0.4, 0.5, 0.6], "data.corruption": [0.0, 0.2, 0.4]}
    found = gi.sweep(base, axes, seeds=1, refine=Counting(), device="cpu", progress=False)
    asked = np.sum([ask.values for ask in calls], axis=0)
    assert (found.done.isel(seed=0).values == (asked == 1)).all()
    assert not calls[-1].any()
