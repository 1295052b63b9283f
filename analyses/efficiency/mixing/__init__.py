"""The mixture experiment from trained networks: as published, without leaks, and in variants.

``grokinterp run mixture OUT`` trains a C_mem on 20 % of the pairs and a C_gen on 90 % for every
seed, mixes them, and does the same to the two halves of networks in Coexistence. Kill it at any
moment and call it again.

Splits are nested, as published, so that C_gen has seen what C_mem has seen and 10 % of the pairs
are left that neither has. C_mem is trained without weight decay, which leaves it free of training
errors at the end; the paper's had one, after training with a weight decay of 1. C_gen has the
reference weight decay of ``settings``, for without it the small one does not generalise; the
paper's had none.
"""

from analyses.efficiency.mixing.command import experiment

__all__ = ["experiment"]
