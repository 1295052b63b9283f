"""The experiment as a command: ``grokinterp run d_crit OUT``."""

from collections.abc import Iterator

import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency import semi_grokking, ungrokking
from analyses.efficiency.d_crit.computation import compute
from analyses.efficiency.d_crit.figures import estimate_in_words, plot_curves, seeds_behind
from analyses.efficiency.model_efficiency import runs as efficiency_runs
from analyses.options import Network, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.statistics import agreement


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "mlp"
) -> Iterator[Announcement | Finding]:
    """Estimate D_crit three times, with one network without norms; five seeds are better."""
    wanted = [
        *efficiency_runs.wanted(size, seeds, network),
        *ungrokking.wanted(size, seeds, networks=[network], controls=False),
        *semi_grokking.wanted(size, seeds, network),
    ]
    yield Announcement.of(out, wanted)
    costs = efficiency_runs.collect_runs(out, size, seeds, network)
    starts, reduced = ungrokking.collect_runs(out, size, seeds, networks=[network], controls=False)
    times = semi_grokking.collect_runs(out, size, seeds, network)
    data = compute(costs, starts, reduced, times)
    figures = [agreement.plot_estimates(data, seeds=seeds_behind(data)), plot_curves(data)]
    yield Finding(data=data, figures=figures, rows=_sentences(data))


def _sentences(data: xr.Dataset) -> Iterator[str]:
    """An estimate each, and whether they agree."""
    for name in data.estimator.values:
        one = data.sel(estimator=name)
        known = f" ({one.reason.item()})" if one.value.notnull() and one.reason.item() else ""
        yield f"{name}: {estimate_in_words(data, name)}{known}"
    yield data.attrs["sentence"]
