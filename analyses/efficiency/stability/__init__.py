"""Settings with which a transformer groks and stays grokked: a recorded search.

The second paper's transformer has norms after the residual additions, and its accuracy jumps up and
down after grokking. ``grokinterp run stability OUT`` trains one-layer transformers with and without
norms, at several learning rates and weight decays, judges every run by the criterion of
:mod:`analyses.efficiency.stability.computation`, and names the setting that is taken for size
"small". All settings that were tried are in the result.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import stability
    >>> wanted, few = stability.wanted("tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = stability.compute(runs)
    >>> data.network.values.tolist(), stability.chosen(data)  # ten steps are too few
    (['none', 'none, small weights', 'pre', 'post'], None)
"""

from collections.abc import Iterator

from analyses.announcement import Announcement
from analyses.efficiency.stability.computation import chosen, compute, table
from analyses.efficiency.stability.figures import plot_curves
from analyses.efficiency.stability.runs import wanted
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from grokinterp.sweeps.collect import collect

__all__ = ["chosen", "compute", "experiment", "plot_curves", "table", "wanted"]


def experiment(
    out: Out, size: Size = "small", seeds: Seeds = 3
) -> Iterator[Announcement | Finding]:
    """Train transformers with several norms, rates and decays; which grok and stay grokked."""
    named = wanted(size, seeds)
    yield Announcement.of(out, named)
    data = compute(collect(out, named))
    best = chosen(data)
    last = f"taken: {best}" if best else "no setting is stable with every seed"
    yield Finding(data=data, figures=[plot_curves(data)], rows=[*table(data), last])
