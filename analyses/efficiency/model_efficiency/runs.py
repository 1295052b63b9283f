"""The runs that show what memorising and generalising cost, in norm and in steps.

Each network is trained twice on each amount of data, with the same settings: on the task's labels,
and on random ones, which can only be memorised.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import torch

import grokinterp as gi
from analyses.efficiency.circuits.sources import PUBLISHED_RULES, random_labels
from analyses.efficiency.settings import network, seeded, with_fraction
from grokinterp.checks import check_number
from grokinterp.sweeps.collect import Named, collect, folder_name

FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # the second paper's, Fig. 6
SMALL_FRACTIONS = (0.05, 0.1, 0.2)  # where memorising may be cheaper; random labels only
AT_STEP = "step-"  # prefix of the checkpoints at planned steps
_VOCABULARY = 239 / 97  # the paper's tokens per residue


def wanted(
    size: str,
    seeds: int,
    name: str = "mlp",
    *,
    initial_scale: float = 1.0,
    fractions: Sequence[float] | None = None,
) -> list[Named]:
    """The runs of this experiment: both kinds of labels, every fraction and seed.

    At every size, the same share of the embedding's rows is unused as in the paper.

    Args:
        size: one of ``settings.SIZES``.
        seeds: how many.
        name: one of ``settings.NETWORKS``.
        initial_scale: factor on all initial weights. With 1 the norm of a network that has just
            memorised may be mostly what is left of them.
        fractions: of all pairs, with both kinds of labels; None: ``FRACTIONS``, and random labels
            on ``SMALL_FRACTIONS``, too.
    """
    check_number("initial_scale", initial_scale, minimum=0.0, strict=True)
    words = [] if initial_scale == 1 else ["init", f"{initial_scale:g}"]
    runs = []
    for seed in range(seeds):
        for fraction in fractions or (*SMALL_FRACTIONS, *FRACTIONS):
            config = with_fraction(seeded(network(name, size), seed), fraction)
            config = config.replace({"model.d_vocab": round(_VOCABULARY * config.data.p)})
            both = {"random": random_labels(config)}
            if fraction in (fractions or FRACTIONS):
                both["task"] = config
            start = scaled_start(config, initial_scale) if words else None
            for labels, labelled in both.items():
                folder = folder_name("efficiency", name, labels, fraction, "seed", seed, *words)
                runs.append(Named(folder, labelled, start))
    return runs


def scaled_start(config: gi.RunConfig, scale: float) -> gi.Checkpoint:
    """The config's initial network with all weights multiplied by ``scale``."""
    model = gi.build_model(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= scale
    return gi.Checkpoint(0, {}, model.state_dict())


def collect_runs(
    out: str | PathLike[str],
    size: str,
    seeds: int,
    name: str = "mlp",
    *,
    initial_scale: float = 1.0,
    fractions: Sequence[float] | None = None,
) -> list[gi.Run]:
    """Train the runs of :func:`wanted` that are missing in ``out``, and return all.

    Checkpoints: when a network has memorised, and at four steps that all runs have in common.
    """
    steps = network(name, size).training.steps
    rules = {f"{AT_STEP}{n}": gi.at_step(n) for n in (steps // 2**i for i in range(4, 0, -1))}
    runs = wanted(size, seeds, name, initial_scale=initial_scale, fractions=fractions)
    return collect(Path(out), runs, checkpoints=PUBLISHED_RULES | rules)
