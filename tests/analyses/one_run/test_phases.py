"""Phases of the paper's own runs, and the rules as a partition of all accuracies."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

import grokinterp as gi
from analyses.one_run import phases
from analyses.one_run.phases import EndPoint, Phase, Thresholds, phase_of, published_phase_of
from analyses.pages.palette import PHASE_COLOR
from probes import subset_scores
from tests.analyses.end_points import end

SHARES = st.floats(0, 1)
GENERALISING = {
    Phase.CLEAN_GENERALIZATION,
    Phase.COEXISTENCE,
    Phase.PARTIAL_INVERSION,
    Phase.FULL_INVERSION,
}


@st.composite
def ends(draw: st.DrawFn) -> EndPoint:
    n_changed = draw(st.integers(0, 4704))
    test = draw(SHARES)
    return EndPoint(
        test=test,
        train=draw(SHARES),
        changed=draw(SHARES) if n_changed else math.nan,
        unchanged=draw(SHARES),
        max_test=draw(st.floats(test, 1)),
        n_changed=n_changed,
        corruption=draw(SHARES),
    )


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % score interval: the shares q with |right / n - q| <= z sqrt(q (1 - q) / n)."""
    z, share = 1.959963984540054, right / n
    roots = np.roots([1 + z**2 / n, -(2 * share + z**2 / n), share**2])
    return float(roots.min()), float(roots.max())


def test_phases_have_the_papers_names() -> None:
    names = {"coexistence", "partial inversion", "full inversion"}
    names |= {"memorization", "forgetting", "confusion"}
    assert {str(phase) for phase in Phase} == names | {"clean generalization", "diverged"}
    assert Phase.FULL_INVERSION == "full inversion"
    assert f"{Phase.FULL_INVERSION}" == "full inversion"
    assert set(PHASE_COLOR) == {str(phase) for phase in Phase}


@pytest.mark.parametrize(
    ("figure", "train", "test", "changed", "others", "phase"),
    [
        ("1a", 0.9783, 0.9830, 0.937, {}, "coexistence"),
        ("1b", 0.7855, 1.0, 0.381, {}, "partial inversion"),
        ("1c", 0.6537, 1.0, 0.0, {}, "full inversion"),
        ("5, BatchNorm", 0.8043, 1.0, 0.012, {"corruption": 0.2}, "full inversion"),
        ("5, no norm", 0.8185, 1.0, 0.083, {"corruption": 0.2}, "full inversion"),
        ("8", 0.009, 0.011, 0.01, {"max_test": 1.0, "unchanged": 0.009}, "forgetting"),
    ],
)
def test_phases_of_the_papers_printed_runs(
    figure: str, train: float, test: float, changed: float, others: dict[str, float], phase: str
) -> None:
    """The paper's definition and ours agree on them."""
    printed = end(train=train, test=test, changed=changed, **others)
    assert published_phase_of(printed) == phase_of(printed) == phase, figure


@given(end=ends())
def test_every_end_point_has_exactly_one_phase(end: EndPoint) -> None:
    # The rules of the table, each with the refusal of all rules before it written out.
    works, none, kept = end.test >= 0.9, end.n_changed == 0, end.unchanged >= 0.9
    learned, ignored = end.changed >= 0.9, end.changed <= 0.1
    holds = {
        Phase.CLEAN_GENERALIZATION: works and none,
        Phase.COEXISTENCE: works and learned,
        Phase.FULL_INVERSION: works and ignored,
        Phase.PARTIAL_INVERSION: works and not none and not learned and not ignored,
        Phase.MEMORIZATION: not works and kept and (none or learned),
        Phase.FORGETTING: not works and not (kept and (none or learned)) and end.max_test >= 0.9,
        Phase.CONFUSION: not works and not (kept and (none or learned)) and end.max_test < 0.9,
    }
    assert [phase for phase, holding in holds.items() if holding] == [phase_of(end)]


@given(end=ends(), learned=st.floats(0.5, 0.99), not_memorised=st.floats(0.01, 0.49))
def test_other_thresholds_are_a_partition_too(
    end: EndPoint, learned: float, not_memorised: float
) -> None:
    cut = Thresholds(learned=learned, not_memorised=not_memorised)
    assert (phase_of(end, cut) in GENERALISING) == (end.test >= learned)


@given(end=ends())
def test_the_published_rule_gives_one_of_its_six_phases(end: EndPoint) -> None:
    phase = published_phase_of(end)
    assert phase not in (Phase.CLEAN_GENERALIZATION, Phase.DIVERGED)
    assert (phase in GENERALISING) == (end.test >= 0.9)
    if end.test >= 0.9 and end.train < 0.9:
        assert (phase == Phase.FULL_INVERSION) == (end.train < 1.05 - end.corruption)


