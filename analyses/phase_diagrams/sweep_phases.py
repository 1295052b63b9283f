"""The phase of every run of a sweep, and of every cell.

A cell is one combination of the axes' values; its runs differ only in the seed. Runs that diverged
are counted separately and do not count towards a cell's phase.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import sweep_phases
    >>> base = gi.RunConfig().replace({"data.p": 11, "training.steps": 50})
    >>> axes = {"data.train_fraction": [0.3, 0.6], "data.corruption": [0.0, 0.3]}
    >>> phases = sweep_phases.compute(gi.sweep(base, axes, seeds=2))
    >>> phases.phase.dims
    ('data.train_fraction', 'data.corruption', 'seed')
    >>> phases.majority.sel({"data.train_fraction": 0.6, "data.corruption": 0.3}).item()
    'memorization'
"""

import json
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from analyses.one_run.phases import (
    EndPoints,
    Phase,
    Thresholds,
    are_borderline,
    phases_of,
    published_phases_of,
)
from grokinterp.data import SUBSETS
from grokinterp.short_text import short

NAMES = tuple(str(phase) for phase in Phase if phase != Phase.DIVERGED)
MIXED = "mixed"  # of a cell: two phases have equally many seeds
ALTERNATIVE_CUTS = (
    Thresholds(learned=0.70, not_memorised=0.15),
    Thresholds(learned=0.50, not_memorised=0.05),
)
_NEEDED_SUBSETS = ("train", "test", "changed", "unchanged")  # earlier sweeps have no others
_NEEDED = [
    "done",
    "final_accuracy",
    "best_accuracy",
    "final_loss",
    "final_norm",
    "largest_norm",
    "n_changed",
    "n_test",
    "diverged_at",
]


def compute(sweep: xr.Dataset, thresholds: Thresholds | None = None) -> xr.Dataset:
    """Phases of every run and every cell of a sweep, and the means that figures show.

    Args:
        sweep: the dataset of ``grokinterp.sweep``, over the axes' dotted config paths and "seed".
        thresholds: accuracies that separate the phases; by default 0.90 and 0.10.

    Returns:
        Dataset over the sweep's axes:

        - Per run (..., seed): ``phase`` and ``published_phase`` (names; "" if not trained);
          ``borderline``, whether sampling noise could change the phase; ``once_generalised``, at
          any step; ``norm_ratio``, the final over the largest weight norm.
        - Per cell: ``n_seeds``, the runs trained without diverging; ``n_diverged``; ``share``
          (..., label) of the ``n_seeds`` in each phase, NaN without any; ``majority``, the phase of
          most seeds ("mixed" for a tie, "diverged" if all runs diverged, "" if none was trained);
          ``agreement``, the share of the majority; ``undecided``, whether seeds disagree.
        - Per cell, over its ``n_seeds``: ``mean_accuracy``, ``lowest_accuracy`` and
          ``highest_accuracy`` (..., subset). If the sweep has ``ipr`` (per neuron) or ``mean_ipr``:
          ``mean_ipr``, over living neurons and then over seeds. If it has ``ipr``: ``dead_share``,
          the share of neurons whose IPR is NaN.
    """
    _check(sweep)
    sweep, cut = sweep.compute(), thresholds or Thresholds()  # stored sweeps are loaded lazily
    done, ends = sweep.done.astype(bool), _end_points(sweep)
    shape = done.dims
    phase = np.where(done, phases_of(ends, cut), "")
    runs = xr.Dataset(
        {
            "phase": (shape, phase),
            "published_phase": (shape, np.where(done, published_phases_of(ends), "")),
            "borderline": done & are_borderline(ends, sweep.n_test.transpose(*shape).values, cut),
            "once_generalised": done & (sweep.best_accuracy.sel(subset="test") >= cut.learned),
            "norm_ratio": (sweep.final_norm / sweep.largest_norm).where(done),
        },
        coords={name: sweep[name] for name in shape if name in sweep.coords},
    )
    finite = (runs.phase != "") & (runs.phase != str(Phase.DIVERGED))
    subsets = [subset for subset in SUBSETS if subset in sweep.subset]
    accuracy = sweep.final_accuracy.where(finite).sel(subset=subsets)
    means = {
        "mean_accuracy": accuracy.mean("seed"),
        "lowest_accuracy": accuracy.min("seed"),
        "highest_accuracy": accuracy.max("seed"),
    }
    attrs = {"learned": cut.learned, "not_memorised": cut.not_memorised}
    attrs |= {name: sweep.attrs[name] for name in ("base", "provenance") if name in sweep.attrs}
    found = runs.assign({**_cells(runs.phase), **means, **_ipr(sweep, finite)})
    return found.drop_attrs(deep=True).assign_attrs(attrs)


def disagreements(phases: xr.Dataset) -> xr.DataArray:
    """Number of runs for each pair of phases by our rule and by the published one.

    Args:
        phases: from :func:`compute`, or from ``analyses.one_run.phases.compute``.

    Returns:
        Counts (phase, published_phase), without untrained runs. The published rule calls clean
        generalisation Coexistence, which is not a disagreement.
    """
    ours, theirs = phases.phase.values.ravel(), phases.published_phase.values.ravel()
    names = [str(phase) for phase in Phase]
    counts = [[int(((ours == a) & (theirs == b)).sum()) for b in names] for a in names]
    return xr.DataArray(
        counts, dims=("phase", "published_phase"), coords={"phase": names, "published_phase": names}
    )


