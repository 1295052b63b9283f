"""The measurements behind the verdict on Hypothesis 2.2, each with its controls.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.hypothesis.evidence import Question, find_key_frequencies
    >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
    >>> question = Question(solution, "addition", None, draws=3, seed=0)
    >>> sorted(find_key_frequencies(question, question.network.logits()))
    [1, 2, 3, 4, 5, 6]
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp.bars import each
from grokinterp.data import Dataset
from grokinterp.randomness import generator
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation, operation_table
from probes import (
    Basis,
    NetworkOnPairs,
    accuracy,
    excluded_logits,
    key_frequencies,
    logit_spectrum,
    network_on_pairs,
    neuron_spectrum,
    power_spectrum,
    restricted_logits,
    table_spectrum,
    task_basis,
)
from probes.alive import are_dead_sizes
from probes.embedding import real_energy
from probes.scores import loss

# Of what a number is: the trained network; the untrained one; the mean, smallest and largest over
# shuffles of the residues; the expectation for random weights.
OF: tuple[str, ...] = ("network", "untrained", "shuffled", "shuffled_low", "shuffled_high", "noise")
PERIODICITIES = ("row_ipr", "total_ipr", "feature_ipr", "key_share")
SUBSETS = ("train", "test", "all", "changed")
CONDITIONS = ("full", "restricted", "excluded", "only_key", "without_key", "without_random")

Numbers = Mapping[str, float]


class Question:
    """A network with its task, the subsets of pairs that it is scored on, and the random controls.

    Accuracies are against the true labels. Subsets: "train", the training pairs with a true label;
    "test"; "all", both together; "changed", the training pairs with a wrong label. Pairs with a
    residue outside the basis (0 in multiplication and division) are left out.

    Args:
        model: a network that knows its task, or a :class:`probes.NetworkOnPairs`.
        operation: the task; it must have a periodic basis.
        dataset: on which the network was trained, if known.
        draws: number of shuffles of the residues, and of random sets of frequencies.
        seed: of the draws.
        progress: show progress bars.
    """

    def __init__(
        self,
        model: Any,
        operation: Operation,
        dataset: Dataset | None,
        *,
        draws: int,
        seed: int,
        progress: bool = False,
    ) -> None:
        self.network: NetworkOnPairs = network_on_pairs(model)
        self.basis: Basis = task_basis(operation, self.network.p)
        self.clean = rearrange(operation_table(operation, self.network.p), "a b -> (a b)")
        self.draws, self.seed, self.progress = draws, seed, progress
        rng, order = generator(seed, "shuffled residues"), self.basis.order
        self.shuffles = [
            replace(self.basis, order=order[torch.randperm(len(order), generator=rng)])
            for _ in range(draws)
        ]
        placed = torch.zeros(len(self.clean), dtype=torch.bool)
        placed[self.basis.pairs] = True
        self.masks: dict[str, Bool[Tensor, " pair"]] = {"all": placed}
        self.given = self.clean
        if dataset is not None:
            if not torch.equal(dataset.clean_labels, self.clean):
                raise ValueError(
                    f"dataset has other true labels than {operation} mod {self.network.p}; pass "
                    "the dataset of the network's own task"
                )
            self.given = dataset.labels
            self.masks = {
                "train": placed & dataset.is_train & ~dataset.is_changed,
                "test": placed & dataset.is_test,
                "all": placed & ~dataset.is_changed,
                "changed": placed & dataset.is_changed,
            }

    def shuffled(self, what: str) -> Iterator[Basis]:
        """The task's basis with its residues shuffled, once per draw."""
        return each(self.shuffles, f"{what}, residues shuffled", wanted=self.progress)

    @property
    def judged_on(self) -> str:
        """The subset whose accuracy decides whether the network generalises."""
        return "test" if "test" in self.masks else "all"

    def accuracies(self, logits: Float[Tensor, "pair p"]) -> list[float]:
        """Accuracy on each of ``SUBSETS``, in their order; NaN for an unknown subset."""
        none = torch.zeros_like(self.masks["all"])
        return [accuracy(logits, self.clean, self.masks.get(name, none)) for name in SUBSETS]

    def memorised(self, logits: Float[Tensor, "pair p"]) -> float:
        """Share of the changed pairs answered with their wrong label; NaN if there are none."""
        none = torch.zeros_like(self.masks["all"])
        return accuracy(logits, self.given, self.masks.get("changed", none))

    def loss(self, logits: Float[Tensor, "pair p"], kind: str) -> float:
        """Loss on ``judged_on``, against the true labels."""
        return loss(logits, self.clean, self.masks[self.judged_on], kind=kind)


