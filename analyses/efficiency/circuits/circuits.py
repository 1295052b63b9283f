"""Memorising and generalising circuits, C_mem and C_gen: frozen networks with checked accuracies.

A network becomes a circuit only if its accuracies are those of its kind; otherwise it is refused
with its numbers. The second paper selects both by their training accuracy alone
(``DEFINITIONS["published"]``), when C_mem has often begun to generalise. The validated definitions
also bound the validation accuracy. Circuits come from checkpoints and constructions (``sources``)
or from splitting one network into both (``halves``).

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.circuits import Circuit, CircuitError
    >>> model, data = gi.closed_form_mlp(p=13, d_mlp=200), gi.make_dataset(gi.DataConfig(p=13))
    >>> solution = {"source": "analytic", "model": model, "dataset": data, "seen": data.is_train}
    >>> Circuit(kind="generalising", **solution).definition
    'validated'
    >>> try:
    ...     circuit = Circuit(kind="memorising", **solution)
    ... except CircuitError as error:
    ...     print(str(error).split("; ")[0])
    C_mem (analytic) must have train accuracy >= 0.99 and validation accuracy <= 0.05
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

import probes
from analyses.efficiency.circuits.label_scores import label_scores
from analyses.statistics.thresholds import FLAWLESS_FROM
from grokinterp import Dataset, HookedModel
from grokinterp.checks import check_choice
from grokinterp.short_text import short_repr
from probes.margins import all_logits
from probes.parameter_norms import parameter_norm

KINDS = ("memorising", "generalising")
SYMBOL = {"memorising": "C_mem", "generalising": "C_gen"}
SUBSET_NAME = {  # in messages
    "train": "train",
    "test": "validation",
    "changed": "changed-label",
    "unchanged": "unchanged-label",
    "selected": "selected-label",
}


class CircuitError(ValueError):
    """A network does not qualify as the circuit; the message has its numbers."""


@short_repr
@dataclass(frozen=True, kw_only=True)
class Definition:
    """Bounds on accuracies by subset; they refer to the labels given in training (test: true)."""

    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)

    def shortfall(self, accuracies: Mapping[str, float]) -> float:
        """Sum of the accuracies by which bounds are violated; 0 if none is.

        NaN (an empty subset or a diverged network) violates every bound: then it is infinite.
        """
        gaps = [bound - accuracies[subset] for subset, bound in self.at_least.items()]
        gaps += [accuracies[subset] - bound for subset, bound in self.at_most.items()]
        return sum((math.inf if math.isnan(gap) else max(gap, 0.0) for gap in gaps), 0.0)

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets with a bound."""
        return (*self.at_least, *self.at_most)

    def __str__(self) -> str:
        wanted = [f"{SUBSET_NAME[s]} accuracy >= {bound:g}" for s, bound in self.at_least.items()]
        wanted += [f"{SUBSET_NAME[s]} accuracy <= {bound:g}" for s, bound in self.at_most.items()]
        return " and ".join(wanted)


# A validated C_gen may have memorised changed labels, too; half of a network may not.
DEFINITIONS: Mapping[str, Mapping[str, Definition]] = {
    "published": {kind: Definition(at_least={"train": 0.99}) for kind in KINDS},
    "validated": {
        "memorising": Definition(at_least={"train": 0.99}, at_most={"test": 0.05}),
        "generalising": Definition(at_least={"unchanged": FLAWLESS_FROM, "test": FLAWLESS_FROM}),
    },
    "half": {
        "memorising": Definition(at_least={"changed": 0.9}, at_most={"test": 0.1}),
        "generalising": Definition(at_least={"test": 0.9}, at_most={"changed": 0.1}),
    },
}


