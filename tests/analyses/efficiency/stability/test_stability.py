"""The search for stability: the criterion on curves that are known, and the choice."""

from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings, stability
from analyses.efficiency.stability.runs import NETWORKS, setting_of

EVERY = 10
BASE = settings.network("transformer", "tiny")


def _run(
    test: Sequence[float],
    *,
    decay: float = 1.0,
    norm: str = "none",
    seed: int = 0,
    diverged: int | None = None,
) -> gi.Run:
    """A run with this test accuracy, which has learned its pairs at step 100; it has no network."""
    config = settings.seeded(BASE.replace(NETWORKS[norm] | {"training.weight_decay": decay}), seed)
    steps = EVERY * np.arange(len(test))
    history = xr.Dataset(
        {
            "train_accuracy": ("step", np.where(steps >= 100, 1.0, 0.5)),
            "test_accuracy": ("step", np.asarray(test)),
        },
        coords={"step": steps},
    )
    return gi.Run(config, gi.make_dataset(config.data), None, history, diverged)


def _curve(grok: int, last: int, dips: dict[int, float] | None = None) -> list[float]:
    """Test accuracy 0 before step ``grok`` and 1 from it on, but at these steps."""
    dips = dips or {}
    return [dips.get(step, float(step >= grok)) for step in range(0, last + 1, EVERY)]


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (_curve(200, 600), "stable"),  # the delay is exactly 2, and 3 times 200 is watched
        (_curve(190, 600), "no delay"),
        (_curve(210, 620), "too late"),
        (_curve(210, 620, {400: 0.94}), "jitters"),  # however short
        (_curve(200, 600, {600: 0.949}), "jitters"),  # at 3 times the step
        (_curve(200, 700, {610: 0.0}), "stable"),  # nobody looks later
        (_curve(200, 600, {400: 0.95}), "stable"),
        (_curve(200, 600, {240: 0.98}), "too late"),  # so it groks at 250 only
        (_curve(800, 600), "never"),
    ],
)
def test_the_criterion(test: Sequence[float], verdict: str) -> None:
    assert stability.compute([_run(test)]).verdict.item() == verdict


def test_what_happens_between_one_and_three_times_the_step_is_counted() -> None:
    """Of the 40 evaluations from step 210 to 600, two are below 99 %."""
    dips = {180: 0.3, 300: 0.96, 500: 0.985, 620: 0.1}
    data = stability.compute([_run(_curve(200, 700, dips))]).squeeze()
    assert (data.train_step.item(), data.grok_step.item()) == (100, 200)
    assert data.lowest.item() == 0.96
    assert data.share_below.item() == pytest.approx(2 / 40)


def test_a_diverged_run_is_not_stable() -> None:
    gone = stability.compute([_run(_curve(200, 600), diverged=640)])
    assert gone.verdict.item() == "diverged"


def test_taken_is_the_stable_setting_with_the_fewest_evaluations_below_99() -> None:
    """Settings by decay: 1 is stable with one seed of two, 2 dips twice and 3 once."""
    curves = {
        1.0: (_curve(200, 700), _curve(200, 700, {300: 0.1})),
        2.0: (_curve(200, 700, {300: 0.98, 400: 0.98}), _curve(200, 700)),
        3.0: (_curve(230, 700, {300: 0.96}), _curve(200, 700)),
    }
    runs = [
        _run(curve, decay=decay, seed=seed)
        for decay, both in curves.items()
        for seed, curve in enumerate(both)
    ]
    data = stability.compute(runs)
    taken = {"network": "none", "learning_rate": BASE.training.lr, "weight_decay": 3.0}
    assert stability.chosen(data) == taken
    rows = stability.table(data)
    assert [row["seeds"] for row in rows] == ["stable 1, jitters 1", "stable 2", "stable 2"]
    assert [row["lowest after"] for row in rows] == [0.1, 0.98, 0.96]
    assert stability.chosen(data.isel(setting=[0])) is None
    # The same share of evaluations below 99 %: the higher of the lowest accuracies counts.
    equal = [_run(_curve(200, 700, {300: low}), decay=w) for low, w in ((0.96, 1.0), (0.97, 2.0))]
    assert (stability.chosen(stability.compute(equal)) or {})["weight_decay"] == 2
    # No norm is preferred to a norm, even with a larger share below 99 %.
    normed = _run(_curve(200, 700), decay=3.0, norm="pre")
    both = stability.compute([normed, _run(_curve(200, 700, {300: 0.96}), decay=2.0)])
    assert stability.chosen(both) == taken | {"weight_decay": 2.0}
    longer = stability.compute([normed, _run(_curve(200, 900), decay=2.0)])  # NaN after a run's end
    assert longer.verdict.values.ravel().tolist() == ["stable", "stable"]
    assert longer.test_accuracy.count("step").values.ravel().tolist() == [71, 91]
    assert (stability.chosen(both.isel(setting=[0])) or {})["network"] == "pre"
    with pytest.raises(ValueError, match="5 runs are not 3 settings with 2 seeds"):
        stability.compute(runs[1:])


def test_every_setting_is_tried_and_differs_in_nothing_else() -> None:
    configs = [one.config for one in stability.wanted("small", 2)]
    assert len(configs) == len(set(configs)) == 20
    assert len({setting_of(config) for config in configs}) == 10
    same = {"training.lr": 1.0, "training.weight_decay": 1.0, "training.steps": 6000}
    same |= NETWORKS["none"]
    plain = {settings.seeded(config.replace(same), 0) for config in configs}
    assert len(plain) == 1
    for config in configs:
        gi.build_model(config)
