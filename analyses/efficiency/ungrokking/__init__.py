"""Ungrokking: a network that generalises forgets to, trained on with too little data (Figs. 7, 8).

``grokinterp run ungrokking OUT`` trains the starts until they grok, trains every one of them on
with smaller and smaller parts of its data, and finds the size at which validation accuracy is lost.
"""

from analyses.efficiency.ungrokking.command import experiment
from analyses.efficiency.ungrokking.computation import compute
from analyses.efficiency.ungrokking.runs import (
    FRACTIONS,
    START,
    START_FRACTION,
    START_FROM,
    STEPS,
    WEIGHT_DECAYS,
    collect_runs,
    continued,
    grokked,
    wanted,
)

__all__ = [
    "FRACTIONS",
    "START",
    "START_FRACTION",
    "START_FROM",
    "STEPS",
    "WEIGHT_DECAYS",
    "collect_runs",
    "compute",
    "continued",
    "experiment",
    "grokked",
    "wanted",
]
