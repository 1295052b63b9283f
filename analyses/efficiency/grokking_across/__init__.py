"""Grokking in three architectures on three amounts of data (second paper, Figs. 1, 2 and 3).

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import grokking_across
    >>> wanted, few = grokking_across.wanted("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = grokking_across.compute(runs)
    >>> data.network.values.tolist(), data.fraction.values.tolist()
    (['transformer', 'lstm', 'mlp'], [0.3, 0.5, 0.7])
"""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.grokking_across.computation import compute, table
from analyses.efficiency.grokking_across.figures import (
    plot_crossings,
    plot_fractions,
    plot_networks,
)
from analyses.efficiency.grokking_across.runs import wanted
from analyses.options import Fractions, Networks, Out, Seeds, Size
from analyses.pages.finding import Finding
from grokinterp.sweeps.collect import collect


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 3,
    network: Networks = None,
    fraction: Fractions = None,
) -> Iterator[Announcement | Finding]:
    """Train the three networks on three amounts of data, and see which generalise late."""
    needed = wanted(size, seeds, networks=network, fractions=fraction)
    yield Announcement.of(out, needed)
    data = compute(collect(out, needed))
    by_fraction = [plot_fractions(data, network=network) for network in data.network.values]
    figures = [plot_networks(data), *by_fraction, plot_crossings(data)]
    yield Finding(data=data, figures=figures, rows=table(data))