def moved(
    sweep: xr.Dataset,
    cuts: Sequence[Thresholds] = ALTERNATIVE_CUTS,
    *,
    thresholds: Thresholds | None = None,
) -> xr.Dataset:
    """Which cells have another majority phase with other thresholds.

    Args:
        sweep: as for :func:`compute`.
        cuts: the other thresholds.
        thresholds: those to compare with; by default 0.90 and 0.10.

    Returns:
        Dataset with ``moved`` (cut, axes...); ``share`` (cut), the share of trained cells that
        moved, NaN without any; and each cut's coordinates ``learned`` and ``not_memorised``. Cells
        in which all runs diverged are left out.
    """
    before = compute(sweep, thresholds)
    changed = xr.concat([compute(sweep, cut).majority != before.majority for cut in cuts], "cut")
    cells = [dim for dim in changed.dims if dim != "cut"]
    trained = int((before.n_seeds > 0).sum())
    share = changed.sum(cells) / (trained or np.nan)
    return xr.Dataset({"moved": changed, "share": share}).assign_coords(
        learned=("cut", [cut.learned for cut in cuts]),
        not_memorised=("cut", [cut.not_memorised for cut in cuts]),
    )


def _check(sweep: xr.Dataset) -> None:
    if not isinstance(sweep, xr.Dataset):
        raise TypeError(
            f"sweep must be the dataset that gi.sweep returns, got {short(sweep)}; gi.open_sweep "
            "reads it from a store, and analyses.phases.classify names the phase of one run"
        )
    missing = [name for name in _NEEDED if name not in sweep.data_vars]
    if missing:
        raise ValueError(
            f"sweep has no {', '.join(missing)}; pass the whole dataset that grokinterp.sweep "
            "returns"
        )
    if "seed" not in sweep.done.dims:
        raise ValueError(
            f"sweep has no dimension seed, only {', '.join(map(str, sweep.done.dims))}; to look "
            "at one seed keep the dimension, as sweep.sel(seed=[0]) does"
        )
    absent = [s for s in _NEEDED_SUBSETS if s not in sweep.get("subset", ())]
    if absent:
        raise ValueError(
            f"sweep has no subset {', '.join(absent)}; needed are {', '.join(_NEEDED_SUBSETS)}"
        )
    if "data.corruption" not in sweep.coords and "base" not in sweep.attrs:
        raise ValueError(
            "the sweep's corruption is unknown: there is neither a coordinate data.corruption nor "
            "an attribute base with the config that all runs share"
        )


def _end_points(sweep: xr.Dataset) -> EndPoints:
    done = sweep.done
    if "data.corruption" in sweep.coords:
        corruption = sweep["data.corruption"]
    else:
        corruption = xr.DataArray(json.loads(sweep.attrs["base"])["data"]["corruption"])
    losses = sweep.final_loss.sel(subset=["train", "test"])
    finite = np.isfinite(losses).all("subset") & np.isfinite(sweep.final_norm)

    def grid(values: xr.DataArray) -> np.ndarray:
        values = values.drop_vars("subset", errors="ignore")
        return values.broadcast_like(done).transpose(*done.dims).values

    final = {subset: grid(sweep.final_accuracy.sel(subset=subset)) for subset in _NEEDED_SUBSETS}
    return EndPoints(
        **final,
        max_test=grid(sweep.best_accuracy.sel(subset="test")),
        n_changed=grid(sweep.n_changed),
        corruption=grid(corruption),
        diverged=grid((sweep.diverged_at >= 0) | ~finite),
    )


def _cells(phase: xr.DataArray) -> dict[Hashable, xr.DataArray]:
    """The variables of :func:`compute` that count the seeds of each cell."""
    label = xr.DataArray(list(NAMES), dims="label", coords={"label": list(NAMES)})
    counts = (phase == label).sum("seed")
    n_seeds = counts.sum("label")
    n_diverged = (phase == str(Phase.DIVERGED)).sum("seed")
    share = (counts / n_seeds).where(n_seeds > 0)
    most = counts.max("label")
    majority = xr.DataArray(np.array(NAMES)[counts.argmax("label")], most.coords, most.dims)
    majority = majority.where((counts == most).sum("label") == 1, MIXED)
    gap = xr.where(n_diverged > 0, str(Phase.DIVERGED), "")
    return {
        "n_seeds": n_seeds,
        "n_diverged": n_diverged,
        "share": share,
        "majority": majority.where(n_seeds > 0, gap).astype(str),
        "agreement": share.max("label"),
        "undecided": (most < n_seeds) & (n_seeds > 0),
    }


def _ipr(sweep: xr.Dataset, finite: xr.DataArray) -> dict[Hashable, xr.DataArray]:
    name = "ipr" if "ipr" in sweep else "mean_ipr"
    if name not in sweep:
        return {}
    ipr = sweep[name].where(finite)
    neurons = [dim for dim in ipr.dims if dim not in finite.dims]
    if not neurons:
        return {"mean_ipr": ipr.mean("seed")}
    dead = ipr.isnull().where(finite).mean([*neurons, "seed"])
    return {"mean_ipr": ipr.mean(neurons).mean("seed"), "dead_share": dead}
