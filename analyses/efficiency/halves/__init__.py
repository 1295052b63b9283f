"""One network taken apart into its memorising and its generalising neurons.

A network in Coexistence has learned the rule and its wrong labels, and its neurons fall into two
groups: periodic ones with high IPR and others with low IPR (Doshi et al. 2023). With one hidden
layer the logits are sums over neurons. So cutting the neurons at an IPR gives two smaller networks,
a C_mem and a C_gen from one training, whose logits add up exactly to the whole network's.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import halves
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> accuracy = halves.compute([run]).accuracy.sel(subset="test", label="given").squeeze()
    >>> bool(accuracy.sel(part="memorising") < 0.3), bool(accuracy.sel(part="generalising") > 0.9)
    (True, True)
"""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.halves.computation import compute
from analyses.efficiency.halves.figures import plot_cuts, plot_halves, table
from analyses.efficiency.halves.parts import split
from analyses.efficiency.halves.runs import coexistence, wanted
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from grokinterp.sweeps.collect import collect

__all__ = ["coexistence", "compute", "experiment", "split", "wanted"]


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train networks in Coexistence and take them apart into a C_mem and a C_gen."""
    yield Announcement.of(out, wanted(size, seeds))
    data = compute(collect(out, wanted(size, seeds)))
    yield Finding(data=data, figures=[plot_halves(data), plot_cuts(data)], rows=table(data))
