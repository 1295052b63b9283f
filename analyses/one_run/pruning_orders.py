"""The orders in which a network's units can be removed, by the name of what ranks them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor

import grokinterp as gi
from grokinterp.models.read_out import Heads, Neurons
from grokinterp.models.units import FREQUENCIES
from grokinterp.randomness import generator
from probes import logit_attribution, model_neuron_norms, unit_norms, unit_periodicity
from probes.linear_effects import first_order_changes, label_above_mean
from probes.network_on_pairs import NetworkOnPairs
from probes.neuron_weights import has_neuron_weights
from probes.unit_periodicity import DEFINITIONS, units_of
from probes.unit_pruning import Removals

RANDOM = "random"
_RNG = "pruning"  # names the random numbers of these orders
# How texts call them.
NAMES = {
    "ipr": "IPR",
    "input_ipr": "IPR of input weights",
    "output_ipr": "IPR of output weights",
    "share": "share of the best frequency",
    "normalized_share": "share behind the norm",
    "norm": "weight norm",
    "activation": "size of the activation",
    "effect": "linear effect",
    "attribution": "logit attribution",
    RANDOM: "",
}
ORDERS = tuple(NAMES)


def default_unit(network: NetworkOnPairs) -> str:
    """The first layer's neurons; of a network without neurons its hidden units."""
    for kind in ("neurons.", "hidden."):
        for name in network.units:
            if name.startswith(kind):
                return name
    return "neurons.0"  # refused with a list of what there is


def default_orders(network: NetworkOnPairs, unit: str) -> tuple[str, ...]:
    """The first periodicity, norm and effect that these units have, and a random order."""
    writes = _written_at(network, unit) is not None
    try:
        periodic = next(iter(unit_periodicity(network, unit).scores))
    except ValueError:  # as frequencies
        periodic = None
    found = (
        periodic,
        "norm" if _has_vectors(network.model, unit) else "activation",
        "attribution" if writes else "effect",
        RANDOM,
    )
    return tuple(name for name in found if name is not None)


class Queues:
    """Orders in which the units of a network are removed.

    Args:
        taken_out: the network, its units, and what a removed activation becomes.
        dataset: whose training pairs effects and attributions are averaged over.
        steps: how often units are ranked: once, or again after each of so many steps, the units
            before being removed.
    """

    def __init__(self, taken_out: Removals, dataset: gi.Dataset, steps: int = 1) -> None:
        self._taken_out, self._dataset, self._steps = taken_out, dataset, steps

    def plans(
        self, order: str, random_seeds: int
    ) -> Iterator[tuple[str, str, int, Int[Tensor, " unit"]]]:
        """The curves of one order: (order, direction, seed, units in the order of removal)."""
        width = self._taken_out.units.count
        if order == RANDOM:
            for seed in range(random_seeds):
                yield order, "random", seed, torch.randperm(width, generator=generator(seed, _RNG))
        elif self._steps == 1:
            queue = rising(scores(self._taken_out, self._dataset, order))
            yield order, "low", -1, queue
            yield order, "high", -1, queue.flip(0)
        else:
            yield order, "low", -1, self._ranked_again(order, lowest=True)
            yield order, "high", -1, self._ranked_again(order, lowest=False)

    def _ranked_again(self, order: str, *, lowest: bool) -> Int[Tensor, " unit"]:
        width = self._taken_out.units.count
        ends = torch.linspace(0, width, min(width, self._steps) + 1).round().int().tolist()
        queue: list[int] = []
        for end in ends[1:]:
            with self._taken_out.network.model.hooks(fwd_hooks=self._taken_out.hooks(queue)):
                ranked = rising(scores(self._taken_out, self._dataset, order))
            gone = set(queue)
            left = [i for i in ranked.tolist() if i not in gone]
            queue += (left if lowest else left[::-1])[: end - len(queue)]
        return torch.tensor(queue)


def rising(score: Float[Tensor, " unit"]) -> Int[Tensor, " unit"]:
    """Units from the lowest score to the highest; dead ones (NaN) are the lowest."""
    return score.nan_to_num(-torch.inf, torch.inf, -torch.inf).argsort(stable=True)


