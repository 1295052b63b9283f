"""The runs that show what memorising and generalising cost, in norm and in steps.

Each network is trained twice on each amount of data, with the same settings: on the task's labels,
and on random ones, which can only be memorised.
"""

from pathlib import Path

import grokinterp as gi
from analyses.efficiency.circuits.sources import PUBLISHED_RULES, random_labels
from analyses.efficiency.settings import network, seeded, with_fraction
from grokinterp.sweeps.collect import Named, collect, folder_name

FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # the second paper's, Fig. 6
SMALL_FRACTIONS = (0.05, 0.1, 0.2)  # where memorising may be cheaper; random labels only
AT_STEP = "step-"  # prefix of the checkpoints at planned steps
_VOCABULARY = 239 / 97  # the paper's tokens per residue


def wanted(size: str, seeds: int, name: str = "mlp") -> list[Named]:
    """The runs of this experiment: both kinds of labels, every fraction and seed.

    At every size, the same share of the embedding's rows is unused as in the paper.
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
    """Train the runs that are missing in ``out``, and return all.

    Checkpoints: when a network has memorised, and at four steps that all runs have in common.
    """
    steps = network(name, size).training.steps
    rules = {f"{AT_STEP}{n}": gi.at_step(n) for n in (steps // 2**i for i in range(4, 0, -1))}
    return collect(out, wanted(size, seeds, name), checkpoints=PUBLISHED_RULES | rules)
