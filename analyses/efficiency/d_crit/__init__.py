"""The critical data-set size of one task and network, from three kinds of evidence (section 4.2).

``grokinterp run d_crit OUT`` trains what is not in OUT yet with one network, one weight decay and
one batch rule, so that the three are about the same D_crit: what memorising and generalising cost
in norm (where do the curves cross?), grokked networks trained on with less data (where is half of
the validation accuracy lost?), and the time to grok (where does it diverge?).
"""

from analyses.efficiency.d_crit.command import experiment
from analyses.efficiency.d_crit.computation import compute
from analyses.efficiency.d_crit.figures import plot_curves

__all__ = ["compute", "experiment", "plot_curves"]
