"""Grokking across architectures and amounts of data (second paper, Figs. 1, 2 and 3).

``grokinterp run grokking_across OUT`` trains what is not in OUT yet and draws it.
"""

from analyses.efficiency.grokking_across.command import experiment
from analyses.efficiency.grokking_across.computation import LEVELS, compute, table
from analyses.efficiency.grokking_across.figures import (
    plot_crossings,
    plot_fractions,
    plot_networks,
)
from analyses.efficiency.grokking_across.runs import FRACTIONS, collect_runs, wanted

__all__ = [
    "FRACTIONS",
    "LEVELS",
    "collect_runs",
    "compute",
    "experiment",
    "plot_crossings",
    "plot_fractions",
    "plot_networks",
    "table",
    "wanted",
]
