"""Where memorising and generalising circuits come from: checkpoints of training, and constructions.

A memoriser is a network that fits its training labels and is no better than chance elsewhere. The
published rule keeps the network at train accuracy 99 %, when it may already generalise. Three
alternatives are cleaner; :func:`from_checkpoint` makes a circuit of each:

- training stopped with validation accuracy below 5 % (``VALIDATED_RULES``), if there is such a
  time;
- :func:`random_labels`, which cannot be generalised. This shows what memorising costs, but the
  memorised labels are not the task's, so the network cannot be mixed with a C_gen;
- :func:`random_elsewhere`: the task's labels on the training pairs and random ones on all others.
  It answers like a perfect memoriser of the training set with confident errors elsewhere. Only its
  answers are certain: internally it may compute the rule and overrule it.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> closed_form(gi.DataConfig(p=13), d_mlp=200).kind
    'generalising'
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> from_checkpoint(run, END, "memorising", definition="published").kind
    'memorising'
"""

import math
from dataclasses import replace

import torch

from analyses.efficiency.circuits.circuits import (
    DEFINITIONS,
    KINDS,
    SUBSET_NAME,
    SYMBOL,
    Circuit,
    CircuitError,
    Definition,
)
from grokinterp import (
    DataConfig,
    Run,
    RunConfig,
    Table,
    closed_form_mlp,
    make_dataset,
    reached,
)
from grokinterp.checks import check_choice, check_number
from grokinterp.randomness import generator
from grokinterp.session import unaffected
from grokinterp.training.rules import Rule
from probes.margins import model_label_logits

END = "end"  # stands for the finished network in place of a checkpoint's name


def rule_of(definition: Definition, *, rows: int = 1) -> Rule:
    """The checkpoint rule that becomes true once training satisfies a definition."""
    above, below = (
        {f"{subset}_accuracy": bound for subset, bound in bounds.items()}
        for bounds in (definition.at_least, definition.at_most)
    )
    return reached(rows=rows, below=below, **above)


# For ``gi.train_many(checkpoints=PUBLISHED_RULES | VALIDATED_RULES)``. The published C_gen is the
# end of training: ``from_checkpoint(run, END, "generalising", definition="published")``.
PUBLISHED_RULES = {"memorising": rule_of(DEFINITIONS["published"]["memorising"])}
VALIDATED_RULES = {
    "validated-memorising": rule_of(DEFINITIONS["validated"]["memorising"]),
    "validated-generalising": rule_of(DEFINITIONS["validated"]["generalising"], rows=5),
}


@unaffected()
def from_checkpoint(
    run: Run,
    name: str,
    kind: str,
    *,
    definition: str = "validated",
    task: DataConfig | None = None,
) -> Circuit:
    """A checkpoint of a run as a circuit.

    Args:
        run: trained with ``checkpoints=PUBLISHED_RULES | VALIDATED_RULES``, or with other rules.
        name: the checkpoint's, or ``END`` for the finished network.
        kind: "memorising" or "generalising".
        definition: a key of ``circuits.DEFINITIONS``, the accuracies that it must have.
        task: measure it on this task instead of the run's own, for runs of
            :func:`random_elsewhere`. The pairs that the circuit has seen are then the training
            pairs whose label was the task's.

    Raises:
        CircuitError: the checkpoint's rule never became true (the message says how close training
            came), or the network violates the definition.
        ValueError: the task has another modulus than the run.

    Source: the second paper's code has C_mem = first evaluation with train accuracy >= 99 % and
        C_gen = first evaluation from 98 % of the steps on, a moment before the end.
    """
    check_choice("kind", kind, KINDS)
    check_choice("definition", definition, DEFINITIONS)
    if name != END and name not in run.checkpoints:
        raise CircuitError(_missing(run, name, kind, DEFINITIONS[definition][kind]))
    step = run.config.training.steps if name == END else run.checkpoints[name].step
    dataset = run.dataset if task is None else make_dataset(task)
    if dataset.p != run.dataset.p:
        raise ValueError(
            f"task has p={dataset.p}, but the run was trained with p={run.dataset.p}; give the "
            "task from which its config was made"
        )
    return Circuit(
        kind=kind,
        source=("end of training" if name == END else f"checkpoint {name!r}") + f", step {step}",
        model=run.model if name == END else run.model_at(name),
        dataset=dataset,
        seen=run.dataset.is_train & (run.dataset.labels == dataset.labels),
        definition=definition,
    )


