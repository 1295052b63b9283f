"""Training efficiency: how many steps it takes to memorise, and how many to generalise.

The second paper says that C_mem is learned faster than C_gen. Training accuracy on the task's own
labels cannot show it, since a generalising network raises it too; random labels can, trained with
the same rate, decay and batches. ``grokinterp run training_efficiency OUT`` uses the runs of
``model_efficiency``, in the same folder.
"""

from analyses.efficiency.training_efficiency.command import experiment
from analyses.efficiency.training_efficiency.computation import EVENTS, RATIOS, compute
from analyses.efficiency.training_efficiency.figures import plot_ratios, plot_times

__all__ = ["EVENTS", "RATIOS", "compute", "experiment", "plot_ratios", "plot_times"]
