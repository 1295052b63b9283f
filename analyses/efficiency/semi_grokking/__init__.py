"""Semi-grokking near the critical amount of data, and runs that are merely unfinished (Fig. 9).

A run that ends while its validation accuracy is in the middle has either stopped there for good,
which is semi-grokking, or was stopped. ``grokinterp run semi_grokking OUT`` trains what is not in
OUT yet for two or three times the usual budget (``LONGER``), and judges it at both.
"""

from analyses.efficiency.semi_grokking.command import experiment
from analyses.efficiency.semi_grokking.computation import compute
from analyses.efficiency.semi_grokking.figures import (
    OUTCOME_STYLE,
    plot_outcomes,
    plot_trajectories,
)
from analyses.efficiency.semi_grokking.runs import FRACTIONS, LONGER, collect_runs, wanted

__all__ = [
    "FRACTIONS",
    "LONGER",
    "OUTCOME_STYLE",
    "collect_runs",
    "compute",
    "experiment",
    "plot_outcomes",
    "plot_trajectories",
    "wanted",
]
