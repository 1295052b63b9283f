"""The runs that provide the circuits to mix, and the tables of each protocol."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

import grokinterp as gi
from analyses.efficiency import halves, settings
from analyses.efficiency.circuits.circuits import DEFINITIONS
from analyses.efficiency.circuits.sources import END, PUBLISHED_RULES, from_checkpoint, rule_of
from analyses.efficiency.mixing.tables import Tables, published_tables, tables_of
from grokinterp.sweeps.collect import Named, collect, folder_name
from grokinterp.training.rules import Rule

CONTROLS = ("published on unseen pairs", "published without errors")  # of ``protocols``
FRACTIONS = {"memorising": 0.2, "generalising": 0.9}  # the paper's
LOSS = "mse_softmax"  # that of the paper's MLP, at every size
SETTLED = "settled"  # the checkpoint of the leak-free C_gen
# Times the usual steps, after which some small C_gen have only just generalised. Toys memorise
# with this loss only at a lower learning rate, and then later.
_LONGER = {
    "tiny": {"memorising": 4, "generalising": 2},
    "small": {"memorising": 1, "generalising": 2},
    "published": {"memorising": 1, "generalising": 1},
}
_LR = {"tiny": 5e-3}


def wanted(size: str, seeds: int) -> list[Named]:
    """For every seed the network of C_mem, then that of C_gen.

    Their training sets are nested; seeds differ in split and weights.
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


def collect_runs(out: str | PathLike[str], size: str, seeds: int) -> list[dict[str, gi.Run]]:
    """For every seed its two networks by kind; those missing in ``out`` are trained."""
    both = wanted(size, seeds)
    rules = PUBLISHED_RULES | {SETTLED: _settled(both[-1].config.training.steps // 2)}
    runs = iter(collect(Path(out), both, checkpoints=rules))
    return [dict(zip(FRACTIONS, (next(runs), next(runs)), strict=True)) for _ in range(seeds)]


def _settled(half: int) -> Rule:
    """True in the second half of training once the accuracies are those of a validated C_gen.

    The second half, so that its probabilities are sharp; not the end, because under weight decay
    accuracies keep changing by a pair or so.
    """
    late, right = gi.at_step(half), rule_of(DEFINITIONS["validated"]["generalising"])
    return lambda rows: late(rows) and right(rows)


def protocols(runs: Mapping[str, gi.Run]) -> dict[str, Tables]:
    """The tables of one seed's two networks: as published, with one thing changed, and leak-free.

    * "as published": C_mem is the network when its train accuracy first reached 99 %, C_gen that at
      the end of training, and the mixture is validated on all pairs that C_mem was not trained on.
    * "published on unseen pairs": the same circuits, validated on pairs that neither has seen.
    * "published without errors": the same circuits, validated as published, but the mixture is not
      trained on the few pairs that C_mem gets wrong.
    * "leak-free": C_mem is the network at the end, without training errors and with a validation
      accuracy of at most 5 %; C_gen is from the second half of training, 99.9 % right on train and
      validation; the mixture is validated on pairs that neither has seen.

    Raises:
        CircuitError, ValueError: a network does not qualify as the circuit; with its numbers.
    """
    memorising, generalising = runs["memorising"], runs["generalising"]
    circuits = (
        from_checkpoint(memorising, "memorising", "memorising", definition="published"),
        from_checkpoint(generalising, END, "generalising", definition="published"),
    )
    published = published_tables(*circuits)
    right = published.memorising.argmax(dim=1) == published.labels
    return {
        "as published": published,
        "published on unseen pairs": tables_of(*circuits, errors="allowed"),
        "published without errors": replace(published, is_train=published.is_train & right),
        "leak-free": tables_of(
            from_checkpoint(memorising, END, "memorising"),
            from_checkpoint(generalising, SETTLED, "generalising"),
        ),
    }


def halves_tables(run: gi.Run, *, unit: str = "neurons.0", mode: str = "zero") -> Tables:
    """The tables of the memorising and the generalising half of one network in Coexistence.

    The labels are those given in training, wrong ones included, and validation uses the network's
    own test pairs. The memorising half alone need not know the unchanged labels.

    Raises:
        TypeError, ValueError: as ``halves.split``.
    """
    parts = halves.split(run, unit=unit, mode=mode)
    return tables_of(parts["memorising"], parts["generalising"], errors="allowed")
