"""Semi-grokking near the critical amount of data, and runs that are only unfinished (Fig. 9).

A run whose validation accuracy ends half-way has either stopped there for good, which is
semi-grokking, or would have gone on rising. So ``grokinterp run semi_grokking OUT`` trains for two
or three times the usual number of steps (``LONGER``) and judges every run at both lengths.
"""

from collections.abc import Iterator

import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.semi_grokking.computation import compute
from analyses.efficiency.semi_grokking.figures import plot_outcomes, plot_trajectories
from analyses.efficiency.semi_grokking.runs import LONGER, wanted
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.statistics.curves import Outcome
from grokinterp.sweeps.collect import collect


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "transformer"
) -> Iterator[Announcement | Finding]:
    """Train near the critical amount of data, and tell semi-grokked runs from unfinished ones."""
    needed = wanted(size, seeds, network)
    yield Announcement.of(out, needed)
    usual = settings.network(network, size).training.steps
    data = compute(collect(out, needed), budgets=(usual, LONGER[size] * usual))
    figures = [plot(data, network=network) for plot in (plot_trajectories, plot_outcomes)]
    yield Finding(data=data, figures=figures, rows=_counts(data))


def _counts(data: xr.Dataset) -> Iterator[dict[str, int]]:
    """The number of runs with each outcome, a row for each length of training."""
    for i, budget in enumerate(data.budget.values):
        judged = data.isel(budget=i)
        counts = {str(end): int((judged.outcome == str(end)).sum()) for end in Outcome}
        looks = {"last accuracy 10-90 %": int(judged.looks_semi.sum())}
        yield {"judged at step": int(budget)} | counts | looks
