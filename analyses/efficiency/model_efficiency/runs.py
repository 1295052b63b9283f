"""The runs that tell what memorising and generalising cost, in norm and in steps.

Each network is trained on every part of the data twice with the same training: on the task's
labels, and on random ones, which can only be memorised.
"""

from pathlib import Path

import grokinterp as gi
from analyses.efficiency.circuits.sources import PUBLISHED_RULES, random_labels
from analyses.efficiency.settings import network, seeded, with_fraction
from grokinterp.sweeps.collect import Named, collect, folder_name

FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # the second paper's, Fig. 6
SMALL_FRACTIONS = (0.05, 0.1, 0.2)  # where memorising may be the cheaper way; random labels only
AT_STEP = "step-"  # begins the names of checkpoints at steps that were set beforehand
_VOCABULARY = 239 / 97  # the paper's tokens per residue


def wanted(size: str, seeds: int, name: str = "mlp") -> list[Named]:
    """The runs: the task's labels and random ones, every fraction and seed.

    At every size the embedding has the paper's share of rows that no prompt uses.
    """
    runs = []
    for seed in range(seeds):
        for fraction in (*SMALL_FRACTIONS, *FRACTIONS):
            config = with_fraction(seeded(network(name, size), seed), fraction)
            config = config.replace({"model.d_vocab": round(_VOCABULARY * config.data.p)})
            both = {"random": random_labels(config)}
            if fraction in FRACTIONS:
                both["task"] = config
            runs += [
                Named(folder_name("efficiency", name, labels, fraction, "seed", seed), config)
                for labels, config in both.items()
            ]
    return runs


def collect_runs(out: Path, size: str, seeds: int, name: str = "mlp") -> list[gi.Run]:
    """Train what is not in ``out`` yet.

    Networks are kept when they have memorised, and at four steps that all runs have in common.
    """
    steps = network(name, size).training.steps
    rules = {f"{AT_STEP}{n}": gi.at_step(n) for n in (steps // 2**i for i in range(4, 0, -1))}
    return collect(out, wanted(size, seeds, name), checkpoints=PUBLISHED_RULES | rules)
