"""The experiment as a command: ``grokinterp run model_efficiency OUT``."""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.model_efficiency import trend
from analyses.efficiency.model_efficiency.computation import compute
from analyses.efficiency.model_efficiency.figures import (
    plot_efficiency,
    plot_layers,
    plot_trend,
)
from analyses.efficiency.model_efficiency.runs import collect_runs, wanted
from analyses.efficiency.settings import SEEDS
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = SEEDS, network: Network = "mlp"
) -> Iterator[Announcement | Finding]:
    """Compare the norms that memorising and generalising need, over training sets of many sizes."""
    yield Announcement.of(out, wanted(size, seeds, network))
    data = compute(collect_runs(out, size, seeds, network))
    slopes = trend.compute(data)
    figures = [plot_efficiency(data), plot_layers(data), plot_trend(slopes)]
    rows = [*trend.table(slopes), trend.sentence(slopes)]
    yield Finding(data=data, figures=figures, rows=rows, name=f"model_efficiency_{network}")
