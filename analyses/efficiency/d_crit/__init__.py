"""The critical data-set size of one task and network, estimated in three ways (section 4.2).

``grokinterp run d_crit OUT`` trains one network with one weight decay and one batch rule, so that
the three estimates are of the same D_crit: the size at which memorising and generalising need the
same norm; the size at which grokked networks, trained on with less data, lose half of their
validation accuracy; and the size at which the time to grok diverges.
"""

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
from grokinterp.sweeps.collect import collect


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3, network: Network = "mlp"
) -> Iterator[Announcement | Finding]:
    """Estimate D_crit three times, with one network without norms; five seeds are better."""
    one_network = {"networks": [network], "controls": False}
    time_runs = semi_grokking.wanted(size, seeds, network)
    wanted = [
        *efficiency_runs.wanted(size, seeds, network),
        *ungrokking.wanted(size, seeds, **one_network),
        *time_runs,
    ]
    yield Announcement.of(out, wanted)
    costs = efficiency_runs.collect_runs(out, size, seeds, network)
    starts, reduced = ungrokking.collect_runs(out, size, seeds, **one_network)
    data = compute(costs, starts, reduced, collect(out, time_runs))
    figures = [agreement.plot_estimates(data, seeds=seeds_behind(data)), plot_curves(data)]
    yield Finding(data=data, figures=figures, rows=_sentences(data))


def _sentences(data: xr.Dataset) -> Iterator[str]:
    """Each estimate, then whether they agree."""
    for name in data.estimator.values:
        one = data.sel(estimator=name)
        known = f" ({one.reason.item()})" if one.value.notnull() and one.reason.item() else ""
        yield f"{name}: {estimate_in_words(data, name)}{known}"
    yield data.attrs["sentence"]
