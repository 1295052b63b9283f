"""Training efficiency: how many steps it takes to memorise, and how many to generalise.

The second paper says that C_mem is learned faster than C_gen. Training accuracy on the task's own
labels cannot show this, because a generalising network raises it too; training on random labels
with the same learning rate, weight decay and batches can. This experiment uses the runs of
``model_efficiency``, in the same folder.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency import training_efficiency
    >>> wanted = training_efficiency.wanted("tiny", 1, "mlp")[-2:]  # the task and random labels
    >>> configs = [named.config.replace({"training.steps": 150}) for named in wanted]
    >>> steps = training_efficiency.compute(gi.train_many(configs)).time.squeeze()
    >>> bool(steps.sel(event="generalised") > steps.sel(event="fitted"))
    True
"""

from collections.abc import Iterator
from typing import Any

from analyses.announcement import Announcement
from analyses.efficiency.model_efficiency.runs import collect_runs, wanted
from analyses.efficiency.settings import SEEDS
from analyses.efficiency.training_efficiency.computation import compute
from analyses.efficiency.training_efficiency.figures import plot_ratios, plot_times
from analyses.options import Fractions, Networks, Out, Seeds, Size
from analyses.pages.finding import Finding


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = SEEDS,
    network: Networks = None,
    fraction: Fractions = None,
) -> Iterator[Announcement | Finding]:
    """Compare how long memorising and generalising take, for the MLP unless others are named."""
    networks = network or ["mlp"]
    of: dict[str, Any] = {"fractions": fraction}
    yield Announcement.of(out, [run for one in networks for run in wanted(size, seeds, one, **of)])
    data = compute([run for one in networks for run in collect_runs(out, size, seeds, one, **of)])
    yield Finding(data=data, figures=[plot_times(data), plot_ratios(data)])
