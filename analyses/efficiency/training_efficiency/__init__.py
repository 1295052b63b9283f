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
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

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
    yield Finding(data=data, figures=[plot_times(data), plot_ratios(data)], rows=_medians(data))


def _medians(data: xr.Dataset) -> Iterator[dict[str, object]]:
    """Median steps to each event, and the ratios, a row for each network and fraction."""
    for network, fraction in product(data.network.values, data.fraction.values):
        cell = data.sel(network=network, fraction=fraction)
        row: dict[str, object] = {"network": network, "pairs": int(cell.n_train)}
        for event in data.event.values:
            row[f"steps, {event}"] = _or_not(cell.sel(event=event), "time")
        for over in data.over.values:
            row[f"ratio, {over}"] = _or_not(cell.sel(over=over), "ratio")
        yield row


def _or_not(cell: xr.Dataset, name: str) -> str:
    """A median with its interval, in words where it is unknown or not reached."""
    median, low, high = (float(cell[f"{name}_{part}"]) for part in ("median", "low", "high"))
    if np.isnan(median):
        return "unknown"
    if np.isinf(median):
        return "not reached"
    return f"{median:.3g} [{low:.3g}, {'not reached' if np.isinf(high) else f'{high:.3g}'}]"