@given(test=st.floats(0.9, 1), shares=st.lists(SHARES, min_size=2, max_size=6))
def test_more_memorised_labels_never_lead_away_from_coexistence(
    test: float, shares: list[float]
) -> None:
    order = [Phase.FULL_INVERSION, Phase.PARTIAL_INVERSION, Phase.COEXISTENCE]
    found = [order.index(phase_of(end(test=test, changed=share))) for share in sorted(shares)]
    assert found == sorted(found)


@given(end=ends())
def test_history_only_tells_forgetting_from_confusion(end: EndPoint) -> None:
    never = dataclasses.replace(end, max_test=min(end.test, 0.5))
    once = dataclasses.replace(end, max_test=1.0)
    if phase_of(never) == Phase.CONFUSION:
        assert phase_of(once) == Phase.FORGETTING
    else:
        assert phase_of(once) == phase_of(never)


JUST_BELOW_LEARNED, JUST_ABOVE_IGNORED = math.nextafter(0.9, 0), math.nextafter(0.1, 1)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"test": 0.90, "changed": 0.90}, "coexistence"),
        ({"test": 0.90, "changed": JUST_BELOW_LEARNED}, "partial inversion"),
        ({"test": 0.90, "changed": JUST_ABOVE_IGNORED}, "partial inversion"),
        ({"test": 0.90, "changed": 0.10}, "full inversion"),
        ({"test": JUST_BELOW_LEARNED, "changed": 0.90, "unchanged": 0.90}, "memorization"),
        ({"test": JUST_BELOW_LEARNED, "unchanged": JUST_BELOW_LEARNED}, "confusion"),
        ({"test": JUST_BELOW_LEARNED, "changed": JUST_BELOW_LEARNED}, "confusion"),
        ({"test": 0.5, "changed": 0.5, "max_test": 0.90}, "forgetting"),
        ({"test": 0.5, "changed": 0.5, "max_test": JUST_BELOW_LEARNED}, "confusion"),
        ({"test": 0.90, "n_changed": 0, "changed": math.nan}, "clean generalization"),
        ({"test": 0.5, "n_changed": 0, "changed": math.nan}, "memorization"),
        ({"test": 0.5, "n_changed": 0, "changed": math.nan, "unchanged": 0.5}, "confusion"),
        ({"test": 0.5, "max_test": 1.0}, "memorization"),  # which wins over forgetting
        ({"diverged": True}, "diverged"),
        ({"diverged": True, "test": math.nan, "changed": math.nan}, "diverged"),
    ],
)
def test_boundaries(known: dict[str, Any], expected: str) -> None:
    assert phase_of(end(**known)) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"test": 0.90, "train": 0.90}, "coexistence"),
        ({"test": 0.90, "train": 0.89}, "partial inversion"),
        ({"train": 0.75, "corruption": 0.30}, "partial inversion"),  # 1.05 - corruption itself
        ({"train": 0.74, "corruption": 0.30}, "full inversion"),
        ({"train": 0.92, "corruption": 0.10}, "coexistence"),  # where the table says both
        ({"train": 0.89, "corruption": 0.10}, "full inversion"),  # no partial inversion is left
        ({"test": 0.89, "train": 0.90}, "memorization"),
        ({"test": 0.89, "train": 0.89, "max_test": 0.90}, "forgetting"),
        ({"test": 0.89, "train": 0.89}, "confusion"),
        ({"diverged": True}, "diverged"),
    ],
)
def test_boundaries_of_the_published_rule(known: dict[str, Any], expected: str) -> None:
    assert published_phase_of(end(**known)) == expected


def test_the_rules_part_where_train_accuracy_cannot_see_memorisation() -> None:
    # Five in a hundred labels corrupted, none memorised: train accuracy is still .95.
    unseen = end(train=0.95, changed=0.0, corruption=0.05)
    assert published_phase_of(unseen) == Phase.COEXISTENCE
    assert phase_of(unseen) == Phase.FULL_INVERSION


@settings(max_examples=50)
@given(n_test=st.integers(1, 5000), n_changed=st.integers(0, 2000), test=SHARES, changed=SHARES)
def test_borderline_is_a_threshold_within_wilsons_interval(
    n_test: int, n_changed: int, test: float, changed: float
) -> None:
    expected = False
    measured = [(test, n_test, [0.9]), (changed, n_changed, [0.9, 0.1])]
    rounded = [round(share * n) for share, n, _ in measured]
    for (_, n, levels), right in zip(measured, rounded, strict=True):
        if n:
            low, high = wilson(right, n)
            gaps = [abs(bound - level) for bound in (low, high) for level in levels]
            assume(min(gaps) > 1e-9)
            expected |= any(low <= level <= high for level in levels)
    found = phases.is_borderline(
        end(
            test=rounded[0] / n_test,
            changed=rounded[1] / n_changed if n_changed else math.nan,
            n_changed=n_changed,
        ),
        n_test,
    )
    assert found is expected


