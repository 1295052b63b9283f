"""Model efficiency: the parameter norm that circuits need, against data (second paper, Fig. 6).

The paper compares the norm of all parameters of a network that has just memorised its training set,
C_mem, with that of one that has generalised, C_gen, over training sets of many sizes. That norm
depends on more than the cost of a circuit: embeddings of tokens that never occur only decay, and
larger sets may simply be memorised earlier. So we measure several circuits (``CIRCUITS``) in
several ways (``NORM_KINDS``), and :mod:`trend` says what is left of the published trend.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import model_efficiency
    >>> from analyses.efficiency.circuits.sources import PUBLISHED_RULES
    >>> from analyses.efficiency.model_efficiency.runs import wanted
    >>> few = {"training.steps": 150}
    >>> configs = [named.config.replace(few) for named in wanted("tiny", 1, "mlp")[-2:]]
    >>> data = model_efficiency.compute(gi.train_many(configs, checkpoints=PUBLISHED_RULES))
    >>> norm = data.cost.sel(measure="least").squeeze()
    >>> bool(norm.sel(circuit="C_gen") < norm.sel(circuit="C_mem"))  # at 90 % of the pairs
    True
"""

from collections.abc import Iterator
from typing import Annotated

import typer

from analyses.announcement import Announcement
from analyses.efficiency.model_efficiency import trend
from analyses.efficiency.model_efficiency.computation import CIRCUITS, NORM_KINDS, compute
from analyses.efficiency.model_efficiency.figures import plot_efficiency, plot_layers, plot_trend
from analyses.efficiency.model_efficiency.runs import collect_runs, wanted
from analyses.efficiency.settings import SEEDS
from analyses.options import Fractions, Network, Out, Seeds, Size
from analyses.pages.finding import Finding

__all__ = ["CIRCUITS", "NORM_KINDS", "compute", "experiment"]


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = SEEDS,
    network: Network = "mlp",
    initial_scale: Annotated[float, typer.Option(help="factor on all initial weights")] = 1.0,
    fraction: Fractions = None,
) -> Iterator[Announcement | Finding]:
    """Compare the norms that memorising and generalising need, over training sets of many sizes."""
    chosen = {"initial_scale": initial_scale, "fractions": fraction}
    yield Announcement.of(out, wanted(size, seeds, network, **chosen))
    data = compute(collect_runs(out, size, seeds, network, **chosen))
    slopes = trend.compute(data)
    figures = [plot_efficiency(data), plot_layers(data), plot_trend(slopes)]
    rows = [*trend.table(slopes), trend.sentence(slopes)]
    scaled = "" if initial_scale == 1 else f"_init_{initial_scale:g}"
    name = f"model_efficiency_{network}{scaled}"
    yield Finding(data=data, figures=figures, rows=rows, name=name)
