"""The experiment as a command: ``grokinterp run model_efficiency OUT``."""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.model_efficiency.computation import compute
from analyses.efficiency.model_efficiency.runs import collect_runs, wanted
from analyses.efficiency.settings import SEEDS
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = SEEDS, network: Network = "mlp"
) -> Iterator[Announcement | Finding]:
    """Compare the norms that memorising and generalising need, over training sets of many sizes."""
    from analyses.efficiency.model_efficiency import figures as model_efficiency_plot
    from analyses.efficiency.model_efficiency import trend as efficiency_trend

    yield Announcement.of(out, wanted(size, seeds, network))
    data = compute(collect_runs(out, size, seeds, network))
    trend = efficiency_trend.compute(data)
    figures = [
        model_efficiency_plot.plot_efficiency(data), model_efficiency_plot.plot_layers(data),
        model_efficiency_plot.plot_trend(trend),
    ]  # fmt: skip
    rows = [*efficiency_trend.table(trend), efficiency_trend.sentence(trend)]
    yield Finding(data=data, figures=figures, rows=rows, name=f"model_efficiency_{network}")
