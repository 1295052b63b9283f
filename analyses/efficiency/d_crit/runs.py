"""The runs behind the three estimates: one network, one weight decay, and the same seeds in all.

Sizes are dense around the transitions. At size "small" memorising becomes the dearer circuit at
about 15 % of the pairs, where grokked networks also lose the rule, and networks find the rule
within thousands of steps from about 40 % on.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.circuits.sources import PUBLISHED_RULES, random_labels
from analyses.efficiency.histories import network_of
from analyses.efficiency.ungrokking import runs as ungrokking
from grokinterp.sweeps.collect import Named, collect, folder_name

_PERCENT = tuple(percent / 100 for percent in range(1, 31))
MEMORISED = {  # fractions of random labels
    "tiny": (0.1, 0.2, 0.3, 0.5),
    "small": (0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.25, 0.3, 0.4),
    "published": (0.03, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
}
GENERALISED = {  # fractions of the task's own labels
    "tiny": (0.7, 0.8, 0.9),
    "small": (0.5, 0.6, 0.7, 0.8, 0.9),
    "published": (0.5, 0.6, 0.7, 0.8, 0.9),
}
REDUCED = {  # fractions with which grokked networks train on
    "tiny": (0.1, 0.2, 0.35),
    "small": (0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.18, 0.22, 0.28, 0.36, 0.5),
    "published": _PERCENT[:15],
}
TIMED = {  # fractions of which the time to grok is measured
    "tiny": (0.4, 0.5, 0.6, 0.7),
    "small": (0.33, 0.36, 0.38, 0.4, 0.42, 0.45, 0.48, 0.52, 0.58, 0.66, 0.75),
    "published": (*_PERCENT[19:], 0.4, 0.5, 0.7),
}
# Times the usual number of steps: of the second training, and of runs whose time is measured.
REDUCED_LONGER = {"tiny": 1, "small": 2, "published": 1}
TIMED_LONGER = {"tiny": 2, "small": 3, "published": 3}


def base(network: str, size: str, weight_decay: float | None = None) -> gi.RunConfig:
    """The network's config, with another weight decay if one is given."""
    config = settings.network(network, size)
    if weight_decay is None:
        return config
    return config.replace({"training.weight_decay": weight_decay})


def wanted(
    size: str, seeds: int, network: str = "mlp", weight_decay: float | None = None
) -> list[Named]:
    """All runs of one network at one weight decay; continuations lack their initial weights.

    Args:
        size: one of ``settings.SIZES``.
        seeds: how many; seed s has the same split in all three experiments.
        network: one of ``settings.NETWORKS``.
        weight_decay: of every run; None: the network's own.
    """
    config = base(network, size, weight_decay)
    starts = _starts(size, seeds, config)
    reduced = [
        ungrokking.continuation(start.config, fraction, *_second_training(size, config))
        for start in starts
        for fraction in REDUCED[size]
    ]
    return [*_costs(size, seeds, config), *starts, *reduced, *_timed(size, seeds, config)]


def collect_runs(
    out: str | PathLike[str],
    size: str,
    seeds: int,
    network: str = "mlp",
    weight_decay: float | None = None,
    *,
    level: float | None = None,
) -> tuple[list[gi.Run], list[gi.Run], list[gi.Run], list[gi.Run]]:
    """Train the missing runs of ``out``; return costs, starts, continuations, and timed runs.

    A start that has not grokked is not continued: its seed has no part in the ungrokking midpoint.

    Args:
        out: a folder with one folder per run.
        size: as for :func:`wanted`; so are ``seeds``, ``network`` and ``weight_decay``.
        seeds: how many.
        network: its name.
        weight_decay: of every run.
        level: train and test accuracy that a start must have; None: that of the size.

    Raises:
        ValueError: no start has grokked.
    """
    out = Path(out)
    config = base(network, size, weight_decay)
    level = ungrokking.START_FROM[size] if level is None else level
    costs = collect(out, _costs(size, seeds, config), checkpoints=PUBLISHED_RULES)
    rules = {ungrokking.START: gi.reached(train_accuracy=level, test_accuracy=level)}
    starts = collect(out, _starts(size, seeds, config), checkpoints=rules)
    grokked = ungrokking.have_grokked(starts, level)
    decay, steps = _second_training(size, config)
    options = {"level": level, "fewer_than_classes": size == "published"}
    reduced = [
        ungrokking.continued(start, fraction, decay, steps, **options)
        for start in grokked
        for fraction in REDUCED[size]
    ]
    return costs, grokked, collect(out, reduced), collect(out, _timed(size, seeds, config))


def _second_training(size: str, config: gi.RunConfig) -> tuple[float, int]:
    """Weight decay and steps of the training with less data."""
    return config.training.weight_decay, REDUCED_LONGER[size] * ungrokking.STEPS[size]


def _costs(size: str, seeds: int, config: gi.RunConfig) -> list[Named]:
    runs = _grid("task", config, GENERALISED[size], seeds)
    for named in _grid("random", config, MEMORISED[size], seeds):
        runs.append(Named(named.folder, random_labels(named.config)))
    return runs


def _starts(size: str, seeds: int, config: gi.RunConfig) -> list[Named]:
    return _grid("start", config, [ungrokking.START_FRACTION[size]], seeds)


def _timed(size: str, seeds: int, config: gi.RunConfig) -> list[Named]:
    steps = TIMED_LONGER[size] * config.training.steps
    return _grid("timed", config.replace({"training.steps": steps}), TIMED[size], seeds)


def _grid(kind: str, config: gi.RunConfig, fractions: Sequence[float], seeds: int) -> list[Named]:
    decay = f"{config.training.weight_decay:g}"
    name = folder_name(kind, network_of(config), "wd", decay)
    return settings.grid({name: config}, fractions, seeds)
