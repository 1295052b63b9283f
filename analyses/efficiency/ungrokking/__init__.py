"""Ungrokking: generalisation that is lost in further training on too little data (Figs. 7, 8).

``grokinterp run ungrokking OUT`` trains networks until they grok (the starts), continues each of
them with smaller and smaller parts of its data, and finds the size at which validation accuracy is
lost.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import ungrokking
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "model.d_mlp": 100}
    >>> changes |= {"training.steps": 200, "training.weight_decay": 5.0}
    >>> start = gi.train(gi.RunConfig().replace(changes))
    >>> less = ungrokking.continued(start, fraction=0.1, weight_decay=5.0, steps=200, level=0.9)
    >>> run = gi.train(less.config, start=less.start)
    >>> final = ungrokking.compute([run], [start]).final.item()
    >>> start.history.test_accuracy[-1].item() > 0.9, final < 0.3  # it has lost the rule
    (True, True)
"""

from collections.abc import Iterator
from typing import Annotated

import typer
import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency.ungrokking import figures as plots
from analyses.efficiency.ungrokking.computation import compute
from analyses.efficiency.ungrokking.place import locate
from analyses.efficiency.ungrokking.runs import collect_runs, continued, wanted
from analyses.options import Networks, Out, Seeds, Size
from analyses.pages.finding import Finding

__all__ = ["collect_runs", "compute", "continued", "experiment", "locate", "wanted"]

_NOT_SEEDS = ("moments", "weight_decay", "fraction")


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 3,
    network: Networks = None,
    level: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="accuracy that a start must have")
    ] = None,
    controls: Annotated[bool, typer.Option(help="all weight decays, and kept moments")] = True,
) -> Iterator[Announcement | Finding]:
    """Grok networks, all three unless some are named, and locate where less data undoes it."""
    yield Announcement.of(out, wanted(size, seeds, networks=network, controls=controls))
    which = {"networks": network, "controls": controls}
    starts, runs = collect_runs(out, size, seeds, **which, level=level)
    data = locate(compute(runs, starts))
    figures = [plots.plot_final(data)]
    for name in data.network.values:
        figures.append(plots.plot_decay(data, network=name))
        figures.append(plots.plot_trajectories(data, network=name))
    yield Finding(data=data, figures=figures, rows=_sentences(data, seeds))


def _sentences(data: xr.Dataset, seeds: int) -> Iterator[str]:
    """Whether each network ungroks, where, and what keeping the optimiser's moments changes."""
    for network in data.network.values:
        grokked = int(data.last_step.sel(network=network).notnull().any(_NOT_SEEDS).sum())
        if grokked < seeds:
            yield f"{network}: {seeds - grokked} of {seeds} starts did not grok and are left out"
        for moments in data.moments.values:
            here = data.sel(network=network, moments=moments)
            for claim in (here.appears.item(), here.place.item()):
                if claim:
                    yield f"{network}, {moments} optimiser: {claim}"
        kept = data.sel(network=network)
        kept = kept.sel(weight_decay=kept.reference)
        if kept.n_runs.all():  # with both kinds of moments
            ratio = f"{kept.kept:.3g} [{kept.kept_low:.3g}, {kept.kept_high:.3g}]"
            ratio = kept.kept_reason.item() or ratio
            yield f"{network}, 50 % point with kept over fresh moments: {ratio}"