@pytest.mark.parametrize(
    ("known", "n_test", "expected"),
    [  # 95 % intervals by hand
        ({"test": 0.88, "changed": 0.5}, 100, True),  # .802 to .930
        ({"test": 0.88, "changed": 0.5}, 4705, False),  # .870 to .889
        ({"test": 1.0, "changed": 0.09}, 4705, True),  # of 1629: .077 to .105
        ({"test": 1.0, "changed": 0.08}, 4705, False),  # of 1629: .068 to .094
        ({"test": 1.0, "changed": 0.91}, 4705, True),
        ({"test": 1.0, "n_changed": 0, "changed": math.nan}, 4705, False),
        ({"test": math.nan, "changed": math.nan, "diverged": True}, 4705, False),
    ],
)
def test_borderline_by_hand(known: dict[str, Any], n_test: int, expected: bool) -> None:
    assert phases.is_borderline(end(**known), n_test) is expected


@pytest.mark.parametrize("n", [1, 30, 400])
def test_borderline_is_scipys_interval_for_every_count(n: int) -> None:
    right = np.arange(n + 1)
    for level in (0.5, 0.9, 1.0):
        cut = Thresholds(learned=level, not_memorised=0.0)
        ends = [end(test=r / n, n_changed=0, changed=math.nan) for r in right]
        intervals = [binomtest(int(r), n).proportion_ci(method="wilson") for r in right]
        expected = [ci.low <= level <= ci.high for ci in intervals]
        assert [phases.is_borderline(e, n, cut) for e in ends] == expected
        assert any(expected)


def test_borderline_uses_the_thresholds_that_decide() -> None:
    near = end(test=0.70, changed=0.5)
    assert not phases.is_borderline(near, 1000)
    assert phases.is_borderline(near, 1000, Thresholds(learned=0.70))


def history(run: gi.Run, **rows: list[float]) -> gi.Run:
    """The run with a history of as many rows as are given, its other values as at the end."""
    count = len(next(iter(rows.values())))
    last = run.history.isel(step=[-1] * count).copy(deep=True)
    return dataclasses.replace(
        run, history=last.assign({name: ("step", values) for name, values in rows.items()})
    )


def test_end_point_reads_the_last_step_and_the_best_one(corrupted_run: gi.Run) -> None:
    run = history(
        corrupted_run,
        test_accuracy=[0.1, 0.95, 0.2],
        train_accuracy=[0.1, 0.8, 0.7],
        changed_accuracy=[0.0, 0.3, 0.4],
        unchanged_accuracy=[0.2, 0.9, 0.6],
    )
    wrong = int((run.dataset.labels != run.dataset.clean_labels).sum())
    last = {"test": 0.2, "train": 0.7, "changed": 0.4, "unchanged": 0.6}
    assert EndPoint.of(run) == EndPoint(
        **last, max_test=0.95, n_changed=wrong, corruption=0.3, diverged=False
    )
    assert phases.classify(run) == "forgetting"
    assert phases.classify(run, Thresholds(learned=0.96)) == "confusion"


def test_end_point_of_a_trained_run(corrupted_run: gi.Run) -> None:
    scores = subset_scores(corrupted_run.model, corrupted_run.dataset)
    found = dataclasses.asdict(EndPoint.of(corrupted_run))
    for subset in ("train", "test", "changed", "unchanged"):
        assert found[subset] == pytest.approx(scores[subset]["accuracy"], rel=1e-6)


def test_shares_are_exact_so_that_a_threshold_can_be_met(corrupted_run: gi.Run) -> None:
    # 9 of 10 must not read as 0.8999999762, which is below .90.
    config = corrupted_run.config.replace({"training.steps": 1, "training.lr": 1e-9})
    run = gi.train(config, device="cpu", progress=False)
    score = subset_scores(run.model, run.dataset)["train"]["accuracy"]
    assert 0 < score < 0.2
    assert EndPoint.of(run).train == pytest.approx(score, rel=1e-14)