def find_key_frequencies(question: Question, logits: Float[Tensor, "pair p"]) -> list[int]:
    """:func:`probes.key_frequencies`, or none if the logits have no spectrum."""
    spectrum = logit_spectrum(logits, question.basis)
    return [] if bool(spectrum.shares.isnan().any()) else key_frequencies(spectrum)


@short_repr
@dataclass(frozen=True, eq=False)
class FirstMap:
    """How periodic the embedding is: part (I) of the hypothesis."""

    shares: Float[Tensor, " frequency"]  # of the embedding's variance over residues
    numbers: Mapping[str, Numbers]  # by measure (PERIODICITIES), then by OF
    is_dead: Bool[Tensor, " feature"]


def first_map(question: Question, key: list[int], untrained: NetworkOnPairs | None) -> FirstMap:
    """Periodicity of the embedding, and of the first layer's neurons as functions of one operand.

    If each operand has its own table, both are taken together. The neurons are measured because a
    table that both operands share may contain all frequencies, which only the neurons separate.
    """
    basis = question.basis

    def measure(table: Tensor, seen: Tensor | None, basis: Basis) -> list[float]:
        spectrum = table_spectrum(table, basis)
        in_key = float(spectrum.shares[[k - 1 for k in key]].sum())
        features = torch.nan if seen is None else _feature_ipr(seen, basis)
        return [spectrum.mean_row_ipr, spectrum.total_ipr, features, in_key]

    trained = _first_table(question.network), _seen_by_neurons(question.network)
    shuffled = _numbers(measure(*trained, other) for other in question.shuffled("embedding"))
    before = [torch.nan] * len(PERIODICITIES)
    if untrained is not None:
        before = measure(_first_table(untrained), _seen_by_neurons(untrained), basis)
    table = trained[0]
    noise = [
        noise_row_ipr(basis.period),
        noise_total_ipr(basis.period, table.shape[1]),
        torch.nan,  # unknown, because activations are not normally distributed
        sum(_weight(k, basis.period) for k in key) * 2 / (basis.period - 1),
    ]
    numbers = {
        name: dict(zip(OF, (*first, *_spread(draws), last), strict=True))
        for name, *first, draws, last in zip(
            PERIODICITIES, measure(*trained, basis), before, shuffled.T, noise, strict=True
        )
    }
    found = table_spectrum(table, basis)
    return FirstMap(found.shares, numbers, found.row_ipr.isnan())


def _seen_by_neurons(network: NetworkOnPairs) -> Float[Tensor, "operand p neuron"] | None:
    """The first layer's activations as functions of one operand, averaged over the other."""
    if not network.neuron_hooks:
        return None
    activations = network.neurons(network.neuron_hooks[0])
    of_first = reduce(activations, "a b neuron -> a neuron", "mean")
    of_second = reduce(activations, "a b neuron -> b neuron", "mean")
    return torch.stack([of_first, of_second])


