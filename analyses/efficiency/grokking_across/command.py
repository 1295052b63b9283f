"""The experiment as a command: ``grokinterp run grokking_across OUT``."""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.grokking_across.computation import compute, table
from analyses.efficiency.grokking_across.figures import (
    plot_crossings,
    plot_fractions,
    plot_networks,
)
from analyses.efficiency.grokking_across.runs import collect_runs, wanted
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train the three networks on three amounts of data, and see which generalise late."""
    yield Announcement.of(out, wanted(size, seeds))
    data = compute(collect_runs(out, size, seeds))
    figures = [
        plot_networks(data),
        *(plot_fractions(data, network=network) for network in data.network.values),
        plot_crossings(data),
    ]
    yield Finding(data=data, figures=figures, rows=table(data))