def scores(taken_out: Removals, dataset: gi.Dataset, order: str) -> Float[Tensor, " unit"]:
    """A number per unit; NaN for a dead one.

    Args:
        taken_out: the network, its units, and what a removed activation becomes.
        dataset: whose training pairs effects and attributions are averaged over.
        order: one of ``ORDERS`` but "random". "norm": of a neuron's input and output weights; of
            other units see :func:`probes.unit_norms`. "activation": root mean square over all pairs
            (of a frequency, the norm of its part of the embedding). "attribution": what a unit
            writes straight to the true label's logit above the mean logit. "effect": what its
            removal takes from it, to first order in the removal, by all paths.

    Raises:
        ValueError: these units have no such score.
    """
    network, unit = taken_out.network, taken_out.units.name
    if order in DEFINITIONS:
        return unit_periodicity(network, unit, order).scores[order]
    return _OTHERS[order](taken_out, dataset)


def _norm(taken_out: Removals, dataset: gi.Dataset) -> Tensor:
    model, unit = taken_out.network.model, taken_out.units.name
    # Quick; and behind a norm the neurons' output weights count, too.
    return model_neuron_norms(model) if _has_vectors(model, unit) else unit_norms(model, unit)


def _has_vectors(model: Any, unit: str) -> bool:
    return unit == "neurons.0" and has_neuron_weights(model)


def _size(taken_out: Removals, dataset: gi.Dataset) -> Tensor:
    network, units = taken_out.network, taken_out.units
    if units.name == FREQUENCIES:
        basis = network.basis(None)
        tables = torch.stack([table[basis.order] for table in network.embeddings.values()])
        power = torch.fft.rfft(tables, dim=1).abs().square()
        return reduce(power, "table k d -> k", "sum")[1:].sqrt()
    squares = torch.stack([network.activations(hook).square() for hook in units.hooks])
    if units.axis == -2:
        return reduce(squares, "step pair unit d -> unit", "mean").sqrt()
    return reduce(squares, "step pair unit -> unit", "mean").sqrt()


def _attribution(taken_out: Removals, dataset: gi.Dataset) -> Tensor:
    network, unit = taken_out.network, taken_out.units.name
    hook = _written_at(network, unit)
    if hook is None:
        raise ValueError(
            f"orders='attribution': {unit} of {type(network.model).__name__} do not write straight "
            "to the logits; take 'effect', which follows all paths"
        )
    parts = logit_attribution(network.model, *_training(dataset)).parts
    return parts[hook].mean(dim=0)


def _written_at(network: NetworkOnPairs, unit: str) -> str | None:
    """The hook point that ``logit_attribution`` reads these units at; None if it does not."""
    units, about = units_of(network, unit), network.anatomy
    hooks = [part.hook for part in about.direct_path if isinstance(part, Neurons | Heads)]
    if units.last in hooks:
        return units.last
    # The last layer's neurons as the read-out gets them, behind their norm.
    is_last = network.neuron_hooks[-1:] == (units.last,)
    return hooks[0] if is_last and len(hooks) == 1 else None


def _effect(taken_out: Removals, dataset: gi.Dataset) -> Tensor:
    """How (label logit - mean logit) falls, to first order, if a unit is removed."""
    network, units = taken_out.network, taken_out.units
    # Of the pairs that a resampled activation may come from, the mean is what is expected.
    means = taken_out if taken_out.mode == "zero" else Removals(network, units.name, "mean")
    changes = first_order_changes(
        network,
        {units.name: units},
        label_above_mean(dataset.clean_labels),
        mode=means.mode,
        reference=means.reference,
    )
    return -changes[units.name][dataset.is_train].mean(dim=0)


def _training(dataset: gi.Dataset) -> tuple[Tensor, Tensor]:
    """The training pairs, and their true labels."""
    return dataset.tokens[dataset.is_train], dataset.clean_labels[dataset.is_train]


_OTHERS: Mapping[str, Callable[[Removals, gi.Dataset], Tensor]] = {
    "norm": _norm,
    "activation": _size,
    "effect": _effect,
    "attribution": _attribution,
}
