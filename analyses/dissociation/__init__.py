"""Where memorisation and generalisation sit in a network: double dissociation by pruning.

``grokinterp run dissociation OUT`` trains networks that generalise and also know wrong labels,
three seeds of each architecture, removes their units by periodicity, and says whether each of the
two abilities can be removed without the other.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import dissociation
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = dissociation.compute({"MLP": [run]}, scores=["ipr"], modes=["zero"])
    >>> bool(data.S_mem > 0.5), bool(data.S_gen > 0.5), data.verdict.item()
    (True, True, 'separable')
    >>> figure = dissociation.plot_map(data)
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
import typer
import xarray as xr

from analyses.announcement import Announcement
from analyses.dissociation import examples
from analyses.dissociation.computation import compute
from analyses.dissociation.figures import (
    judged,
    name_of,
    over_seeds,
    plot_dependence,
    plot_map,
    primary,
)
from analyses.dissociation.runs import SETTINGS, wanted
from analyses.dissociation.verdict import VERDICTS
from analyses.options import Out, Seeds
from analyses.pages.finding import Finding
from grokinterp import Run, lowest
from grokinterp.short_text import short
from grokinterp.sweeps.collect import collect
from probes import unit_periodicity

__all__ = ["compute", "plot_dependence", "plot_map", "survivors", "table"]


def table(data: xr.Dataset) -> list[dict[str, object]]:
    """One line per network and kind of units, of the score and ablation named beforehand.

    Means over the seeds that do both, with half of their 95 % intervals, and how many seeds got
    which verdict. Where no seed does both, the accuracies are means over all.
    """
    every = primary(data)
    shown = judged(every)
    numbers = {name: over_seeds(shown[name]) for name in ("S_mem", "S_gen")}
    lines: list[dict[str, object]] = []
    for row in range(shown.sizes["row"]):
        words = [word for word in shown.verdict.values[row] if word]
        counts = {word: words.count(word) for word in VERDICTS if word in words}
        line: dict[str, object] = {
            "network": str(shown.setting.values[row]),
            "units": str(shown.unit.values[row]),
            "n": int(every.units.values[row][0]),
        }
        does_both = shown.test[row].notnull().any()
        for name in ("test", "changed"):
            line[name] = round(float((shown if does_both else every)[name][row].mean()), 3)
        for name, (mean, half) in numbers.items():
            known = np.isfinite(half[row])
            line[name] = f"{mean[row]:.2f} ± {half[row]:.2f}" if known else f"{mean[row]:.2f}"
        line["cut"] = round(float(shown.cut[row].mean()), 2)
        line["verdict"] = ", ".join(f"{word} {n} of {len(words)}" for word, n in counts.items())
        lines.append(line)
    return lines


def survivors(runs: Sequence[Run], data: xr.Dataset, setting: str, unit: str) -> xr.Dataset:
    """How wrong labels that survive the loss of the generalising half differ, by seed.

    The halves are those at the best cut of ``data``, with the score and ablation named beforehand.

    Returns:
        Dataset over "seed": ``survive``, their share, and for each covariate of
        ``examples.COVARIATES`` the chance that a survivor has more of it than one that is lost.
    """
    shown = primary(data)
    (row,) = np.flatnonzero((shown.setting.values == setting) & (shown.unit.values == unit))
    found: dict[str, list[float]] = {"survive": []} | {name: [] for name in examples.COVARIATES}
    for run, cut in zip(runs, shown.cut.values[row], strict=False):
        score = unit_periodicity(run.model, unit).scores[str(shown.score.values[row])]
        memorising = lowest(score, float(cut))
        of_run = examples.compute(run, memorising, unit=unit, mode=str(shown["mode"].values[row]))
        found["survive"].append(float(of_run.survives.mean()))
        for name, value in examples.separation(of_run).items():
            found[name].append(value)
    return xr.Dataset({name: ("seed", values) for name, values in found.items()})


def experiment(
    out: Out,
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(SETTINGS)}")] = None,
    seeds: Seeds = 3,
) -> Iterator[Announcement | Finding]:
    """Take networks apart that both generalise and memorise, with every kind of unit."""
    for name in only or ():
        if name not in SETTINGS:
            raise ValueError(f"--only {short(name)} is unknown; settings are {', '.join(SETTINGS)}")
    names = list(only or SETTINGS)
    yield Announcement.of(out, list(wanted(names, seeds)))
    networks = {name: collect(out, list(wanted([name], seeds))) for name in names}
    data = compute(networks, progress=True)
    shown = primary(data)
    rows: list[object] = list(table(data))
    for row in range(shown.sizes["row"]):
        setting, unit = str(shown.setting.values[row]), str(shown.unit.values[row])
        of_row = survivors(networks[setting], data, setting, unit)
        means = {name: round(float(of_row[name].mean()), 2) for name in of_row}
        rows.append({"survivors in": name_of(shown, row)} | means)
    yield Finding(data=data, figures=[plot_map(data), plot_dependence(data)], rows=rows)  # pyright: ignore[reportArgumentType]
