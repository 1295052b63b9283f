"""BatchNorm in the three-layer ReLU network (Doshi et al. 2023, Fig. 15, appendix G.4).

The paper finds coexistence only, more periodic output columns than input rows, and gains of the
last norm, not of the first, that grow with periodicity. It states train fraction 0.8, corruption
0.1 and batches of 64; not the learning rate, the steps, nor the weight decay. Rate and steps here
are those of Fig. 7b, scaled to the batch size as in Fig. 9. Weight decay is scanned, because
without it such a network may memorise everything and never generalise; the table has every value
that was tried.

"small" has modulus 31 and 128 neurons a layer. With one seed it memorised at weight decay 1 (test
accuracy 0.85), was in coexistence at 3 and at 6 (0.98), and in confusion at 10.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.label_noise import deep_batchnorm
    >>> wanted, few = deep_batchnorm.wanted("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = deep_batchnorm.compute(runs)
    >>> data.weight_decay.values.tolist(), data.norm.values.tolist()
    ([0.0, 1.0, 3.0, 10.0], ['first', 'last'])
"""

from collections.abc import Iterator, Sequence
from typing import Any

import xarray as xr

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.label_noise.curves import of_run, plot_curves
from analyses.label_noise.grids import grid, side_by_side
from analyses.label_noise.words import counted, interval_in_words
from analyses.one_run import norm_gain, row_ipr
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.palette import DRAWN_SUBSETS
from analyses.phase_diagrams import presets
from analyses.statistics.over_runs import t_interval
from analyses.statistics.thresholds import GENERALISED_FROM
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, collect

DECAYS = (0.0, 1.0, 3.0, 10.0)
AXIS, _PATH = "weight_decay", "training.weight_decay"
_TOY = gi.TrainConfig(steps=60, lr=1e-2).at_batch_size(64)
_SHORT = gi.TrainConfig(steps=1500, lr=3e-3).at_batch_size(64)
_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"data.p": 13, "model.d_mlp": 32, "training": _TOY},
    "small": {"data.p": 31, "model.d_mlp": 128, "training": _SHORT},
    "published": {},
}


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs: every weight decay with seeds 0, 1, ..."""
    check_choice("size", size, _SIZES)
    base = presets.get("fig15").config("full").replace(_SIZES[size])
    base = base.replace({"data.train_fraction": 0.8, "data.corruption": 0.1})
    return grid("decay", base, _PATH, DECAYS, seeds)


def compute(runs: Sequence[gi.Run]) -> xr.Dataset:
    """Curves, phases, periodicity and its correlation with the norms' gains.

    Returns:
        Dataset over "weight_decay" and "seed": the variables of ``curves.of_run``; ``ipr`` (table),
        the mean IPR of the rows of the "input" and the "output" table; ``correlation`` (norm),
        Spearman's, of a neuron's gain and periodicity at the "first" and the "last" norm (see
        ``norm_gain``), NaN where it is not defined.
    """
    return side_by_side(runs, _PATH, _of_run, axis=AXIS)


def _of_run(run: gi.Run) -> xr.Dataset:
    gains = norm_gain.compute(run, n_bootstrap=1).correlation.sel(coefficient="spearman")
    ipr = row_ipr.compute(run).mean_ipr.isel(run=0, drop=True)
    ends = gains.isel(layer=[0, -1]).values
    return of_run(run).assign(
        ipr=ipr,
        correlation=xr.DataArray(ends, dims="norm", coords={"norm": ["first", "last"]}),
    )


def chosen(data: xr.Dataset) -> float | None:
    """The smallest weight decay at which most seeds generalise; None if there is none."""
    last = data.accuracy.sel(subset="test").isel(step=-1)
    works = ((last >= GENERALISED_FROM).mean("seed") > 0.5).values
    return float(data[AXIS].values[works][0]) if works.any() else None


def table(data: xr.Dataset) -> list[dict[str, object] | str]:
    """One row for each weight decay, over seeds, and a sentence on which of them generalises."""
    last = data.accuracy.isel(step=-1).mean("seed")
    ipr, correlation = t_interval(data.ipr), t_interval(data.correlation)
    rows: list[dict[str, object] | str] = []
    for decay in data[AXIS].values:
        here = {AXIS: decay}
        row: dict[str, object] = {"weight decay": float(decay)}
        row |= {s: float(last.sel(here | {"subset": s})) for s in DRAWN_SUBSETS}
        for found, axis, what in ((ipr, "table", "IPR"), (correlation, "norm", "norm, gain")):
            for name in found[axis].values:
                one = found.sel(here | {axis: name})
                words = interval_in_words(*(float(one[n]) for n in ("mean", "low", "high")))
                row[f"{name} {what}"] = words
        rows.append(row | {"phase": counted(data.phase.sel(here).values)})
    decay = chosen(data)
    tried = ", ".join(f"{value:g}" for value in data[AXIS].values)
    if decay is None:
        rows.append(f"no weight decay of {tried} makes most seeds generalise")
    else:
        rows.append(f"of {tried}, {decay:g} is the first decay at which most seeds generalise")
    return rows


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train a three-layer network with BatchNorm: which neurons do its norms amplify, and where."""
    named = wanted(size, seeds)
    yield Announcement.of(out, named)
    runs = collect(out, named)
    data = compute(runs)
    decay = chosen(data)
    shown = runs[0] if decay is None else runs[list(DECAYS).index(decay) * seeds]
    where = f"weight decay {shown.config.training.weight_decay:g}, seed 0"
    figures = [
        plot_curves(data, AXIS, title="Three layers with BatchNorm, batches of 64"),
        norm_gain.plot_gain(norm_gain.compute(shown), title=f"Gains of the norms: {where}"),
    ]
    yield Finding(data=data, figures=figures, rows=table(data))
