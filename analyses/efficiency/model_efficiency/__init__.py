"""Model efficiency: the parameter norm that circuits need, against data (the second paper, Fig. 6).

The paper compares the norm of all parameters of a network that has just memorised its training set,
C_mem, with that of one that has generalised, C_gen, over training sets of many sizes. Besides what
a circuit costs, that norm measures when training stopped: the embeddings of tokens that never occur
only decay, and larger sets may just be memorised earlier. So every norm is taken of several
circuits (``CIRCUITS``) in several ways (``NORM_KINDS``), and
:mod:`trend` says what is left of the trend.
"""

from analyses.efficiency.model_efficiency.command import experiment
from analyses.efficiency.model_efficiency.computation import (
    CIRCUITS,
    NORM_KINDS,
    RANKS,
    Source,
    compute,
)

__all__ = ["CIRCUITS", "NORM_KINDS", "RANKS", "Source", "compute", "experiment"]
