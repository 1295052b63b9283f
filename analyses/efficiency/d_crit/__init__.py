"""The critical data-set size of one task and network, estimated in three ways (section 4.2).

``grokinterp run d_crit OUT`` trains each network at each weight decay with one batch rule and the
same seeds, so that the three estimates are of the same D_crit: the size at which memorising and
generalising need the same norm; the size at which grokked networks, trained on with less data, lose
half of their validation accuracy; and the size at which the time to grok diverges. A joint test
says whether they are equal, and what the account assumes is tested on the same runs.

Examples:
    >>> from analyses.efficiency import d_crit
    >>> needed = d_crit.wanted("tiny", seeds=1)
    >>> len(needed), len({named.config.data.train_fraction for named in needed})
    (15, 10)
"""

from collections.abc import Iterator
from itertools import product
from typing import Annotated

import typer
import xarray as xr

from analyses.announcement import Announcement
from analyses.efficiency.d_crit import assumptions
from analyses.efficiency.d_crit.computation import compute
from analyses.efficiency.d_crit.figures import (
    estimate_in_words,
    plot_curves,
    plot_settings,
    seeds_behind,
)
from analyses.efficiency.d_crit.runs import base, collect_runs, wanted
from analyses.options import Networks, Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.statistics import agreement

__all__ = ["collect_runs", "compute", "experiment", "plot_curves", "side_by_side", "wanted"]

WeightDecays = Annotated[
    list[float] | None, typer.Option("--weight-decay", help="of every run; the network's own")
]


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 10,
    network: Networks = None,
    weight_decay: WeightDecays = None,
) -> Iterator[Announcement | Finding]:
    """Estimate D_crit three times, and test whether the estimates are equal; the MLP by default."""
    settings = list(product(network or ["mlp"], weight_decay or [None]))
    needed = [named for at in settings for named in wanted(size, seeds, *at)]
    yield Announcement.of(out, needed)
    every: dict[str, xr.Dataset] = {}
    for name, decay in settings:
        data = compute(*collect_runs(out, size, seeds, name, decay))
        every[data.attrs["task"]] = data
        forest = agreement.plot_estimates(data, seeds=seeds_behind(data))
        own = base(name, size, decay).training.weight_decay
        yield Finding(
            data=data,
            figures=[forest, plot_curves(data)],
            rows=_sentences(data),
            name=f"d_crit_{name}_{own:g}",
        )
    together = side_by_side(every)
    rows = [f"{task}: {data.attrs['sentence']}" for task, data in every.items()]
    yield Finding(data=together, figures=[plot_settings(together)], rows=rows)


def side_by_side(every: dict[str, xr.Dataset]) -> xr.Dataset:
    """The estimates of several settings, over "setting" and "estimator", from :func:`compute`.

    Also over "setting": ``p``, ``within`` and ``sentence``.
    """
    names = ("value", "low", "high", "reason", "p", "within")
    parts = [
        data[list(names)].assign(sentence=data.attrs["sentence"], seeds=data.sizes["seed"])
        for data in every.values()
    ]
    return xr.concat(parts, xr.Variable("setting", list(every)), combine_attrs="drop")


def _sentences(data: xr.Dataset) -> Iterator[str]:
    """Each estimate, whether they agree, and what the account assumes."""
    yield data.attrs["task"]
    for name in data.estimator.values:
        one = data.sel(estimator=name)
        known = f" ({one.reason.item()})" if one.value.notnull() and one.reason.item() else ""
        yield f"{name}: {estimate_in_words(data, name)}{known}"
    yield data.attrs["sentence"]
    yield from assumptions.sentences(data)