@pytest.mark.parametrize("variable", ["train_loss", "norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_run_that_is_not_finite_has_diverged(
    corrupted_run: gi.Run, variable: str, value: float
) -> None:
    broken = corrupted_run.history.copy(deep=True)
    broken[variable][-1] = value
    run = dataclasses.replace(corrupted_run, history=broken)
    assert phases.classify(run) == Phase.DIVERGED
    assert published_phase_of(EndPoint.of(run)) == Phase.DIVERGED


def test_a_run_that_was_stopped_or_never_scored_has_diverged(corrupted_run: gi.Run) -> None:
    stopped = dataclasses.replace(corrupted_run, diverged_at=7)
    empty = dataclasses.replace(stopped, history=stopped.history.isel(step=slice(0)))
    for run in (stopped, empty):
        assert phases.classify(run) == Phase.DIVERGED
        assert phases.compute(run).phase.item() == "diverged"


def test_a_run_that_diverges_while_training(corrupted_run: gi.Run) -> None:
    config = corrupted_run.config.replace({"training.lr": 1e12, "training.steps": 20})
    with pytest.warns(gi.DivergenceWarning):
        run = gi.train(config, device="cpu", progress=False)
    assert phases.classify(run) == Phase.DIVERGED


def test_compute_gathers_runs(corrupted_run: gi.Run, clean_run: gi.Run) -> None:
    forgotten = history(
        corrupted_run, test_accuracy=[0.5, 0.95, 0.2], changed_accuracy=[0.3, 0.3, 0.4]
    )
    forgotten.history["norm"][:] = [[1.0, 2.0, 2.0], [3.0, 4.0, 0.0], [0.0, 0.03, 0.04]]
    runs = [corrupted_run, clean_run, forgotten]
    found = phases.compute(runs)
    assert dict(found.sizes) == {"run": 3}
    judgements = {"phase", "published_phase", "borderline", "once_generalised"}
    subsets = ("train", "test", "changed", "unchanged", "max_test")
    numbers = {"norm_ratio", *(f"{subset}_accuracy" for subset in subsets)}
    assert set(found.data_vars) == judgements | numbers
    assert found.weight_decay.values.tolist() == [1.0, 1.0, 1.0]
    assert found.train_fraction.values.tolist() == [0.6, 0.6, 0.6]
    assert found.corruption.values.tolist() == [0.3, 0.0, 0.3]
    assert found.seed.values.tolist() == [5, 5, 5]
    assert found.attrs == {"learned": 0.9, "not_memorised": 0.1}
    for i, run in enumerate(runs):
        last = run.history.isel(step=-1)
        for subset in ("train", "test", "changed", "unchanged"):
            np.testing.assert_array_equal(
                found[f"{subset}_accuracy"][i], last[f"{subset}_accuracy"]
            )
        assert found.phase.values[i] == phases.classify(run)
    assert found.phase.values[2] == "forgetting"
    assert math.isnan(found.changed_accuracy[1])  # it has no changed label
    assert found.once_generalised.values.tolist() == [False, False, True]
    assert found.norm_ratio[2].item() == pytest.approx(0.05 / 5)


def test_compute_takes_one_run_and_other_thresholds(corrupted_run: gi.Run) -> None:
    last = corrupted_run.history.isel(step=-1)
    low = Thresholds(learned=float(last.test_accuracy), not_memorised=0.0)
    found = phases.compute(corrupted_run, low)
    assert dict(found.sizes) == {"run": 1}
    assert found.attrs == {"learned": low.learned, "not_memorised": 0.0}
    assert Phase(found.phase.item()) in GENERALISING
    assert found.once_generalised.item() is True


def test_plot_shows_every_run_in_the_colour_of_its_phase(
    corrupted_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    points = {"coexistence": (0.95, 0.92), "partial inversion": (0.5, 0.97)}
    points |= {"full inversion": (0.0, 1.0), "forgetting": (0.3, 0.2)}
    runs = [
        history(corrupted_run, test_accuracy=[0.99, test], changed_accuracy=[0.0, changed])
        for changed, test in points.values()
    ]
    data = phases.compute(runs)
    figure: Any = phases.plot_phases(data)
    shown = {trace.name: (trace.x.item(), trace.y.item()) for trace in figure.data}
    assert shown == points
    for trace in figure.data:
        assert trace.marker.color == PHASE_COLOR[trace.name]
        assert trace.customdata.tolist() == [[1.0, 0.6, 0.3, 5.0]]
    assert axis_titles(figure) == {"accuracy on corrupted training labels", "test accuracy"}
    cuts = figure.layout.shapes
    assert sorted(line.x0 for line in cuts if line.x0 == line.x1) == [0.1, 0.9]
    assert [line.y0 for line in cuts if line.y0 == line.y1] == [0.9]


def test_phases_survive_netcdf(corrupted_run: gi.Run, tmp_path: Any) -> None:
    found = phases.compute(corrupted_run)
    found.to_netcdf(tmp_path / "phases.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "phases.nc", engine="h5netcdf") as stored:
        xr.testing.assert_equal(stored, found)


def test_a_memoriser_of_nothing_but_wrong_labels_memorises() -> None:
    memorised = {"test": 0.01, "max_test": 0.02, "unchanged": math.nan, "corruption": 1.0}
    assert phases.phase_of(end(**memorised)) == Phase.MEMORIZATION
