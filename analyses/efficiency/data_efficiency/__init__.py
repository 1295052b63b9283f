"""How much data each optimiser and regulariser needs to generalise (second paper, Fig. 4).

``grokinterp run data_efficiency OUT`` trains nine settings on nine fractions of the pairs, and the
same at another learning rate, as one sweep; kill it at any moment and call it again.

The published panels differ in more than their titles say: the ones with weight decay are of AdamW,
and batches and rates differ. Here every setting differs from one baseline in one thing, and is
compared with it at the same rate, split by split.
"""

from analyses.efficiency.data_efficiency.command import experiment
from analyses.efficiency.data_efficiency.computation import (
    READINGS,
    compute,
    first_fraction,
    read_published,
    table,
)
from analyses.efficiency.data_efficiency.runs import (
    GROK_MEASURES,
    Job,
    grok_step,
    job,
    learning_rate,
)

__all__ = [
    "GROK_MEASURES",
    "READINGS",
    "Job",
    "compute",
    "experiment",
    "first_fraction",
    "grok_step",
    "job",
    "learning_rate",
    "read_published",
    "table",
]
