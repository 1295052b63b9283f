"""The two halves of one network: its memorising and its generalising neurons, as two networks.

A network in Coexistence has learned the rule and its wrong labels, and its neurons fall into two
groups: periodic ones with high IPR and others with low IPR (Doshi et al. 2023). With one hidden
layer logits are sums over neurons. So cutting the neurons at an IPR gives two smaller networks
whose logits add up to the whole's exactly: a C_mem and a C_gen that one training has made together.

``grokinterp run halves OUT`` trains such networks and takes them apart.
"""

from analyses.efficiency.halves.command import experiment
from analyses.efficiency.halves.computation import CUTS, PARTS, compute
from analyses.efficiency.halves.parts import split
from analyses.efficiency.halves.runs import coexistence, collect_runs, wanted

__all__ = [
    "CUTS",
    "PARTS",
    "coexistence",
    "collect_runs",
    "compute",
    "experiment",
    "split",
    "wanted",
]
