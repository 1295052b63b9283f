"""The experiment as a command: ``grokinterp run semi_grokking OUT``."""

from collections.abc import Iterator

import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.semi_grokking.computation import compute
from analyses.efficiency.semi_grokking.figures import plot_outcomes, plot_trajectories
from analyses.efficiency.semi_grokking.runs import LONGER, collect_runs, wanted
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.statistics.curves import Outcome


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "transformer"
) -> Iterator[Announcement | Finding]:
    """Train near the critical amount of data, and tell semi-grokked runs from unfinished ones."""
    yield Announcement.of(out, wanted(size, seeds, network))
    runs = collect_runs(out, size, seeds, network)
    usual = settings.network(network, size).training.steps
    data = compute(runs, budgets=(usual, LONGER[size] * usual))
    figures = [plot(data, network=network) for plot in (plot_trajectories, plot_outcomes)]
    yield Finding(data=data, figures=figures, rows=_counts(data))


def _counts(data: xr.Dataset) -> Iterator[dict[str, int]]:
    """How many runs ended in which way, a row for each budget."""
    for i, budget in enumerate(data.budget.values):
        judged = data.isel(budget=i)
        counts = {str(end): int((judged.outcome == str(end)).sum()) for end in Outcome}
        looks = {"last accuracy 10-90 %": int(judged.looks_semi.sum())}
        yield {"judged at step": int(budget)} | counts | looks
