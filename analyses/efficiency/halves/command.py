"""The experiment as a command: ``grokinterp run halves OUT``."""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.halves.computation import compute
from analyses.efficiency.halves.figures import plot_cuts, plot_halves, table
from analyses.efficiency.halves.runs import collect_runs, wanted
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train networks in Coexistence and take them apart into a C_mem and a C_gen."""
    yield Announcement.of(out, wanted(size, seeds))
    data = compute(collect_runs(out, size, seeds))
    yield Finding(data=data, figures=[plot_halves(data), plot_cuts(data)], rows=table(data))
