"""The runs that give circuits to mix, and the tables of each protocol."""

from collections.abc import Mapping
from pathlib import Path

import grokinterp as gi
from analyses.efficiency import halves, settings
from analyses.efficiency.circuits.circuits import DEFINITIONS
from analyses.efficiency.circuits.sources import END, PUBLISHED_RULES, from_checkpoint, rule_of
from analyses.efficiency.mixing.tables import Tables, published_tables, tables_of
from grokinterp.sweeps.collect import Named, collect, folder_name
from grokinterp.training.rules import Rule

FRACTIONS = {"memorising": 0.2, "generalising": 0.9}  # the paper's

LOSS = "mse_softmax"  # of the paper's MLP, whatever the reference settings of a size have

SETTLED = "settled"  # the checkpoint of the leak-free C_gen

# Times the reference steps: some small C_gen have only just generalised by then. Toys memorise
# under this loss at a lower rate only, and then later.
_LONGER = {
    "tiny": {"memorising": 4, "generalising": 2},
    "small": {"memorising": 1, "generalising": 2},
    "published": {"memorising": 1, "generalising": 1},
}

_LR = {"tiny": 5e-3}


def wanted(size: str, seeds: int) -> list[Named]:
    """The networks of C_mem and C_gen of every seed, in turn.

    Splits of a seed are nested; seeds differ in split and weights.
    """
    runs = []
    for seed in range(seeds):
        for kind, fraction in FRACTIONS.items():
            base = settings.seeded(settings.network("mlp", size), seed)
            changes = {
                "training.loss": LOSS,
                "training.steps": _LONGER[size][kind] * base.training.steps,
                "training.lr": _LR.get(size, base.training.lr),
            }
            if kind == "memorising":
                changes["training.weight_decay"] = 0.0
            config = settings.with_fraction(base, fraction).replace(changes)
            runs.append(Named(folder_name("mixture", size, kind, "seed", seed), config))
    return runs


def collect_runs(out: Path, size: str, seeds: int) -> list[dict[str, gi.Run]]:
    """For every seed the networks by kind; trained if they are not in ``out``."""
    both = wanted(size, seeds)
    rules = PUBLISHED_RULES | {SETTLED: _settled(both[-1].config.training.steps // 2)}
    runs = iter(collect(out, both, checkpoints=rules))
    return [dict(zip(FRACTIONS, (next(runs), next(runs)), strict=True)) for _ in range(seeds)]


def _settled(half: int) -> Rule:
    """The first evaluation in the second half of training that a validated C_gen could be.

    Late, so that its probabilities are sharp; not the last one, because accuracies of networks
    under weight decay keep flickering by a pair.
    """
    late, right = gi.at_step(half), rule_of(DEFINITIONS["validated"]["generalising"])
    return lambda rows: late(rows) and right(rows)


def protocols(runs: Mapping[str, gi.Run]) -> dict[str, Tables]:
    """The tables of one seed's two networks, as published and leak-free.

    As published: C_mem when its train accuracy first was 99 %, C_gen at the end of training,
    validated on all that C_mem was not trained on. Leak-free: C_mem at the end, without training
    errors and with a validation accuracy of at most 5 %; C_gen from the second half of training,
    right on 99.9 % of train and validation; validated on what neither has seen.

    Raises:
        CircuitError, ValueError: a network that is not the circuit it should be, with its numbers.
    """
    memorising, generalising = runs["memorising"], runs["generalising"]
    return {
        "as published": published_tables(
            from_checkpoint(memorising, "memorising", "memorising", definition="published"),
            from_checkpoint(generalising, END, "generalising", definition="published"),
        ),
        "leak-free": tables_of(
            from_checkpoint(memorising, END, "memorising"),
            from_checkpoint(generalising, SETTLED, "generalising"),
        ),
    }


def halves_tables(run: gi.Run) -> Tables:
    """The memorising and the generalising half of one network in Coexistence.

    The mixture is asked for the labels that training gave, wrong ones included, and validated on
    the network's own test pairs. The memorising half alone need not know the unchanged labels.

    Raises:
        TypeError, ValueError: as ``halves.split``.
    """
    parts = halves.split(run)
    return tables_of(parts["memorising"], parts["generalising"], errors="allowed")