def _feature_ipr(seen: Float[Tensor, "operand p neuron"], basis: Basis) -> float:
    """IPR of each neuron's summed spectra over both operands, averaged over living neurons.

    A neuron is dead if both functions together hardly vary.
    """
    rows = rearrange(seen[:, basis.order], "operand p neuron -> operand neuron p")
    energy = real_energy(power_spectrum(rows - rows[..., :1]), basis.period).sum(dim=0)
    total = energy.sum(dim=1)
    alive = ~are_dead_sizes(total.sqrt())
    shares = energy[alive] / total[alive, None]
    return float(shares.square().sum(dim=1).mean())


def noise_row_ipr(period: int) -> float:
    """Expected :func:`probes.ipr` of a vector of independent normal weights.

    Let S be the total power and x the power of a mode; all modes have the same mean power. Then
    E[sum x^2 / S^2] is the integral over t > 0 of t E[sum x^2 exp(-t S)], and the expectation
    factorises over the modes, some of which are real and the others complex.
    """
    from scipy.integrate import quad

    real = 2 if period % 2 == 0 else 1  # frequencies 0 and period / 2 are real
    pairs = (period - real) // 2

    def integrand(t: float) -> float:
        common = t * (1 + 2 * t) ** (-real / 2) * (1 + t) ** -pairs
        return common * (3 * real * (1 + 2 * t) ** -2 + 2 * pairs * (1 + t) ** -2)

    return float(quad(integrand, 0, float("inf"))[0])


def noise_total_ipr(period: int, n_features: int) -> float:
    """Expected total IPR of a table of independent normal weights.

    The frequencies' shares of the power follow a Dirichlet distribution with parameter n_features
    for each frequency, and half of that for period / 2.
    """
    alphas = [n_features * _weight(k, period) for k in range(1, period // 2 + 1)]
    return sum(a * (a + 1) for a in alphas) / (sum(alphas) * (sum(alphas) + 1))


@short_repr
@dataclass(frozen=True, eq=False)
class Layer:
    """How periodic the neurons of one layer are: part (II) of the hypothesis."""

    hook: str
    numbers: Numbers  # by OF: median over living neurons of the share of their best frequency
    n_neurons: int
    n_dead: int


def layers(question: Question, untrained: NetworkOnPairs | None) -> Iterator[Layer]:
    """The neurons of every layer; none if the network's hook points for neurons are unknown."""
    for hook in question.network.neuron_hooks:
        activations = question.network.neurons(hook)
        spectrum = neuron_spectrum(activations, question.basis)
        shuffled = _numbers(_median_share(activations, b) for b in question.shuffled(hook))
        before = torch.nan
        if untrained is not None:
            before = _median_share(untrained.neurons(hook), question.basis)
        values = (_median(spectrum.share), before, *_spread(shuffled), torch.nan)
        numbers = dict(zip(OF, values, strict=True))
        yield Layer(hook, numbers, activations.shape[-1], spectrum.n_dead)


def projected_logits(
    question: Question, logits: Float[Tensor, "pair p"], key: list[int]
) -> dict[str, Float[Tensor, "pair p"]]:
    """The logits, their projection on functions of a + b at the key frequencies, and the rest."""
    return {
        "full": logits,
        "restricted": restricted_logits(logits, question.basis, key),
        "excluded": excluded_logits(logits, question.basis, key),
    }


def _numbers(values: Iterable[Any]) -> Float[Tensor, "draw ..."]:
    return torch.tensor(list(values), dtype=torch.float64)


def _first_table(network: NetworkOnPairs) -> Float[Tensor, "p feature"]:
    return torch.cat(list(network.embeddings.values()), dim=1)


def _weight(k: int, period: int) -> float:
    """Half for period / 2, which has a cosine but no sine."""
    return 0.5 if 2 * k == period else 1.0


def _spread(draws: Float[Tensor, " draw"]) -> tuple[float, float, float]:
    return float(draws.mean()), float(draws.min()), float(draws.max())


def _median_share(activations: Tensor, basis: Basis) -> float:
    return _median(neuron_spectrum(activations, basis).share)


def _median(values: Float[Tensor, " neuron"]) -> float:
    return float(values.nanquantile(0.5)) if values.numel() else torch.nan
