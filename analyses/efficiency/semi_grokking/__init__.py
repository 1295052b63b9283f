"""Semi-grokking near the critical amount of data, and runs that are only unfinished (Fig. 9).

A run whose validation accuracy ends half-way has either stopped there for good, which is
semi-grokking, or would have gone on rising. So ``grokinterp run semi_grokking OUT`` trains for two
to twelve times the usual number of steps (``runs.steps``) and judges every run at both lengths.
Runs that end half-way are taken apart: do they hold a memorising and a generalising circuit?

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import semi_grokking
    >>> few = {"training.steps": 50}
    >>> wanted = semi_grokking.wanted("tiny", 1, "mlp")
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = semi_grokking.compute(runs, budgets=(25, 50))  # judged twice
    >>> dict(data.outcome.sizes)
    {'budget': 2, 'network': 1, 'fraction': 4, 'seed': 1}
"""

from collections.abc import Iterator

import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.semi_grokking import both_circuits
from analyses.efficiency.semi_grokking.computation import compute
from analyses.efficiency.semi_grokking.figures import (
    plot_circuits,
    plot_outcomes,
    plot_trajectories,
)
from analyses.efficiency.semi_grokking.runs import steps, wanted
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.statistics.curves import Outcome
from analyses.statistics.wilson import wilson_interval
from grokinterp import Run
from grokinterp.sweeps.collect import collect


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "transformer"
) -> Iterator[Announcement | Finding]:
    """Train near the critical amount of data, and tell semi-grokked runs from unfinished ones."""
    needed = wanted(size, seeds, network)
    yield Announcement.of(out, needed)
    usual = settings.network(network, size).training.steps
    runs = collect(out, needed)
    data = compute(runs, budgets=(usual, steps(size, network)))
    figures = [plot(data, network=network) for plot in (plot_trajectories, plot_outcomes)]
    yield Finding(data=data, figures=figures, rows=_counts(data))
    if places := both_circuits.half_way(runs):
        ends = [outcome_of(data, runs[i]) for i in places]
        apart = both_circuits.compute([runs[i] for i in places], ends)
        rows = both_circuits.table(apart)
        yield Finding(
            data=apart, figures=[plot_circuits(apart)], rows=rows, name="semi_grokking-circuits"
        )


def outcome_of(data: xr.Dataset, run: Run) -> str:
    """How one of the runs ended, after all of its steps."""
    here = {"fraction": run.config.data.train_fraction, "seed": run.config.seed}
    return data.outcome.isel(budget=-1).squeeze("network").sel(here).item()


def _counts(data: xr.Dataset) -> Iterator[dict[str, object]]:
    """The number of runs with each outcome, a row for each length of training."""
    for i, budget in enumerate(data.budget.values):
        judged = data.isel(budget=i)
        counts = {str(end): int((judged.outcome == str(end)).sum()) for end in Outcome}
        looks = {"last accuracy 10-90 %": int(judged.looks_semi.sum())}
        known = sum(counts.values()) - counts[str(Outcome.UNFINISHED)]
        semi = counts[str(Outcome.SEMI_GROKKED)]
        low, high = (float(end) for end in wilson_interval(semi, known))
        said = f"{semi / known:.2f} [{low:.2f}, {high:.2f}]" if known else "none is finished"
        share = {"semi-grokked, of those not unfinished": said}
        yield {"judged at step": int(budget), **counts, **looks, **share}
