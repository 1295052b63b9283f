"""The runs: grokked starts, and the runs that continue them with less data."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.histories import network_of
from analyses.statistics.thresholds import FLAWLESS_FROM, TIMED_AT
from grokinterp.sweeps.collect import Named, collect, folder_name

START = "grokked"  # the checkpoint of a start that is continued
START_FRACTION = {"tiny": 0.7, "small": 0.7, "published": 0.5}
# Train and validation accuracy of a start: some small networks stop just below the published level.
START_FROM = {"tiny": TIMED_AT, "small": TIMED_AT, "published": FLAWLESS_FROM}
# Those of Fig. 8; at "small" also 0.3 and 3. Alone, weights would decay in the second training by
# exp(-lr * weight decay * steps): to 1 % at 1, to 26 % at 0.3, and hardly at all at 0.01.
WEIGHT_DECAYS = {
    "tiny": (1.0, 2.0, 4.0),
    "small": (0.01, 0.1, 0.3, 1.0, 3.0),
    "published": (0.01, 0.1, 1.0),
}
STEPS = {"tiny": 200, "small": 1500, "published": 30_000}  # of the second training
# Times these steps, as accuracies still fall after 1500: seed 0 of the MLP with 46 pairs is then at
# 0.2 with a weight decay of 0.01 (after 4500: 0.09), and at 0.08 with 0.1 (after 4500: 0.01).
_LONGER = {"small": {0.01: 4, 0.1: 2}}
FRACTIONS = {
    "tiny": (0.05, 0.1, 0.2, 0.35, 0.5),
    "small": (0.025, 0.05, 0.085, 0.13, 0.18, 0.25, 0.35, 0.5, 0.65),
    "published": tuple(percent / 100 for percent in range(1, 16)),
}


def grokked(start: gi.Run, level: float = FLAWLESS_FROM) -> gi.Checkpoint:
    """The network of a grokked start: its checkpoint ``START``, else its last weights.

    The checkpoint is preferred because some networks lose their accuracy repeatedly for a while.

    Raises:
        ValueError: neither has train and test accuracy of at least ``level``; the message has the
            numbers.
    """
    who = f"start (a {network_of(start.config)}, seed {start.config.seed})"
    if START not in start.checkpoints and start.diverged_at is not None:
        raise ValueError(f"{who} diverged after step {start.diverged_at}; use a smaller lr")
    checkpoint = start.checkpoints[START] if START in start.checkpoints else start.checkpoint()
    accuracy = {name: checkpoint.metrics[f"{name}_accuracy"] for name in ("train", "test")}
    if not all(value >= level for value in accuracy.values()):
        reached = ", ".join(f"{name} accuracy {value:.4f}" for name, value in accuracy.items())
        best = float(start.history.test_accuracy.max())
        raise ValueError(
            f"{who} has not grokked: {reached} at step {checkpoint.step}, and both must be at "
            f"least {level} (its best test accuracy was {best:.4f}); train it longer, choose "
            "another seed, or lower level"
        )
    return checkpoint


def have_grokked(starts: Sequence[gi.Run], level: float) -> list[gi.Run]:
    """The starts that have grokked, see :func:`grokked`.

    Raises:
        ValueError: none of some network has; the message has the first one's numbers.
    """
    found, failed = [], {}
    for start in starts:
        try:
            grokked(start, level)
        except ValueError as error:
            failed.setdefault(network_of(start.config), error)
        else:
            found.append(start)
    kept = {network_of(start.config) for start in found}
    for network, error in failed.items():
        if network not in kept:
            raise error
    return found


def continued(
    start: gi.Run,
    fraction: float,
    weight_decay: float,
    steps: int,
    *,
    kept: bool = False,
    level: float = FLAWLESS_FROM,
    fewer_than_classes: bool = False,
) -> Named:
    """The run that continues a grokked run with part of its training data.

    Args:
        start: the grokked run; its split is kept, so the smaller set is part of its training set.
        fraction: of all pairs, less than the start's.
        weight_decay: from now on.
        steps: updates from now on.
        kept: continue with the optimiser's moments, which only a checkpoint ``START`` holds;
            otherwise the optimiser starts afresh, as in the paper.
        level: accuracy that ``start`` must have, see :func:`grokked`.
        fewer_than_classes: allow sets with fewer pairs than there are classes, as the paper's 1 %.

    Raises:
        ValueError: the start has not grokked or lacks its moments; the fraction is not smaller, or
            leaves fewer pairs than classes.

    Source: second paper, Figs. 7 and 8; Varma et al. 2023, arXiv:2309.02390.
    """
    checkpoint = grokked(start, level)
    if kept and checkpoint.moments is None:
        raise ValueError(
            f"start has no checkpoint {START!r}, so its optimiser's moments are lost; train it "
            f"with checkpoints={{{START!r}: gi.reached(test_accuracy={level})}}"
        )
    named = continuation(start.config, fraction, weight_decay, steps, kept=kept)
    if not fewer_than_classes:
        settings.check_classes(named.config)
    return replace(named, start=checkpoint if kept else checkpoint.fresh())


def continuation(
    config: gi.RunConfig, fraction: float, weight_decay: float, steps: int, *, kept: bool = False
) -> Named:
    """The run of :func:`continued` for a start with this config, without its initial weights."""
    most = config.data.train_fraction
    if not 0 < fraction < most:
        raise ValueError(f"fraction must lie in (0, {most}), below the start's, got {fraction}")
    config = settings.with_fraction(config, fraction)
    config = config.replace({"training.weight_decay": weight_decay, "training.steps": steps})
    words = network_of(config), "seed", config.seed, "wd", f"{weight_decay:g}", f"{fraction:g}"
    return Named(folder_name("ungrok", *words, *(["kept"] if kept else [])), config)


def wanted(
    size: str, seeds: int, *, networks: Sequence[str] | None = None, controls: bool = True
) -> list[Named]:
    """All runs of this experiment: the starts, then the others, without their initial weights.

    Args:
        size: one of ``settings.SIZES``.
        seeds: how many of each.
        networks: names from ``settings.NETWORKS``; None: all.
        controls: all of ``WEIGHT_DECAYS``, with fresh moments and with those that starts kept;
            otherwise only a network's own weight decay, with fresh moments.
    """
    starts = _starts(size, seeds, networks)
    return starts + [
        continuation(start.config, fraction, decay, _steps(size, decay), kept=kept)
        for start in starts
        for decay, kept in _kinds(start.config, size, controls)
        for fraction in FRACTIONS[size]
    ]


def _starts(size: str, seeds: int, networks: Sequence[str] | None) -> list[Named]:
    usual = [
        settings.with_fraction(settings.network(network, size), START_FRACTION[size])
        for network in networks or settings.NETWORKS
    ]
    return [
        Named(folder_name("start", network_of(config), "seed", seed), settings.seeded(config, seed))
        for config in usual
        for seed in range(seeds)
    ]


def _kinds(config: gi.RunConfig, size: str, controls: bool) -> list[tuple[float, bool]]:
    """Weight decays of the second training, and whether moments are kept."""
    if not controls:
        return [(config.training.weight_decay, False)]
    return [(decay, kept) for decay in WEIGHT_DECAYS[size] for kept in (False, True)]


def _steps(size: str, weight_decay: float) -> int:
    """Of the second training."""
    return STEPS[size] * _LONGER.get(size, {}).get(weight_decay, 1)


def collect_runs(
    out: str | PathLike[str],
    size: str,
    seeds: int,
    *,
    networks: Sequence[str] | None = None,
    controls: bool = True,
    level: float | None = None,
) -> tuple[list[gi.Run], list[gi.Run]]:
    """Train the missing runs of ``out``; return the starts and the runs that continue them.

    A start that has not grokked is left out, with its continuations.

    Args:
        out: a folder with one folder per run.
        size: as for :func:`wanted`; so are ``seeds``, ``networks`` and ``controls``.
        seeds: how many of each.
        networks: None: all.
        controls: whether there are any.
        level: accuracy that a start must have; None: that of the size.

    Raises:
        ValueError: no start of some network has grokked.
    """
    out = Path(out)
    level = START_FROM[size] if level is None else level
    rules = {START: gi.reached(train_accuracy=level, test_accuracy=level)}
    starts = have_grokked(collect(out, _starts(size, seeds, networks), checkpoints=rules), level)
    options = {"level": level, "fewer_than_classes": size == "published"}
    needed = [
        continued(start, fraction, decay, _steps(size, decay), kept=kept, **options)
        for start in starts
        for decay, kept in _kinds(start.config, size, controls)
        if START in start.checkpoints or not kept  # the end of a run has no moments
        for fraction in FRACTIONS[size]
    ]
    return starts, collect(out, needed)