@short_repr
@dataclass(frozen=True, eq=False, kw_only=True)
class Circuit:
    """A frozen network that memorises or generalises, with the data that show it.

    Raises:
        CircuitError: the network violates a bound of its definition.
        ValueError: network, dataset and ``seen`` do not belong together.
    """

    kind: str  # memorising or generalising
    source: str  # how it was obtained, in words
    model: HookedModel  # in evaluation mode
    dataset: Dataset  # the task; accuracies refer to its labels
    # Pairs whose label in ``dataset`` the network was trained on. Claims about generalisation must
    # leave them out.
    seen: Bool[Tensor, " pair"]
    definition: str = "validated"  # a key of ``DEFINITIONS``

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("definition", self.definition, DEFINITIONS)
        if self.model.p != self.dataset.p:
            raise ValueError(
                f"the network was made for p={self.model.p}, the dataset for p={self.dataset.p}; "
                "they must belong to one task"
            )
        if self.seen.dtype != torch.bool or self.seen.shape != self.dataset.is_train.shape:
            raise ValueError(
                f"seen must be a mask over the {len(self.dataset.labels)} pairs, got "
                f"{self.seen.dtype} {list(self.seen.shape)}"
            )
        self.check()

    def check(self) -> None:
        """Raise CircuitError if the network violates a bound of its definition."""
        wanted = DEFINITIONS[self.definition][self.kind]
        found = {subset: self.accuracy(self.dataset.masks[subset]) for subset in wanted.subsets}
        if wanted.shortfall(found) > 0:
            numbers = ", ".join(f"{SUBSET_NAME[s]} {value:.3f}" for s, value in found.items())
            raise CircuitError(
                f"{SYMBOL[self.kind]} ({self.source}) must have {wanted}; it has {numbers}. Train "
                "it longer or on other data, or choose another definition of "
                f"{', '.join(DEFINITIONS)}"
            )

    @cached_property
    def _logits(self) -> Tensor:
        return all_logits(self.model, self.dataset.tokens)

    def logits(self) -> Float[Tensor, "pair classes"]:
        """Logits on all pairs, float64; computed once."""
        return self._logits

    @cached_property
    def norm(self) -> float:
        """Euclidean norm of all parameters in use, see ``probes.parameter_norms``."""
        return parameter_norm(self.model)

    def accuracy(self, mask: Bool[Tensor, " pair"] | None = None) -> float:
        """Accuracy on all pairs or those of ``mask``, for the dataset's labels; NaN for no pair."""
        return probes.accuracy(self.logits(), self.dataset.labels, mask)

    @cached_property
    def scores(self) -> xr.Dataset:
        """Accuracy, logits and margins by kind of example, see :func:`label_scores`."""
        return label_scores(self.logits(), self.dataset)


def check_compatible(*circuits: Circuit) -> None:
    """Raise unless the circuits can be mixed: one task, one modulus, the same classes.

    Raises:
        ValueError: they differ in p, in the true labels, in the labels given for pairs that both
            have seen, or in the number of classes.
    """
    for other in circuits[1:]:
        _check_two(circuits[0], other)


def _check_two(one: Circuit, other: Circuit) -> None:
    names = f"{SYMBOL[one.kind]} ({one.source}) and {SYMBOL[other.kind]} ({other.source})"
    if one.dataset.p != other.dataset.p:
        raise ValueError(
            f"{names} have different moduli, p={one.dataset.p} and p={other.dataset.p}; train "
            "both on one task"
        )
    if differ := int((one.dataset.clean_labels != other.dataset.clean_labels).sum()):
        raise ValueError(
            f"{names} are of different tasks: their true labels differ on {differ} of "
            f"{len(one.dataset.labels)} pairs; train both on one task"
        )
    both = one.seen & other.seen
    if differ := int((one.dataset.labels != other.dataset.labels)[both].sum()):
        raise ValueError(
            f"{names} were given different labels for {differ} of the {int(both.sum())} pairs "
            "that both have seen; train them on the same labels"
        )
    classes = [circuit.logits().shape[1] for circuit in (one, other)]
    if classes[0] != classes[1]:
        raise ValueError(
            f"{names} have {classes[0]} and {classes[1]} classes, so their logits do not add; "
            "train both with the same model.d_vocab_out"
        )
