"""Which runs grok and stay grokked.

A run is stable if

1. it groks: test accuracy reaches 99 % for five evaluations in a row, first at step t, and t is at
   least twice the step at which train accuracy did so;
2. it is watched for long enough: training lasts at least 3 t steps;
3. it stays grokked: no evaluation after t and up to 3 t shows a test accuracy below 95 %.

A setting is stable if the runs of all its seeds are. Taken is a stable setting without norms if
there is one, because the logits of such a network are a sum of what its parts write; else one with
norms before the layers. Among those, the one with the smallest share of evaluations below 99 %,
then the one whose lowest accuracy is higher, then the one that groks earlier. The criterion looks
at nothing else: no setting is taken for what an experiment shows with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency.stability.runs import setting_of
from analyses.statistics.curves import sustained_crossing
from analyses.statistics.thresholds import TIMED_AT

DELAY = 2.0  # least ratio of the steps at which test and train accuracy reach 99 %
WATCHED = 3.0  # times the step at which a run groks
STAYS_FROM = 0.95  # test accuracy of every evaluation until then
_COORDS = ("network", "learning_rate", "weight_decay")
_PREFERRED = ("none", "pre", "post")
VERDICTS = ("stable", "jitters", "too late", "no delay", "never", "diverged")


def compute(runs: Sequence[gi.Run]) -> xr.Dataset:
    """Accuracies and verdicts of transformers that differ in norms, rate, decay and seed.

    Args:
        runs: every setting with the same seeds.

    Returns:
        Dataset over "setting" and "seed". Coordinates of a setting: ``network``, a name in
        ``runs.NETWORKS``, ``learning_rate`` and ``weight_decay``. ``train_accuracy`` and
        ``test_accuracy`` (..., step) in 0..1, NaN after a run's end. ``train_step`` and
        ``grok_step``: the first of five evaluated steps at 99 % or above, NaN if there is none.
        Over the evaluations after ``grok_step`` and
        up to 3 times that step, or to the end: ``lowest`` test accuracy, and ``share_below``, the
        share of them below 99 %; NaN without ``grok_step``. ``verdict``: "stable"; "jitters", if an
        accuracy is below 95 %; "too late", if training ends too early to tell; "no delay"; "never",
        if there is no ``grok_step``; or "diverged".

    Raises:
        ValueError: no runs, two runs of one setting and seed, or a setting that lacks a seed.
    """
    if not runs:
        raise ValueError("runs is empty; give at least one trained run")
    cells = {(setting_of(run.config), run.config.seed): run for run in runs}
    settings = list(dict.fromkeys(setting for setting, _ in cells))
    seeds = sorted({seed for _, seed in cells})
    if not len(runs) == len(cells) == len(settings) * len(seeds):
        raise ValueError(
            f"{len(runs)} runs are not {len(settings)} settings with {len(seeds)} seeds each; give "
            "every setting with every seed, once"
        )
    seed = xr.Variable("seed", seeds)
    rows = [
        xr.concat([_of_run(cells[setting, s]) for s in seeds], seed, join="outer")
        for setting in settings
    ]
    columns = zip(*settings, strict=True)
    return xr.concat(rows, "setting", join="outer").assign_coords(
        {name: ("setting", list(column)) for name, column in zip(_COORDS, columns, strict=True)}
    )


def _of_run(run: gi.Run) -> xr.Dataset:
    curves = run.history[["train_accuracy", "test_accuracy"]].reset_coords(drop=True)
    steps, train, test = curves.step.values, curves.train_accuracy.values, curves.test_accuracy
    train_step = sustained_crossing(steps, train, TIMED_AT)
    grok_step = sustained_crossing(steps, test.values, TIMED_AT)
    after = test.values[(steps > grok_step) & (steps <= WATCHED * grok_step)]
    lowest = float(after.min()) if after.size else np.nan
    if run.diverged_at is not None:
        verdict = "diverged"
    elif np.isnan(grok_step):
        verdict = "never"
    elif not grok_step >= DELAY * train_step:
        verdict = "no delay"
    elif lowest < STAYS_FROM:
        verdict = "jitters"
    else:
        verdict = "stable" if steps[-1] >= WATCHED * grok_step else "too late"
    return curves.assign(
        train_step=train_step,
        grok_step=grok_step,
        lowest=lowest,
        share_below=float((after < TIMED_AT).mean()) if after.size else np.nan,
        verdict=verdict,
    )


def chosen(data: xr.Dataset) -> dict[str, Any] | None:
    """The setting that is taken, as its coordinates by name; None if none is stable."""
    stable = (data.verdict == "stable").all("seed").values
    if not stable.any():
        return None
    place = [_PREFERRED.index(name.split(",")[0]) for name in data.network.values]
    groks, lowest = data.grok_step.median("seed"), data.lowest.min("seed")
    order = np.lexsort((groks, -lowest, data.share_below.mean("seed"), place))  # last key first
    best = next(i for i in order if stable[i])
    return {name: data[name].values[best].item() for name in _COORDS}


def table(data: xr.Dataset) -> list[Mapping[str, Any]]:
    """One row per setting: steps over seeds (medians), the lowest accuracy, and the verdicts."""
    rows = []
    for i in range(data.sizes["setting"]):
        here = data.isel(setting=i)
        words = here.verdict.values.tolist()
        counts = {word: words.count(word) for word in VERDICTS if word in words}
        rows.append(
            {
                "norms, initial weights": here.network.item(),
                "learning rate": here.learning_rate.item(),
                "weight decay": here.weight_decay.item(),
                "train 99 %": float(here.train_step.median("seed")),
                "test 99 %": float(here.grok_step.median("seed")),
                "lowest after": float(here.lowest.min("seed")),
                "share below 99 %": float(here.share_below.mean("seed")),
                "seeds": ", ".join(f"{word} {n}" for word, n in counts.items()),
            }
        )
    return rows