def random_labels(config: RunConfig) -> RunConfig:
    """The same training on the same inputs, every label drawn uniformly over all p classes."""
    return config.replace(
        {
            "data.corruption": 1.0,
            "data.corruption_kind": "symmetric",
            "data.second_operation": None,
        }
    )


@unaffected()
def random_elsewhere(config: RunConfig) -> RunConfig:
    """Training on all pairs but one, with random labels outside the config's training set.

    Random labels are uniform over all p classes; the 1/p of them that are true count as seen. Since
    a split must leave something out, the last pair of the shuffle is not trained on. Measure the
    trained network with ``from_checkpoint(..., task=config.data)``.
    """
    data = make_dataset(config.data)
    drawn = torch.randint(
        config.data.p, data.labels.shape, generator=generator(config.data.seed, "elsewhere")
    )
    labels = torch.where(data.is_train, data.labels, drawn)
    table = Table("random elsewhere", config.data.p, tuple(labels.tolist()))
    everything = 1 - 0.5 / len(labels)  # int(everything * p * p) is one less than p * p
    clean = {"corruption": 0.0, "corruption_kind": "symmetric", "second_operation": None}
    task = replace(config.data, operation=table, train_fraction=everything, **clean)
    return config.replace({"data": task})


@unaffected()
def closed_form(
    task: DataConfig, *, d_mlp: int = 500, median_logit: float | None = None, seed: int = 0
) -> Circuit:
    """A generalising circuit without training: the quadratic MLP with analytic weights.

    It has seen no pair, so every pair can be used for validation.

    Args:
        task: addition, of any modulus.
        d_mlp: number of neurons.
        median_logit: scale all weights equally so that the correct logit has this median over all
            pairs; None keeps the closed form's own scale, at which it is about 1 and probabilities
            are nearly uniform.
        seed: of the closed form's random phases.

    Raises:
        ValueError: another operation.
        CircuitError: too few neurons to be right on nearly all pairs.

    Source: ``gi.closed_form_mlp``.
    """
    if task.operation != "addition":
        raise ValueError(
            f"operation={task.operation!r} has no closed form here; use 'addition' or train one"
        )
    model = closed_form_mlp(task.p, d_mlp, seed=seed).eval()
    dataset = make_dataset(task)
    if median_logit is not None:
        check_number("median_logit", median_logit, minimum=0.0, strict=True)
        now = float(model_label_logits(model, dataset.tokens, dataset.clean_labels).median())
        with torch.no_grad():
            for weight in model.parameters():
                weight *= (median_logit / now) ** (1 / 3)  # logits are cubic in all weights
    return Circuit(
        kind="generalising",
        source=f"closed form, {d_mlp} neurons",
        model=model,
        dataset=dataset,
        seen=torch.zeros_like(dataset.is_train),
    )


def _missing(run: Run, name: str, kind: str, wanted: Definition) -> str:
    """The message for a missing checkpoint: how close training came to the definition."""
    rows = [
        {subset: float(run.history[f"{subset}_accuracy"][i]) for subset in wanted.subsets}
        for i in range(run.history.sizes["step"])
    ]
    gaps = [wanted.shortfall(row) for row in rows]
    kept = ", ".join(run.checkpoints) or "none"
    start = f"the run has no checkpoint {name!r} (kept: {kept}). {SYMBOL[kind]} must have {wanted}"
    closest = min(range(len(rows)), key=gaps.__getitem__, default=None)
    if closest is None or math.isinf(gaps[closest]):
        absent = [s for s in wanted.subsets if not run.dataset.masks[s].any()]
        return (
            f"{start}, and the run's data have no {SUBSET_NAME[absent[0]]} examples"
            if absent
            else f"{start}; training diverged before it could be measured"
        )
    step, steps = int(run.history.step[closest]), run.config.training.steps
    numbers = ", ".join(f"{SUBSET_NAME[s]} {value:.3f}" for s, value in rows[closest].items())
    if gaps[closest] == 0:
        return (
            f"{start}, and it had at step {step}: {numbers}; train again with a rule of this name "
            "in checkpoints="
        )
    return f"{start}; it came closest at step {step} of {steps}: {numbers}"
