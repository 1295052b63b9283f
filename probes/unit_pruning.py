"""What a network still knows while its units are taken out one by one: any units, any network.

Where the logits are a sum over the units, every removal is scored by :func:`probes.pruning_curve`.
Elsewhere some are chosen: an even grid first, then always the middle of the interval over which
accuracy changes most. Each of these is a forward pass under hooks, but for units behind which there
is nothing but a layer norm and the read-out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.checks import check_choice, check_int
from grokinterp.data import Dataset
from grokinterp.interventions import ABLATIONS, FwdHooks, ablate
from grokinterp.interventions.chosen import Chosen
from grokinterp.losses import LOSSES
from grokinterp.models.base import HookedModel
from grokinterp.models.units import FREQUENCIES
from grokinterp.short_text import short_repr
from probes.direct_output import as_built
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe
from probes.pruning_curve import check_order, is_additive, pruning_curve
from probes.removed_at_end import Without, removed_at_end
from probes.scores import scores_by_subset
from probes.unit_periodicity import units_of

REMOVALS = 60
_COARSE = 3  # one in so many removals belongs to the even grid


@short_repr
@dataclass(frozen=True, eq=False)
class PruningCurve:
    """Accuracy and loss after some removals, subsets as in ``grokinterp.data.SUBSETS``.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> from probes import unit_pruning_curve
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> curve = unit_pruning_curve(model, data, torch.arange(60))
        >>> curve.removed[:4].tolist(), curve.accuracy.shape
        ([0, 1, 2, 3], torch.Size([61, 5]))
    """

    removed: Int[Tensor, " point"]  # how many units are gone, rising from 0 to all
    accuracy: Float[Tensor, "point subset"]  # float64; NaN for an empty subset
    loss: Float[Tensor, "point subset"]


class Removals:
    """A network without some of its units, prepared once for many choices of them.

    Args:
        network: the network.
        unit: name of the units.
        mode: what a removed activation becomes: "zero", its "mean" over all pairs, or that of
            another pair ("resample"). Both are taken from the intact network.
        seed: of the other pairs.

    Raises:
        ValueError: the network lacks these units.
    """

    def __init__(self, network: NetworkOnPairs, unit: str, mode: str, seed: int = 0) -> None:
        check_choice("mode", mode, ABLATIONS)
        check_int("seed", seed, minimum=0)
        self.network, self.units = network, units_of(network, unit)
        self.mode, self.seed = mode, seed
        self.reference: dict[str, Tensor] | None = None
        self._whole: Tensor | None = None
        if mode != "zero" and self.units.name != FREQUENCIES:
            self._whole, self.reference = network.run_with_cache(self.units.hooks)
            if mode == "mean":  # one example is enough: its mean is itself
                self.reference = {
                    hook: value.mean(dim=0, keepdim=True) for hook, value in self.reference.items()
                }

    def hooks(self, chosen: Chosen) -> FwdHooks:
        """Hooks that take some units out, on a batch of all pairs."""
        units = self.units
        # Networks from elsewhere do not know our names of units; heads are named by hook point.
        named = isinstance(self.network.model, HookedModel) or units.axis == -2
        return ablate(
            chosen,
            self.mode,
            unit=units.name if named else None,
            hook=None if named else units.last,
            reference=self.reference,
            seed=self.seed,
        )

    def logits(
        self, chosen: Bool[Tensor, " unit"] | Int[Tensor, " some"]
    ) -> Float[Tensor, "pair p"]:
        """The residues' logits of all pairs without some units; float64.

        From a forward pass, or from one for all choices, see :mod:`probes.removed_at_end`.
        """
        without = self._without()
        with torch.no_grad():
            if without is not None:
                return without(chosen).double().cpu()
            return self.network.run(self.network.pairs, self.hooks(chosen)).double().cpu()

    def whole(self) -> Float[Tensor, "pair p"]:
        """The residues' logits with all units, computed as those without some are; float64."""
        if self._whole is None or self._without() is not None:
            return self.logits(torch.tensor([], dtype=torch.int64))
        return self._whole.double().cpu()

    def _without(self) -> Without | None:
        # Hooks that were added since may look at what the units do.
        return self._at_end if as_built(self.network) else None

    @cached_property
    def _at_end(self) -> Without | None:
        return removed_at_end(self.network, self.units, self.mode, self.seed)


@probe
def unit_pruning_curve(
    model: Any,
    dataset: Dataset,
    order: Int[Tensor, " unit"],
    *,
    unit: str = "neurons.0",
    loss: str = "mse",
    mode: str = "zero",
    seed: int = 0,
    removals: int = REMOVALS,
) -> PruningCurve:
    """Accuracy and loss on each subset after removing the first units of an order.

    Args:
        model: any network that lists its units.
        dataset: all pairs, with the labels given in training.
        order: a permutation of the units, the first to go first.
        unit: a name that ``model.list_units()`` lists.
        loss: one of ``grokinterp.losses``.
        mode: what a removed activation becomes, as for ``gi.ablate``: "zero", its "mean" over all
            pairs, or that of another pair ("resample"). Both are taken from the intact network.
        seed: of the other pairs in "resample".
        removals: at most so many forward passes with some units removed. Where the logits
            are a sum over the units, all removals are scored without them.

    Raises:
        ValueError: the network lacks these units; an order that is no permutation; a dataset of
            another modulus.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import unit_periodicity, unit_pruning_curve
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> ipr = unit_periodicity(run.model).scores["ipr"]
        >>> order = ipr.nan_to_num(-1.0).argsort()  # dead units, which have none, first
        >>> curve = unit_pruning_curve(run.model, run.dataset, order)
        >>> _, test, changed, _, _ = curve.accuracy[curve.removed == 50][0].tolist()
        >>> test > 0.9, changed < 0.75  # without the 50 least periodic neurons
        (True, True)
    """
    pruner = Pruner(network_on_pairs(model), dataset, unit, loss, mode, seed, removals)
    return pruner.curve(order)


class Pruner:
    """:func:`unit_pruning_curve` for several orders of the same units."""

    def __init__(
        self,
        network: NetworkOnPairs,
        dataset: Dataset,
        unit: str,
        loss: str,
        mode: str,
        seed: int = 0,
        removals: int = REMOVALS,
    ) -> None:
        check_choice("loss", loss, LOSSES)
        check_int("removals", removals, minimum=2)
        self._network, self._dataset, self._unit = network, dataset, unit
        self._loss, self._mode, self._seed, self._removals = loss, mode, seed, removals
        self._width = units_of(network, unit).count
        self.taken_out = Removals(network, unit, mode, seed)
        self._ends: dict[int, Tensor] = {}  # scores of the whole network, and of that without units

    def curve(self, order: Int[Tensor, " unit"]) -> PruningCurve:
        """The curve of one order."""
        check_order(order, self._width)
        if is_additive(self._network, self._unit):
            accuracy, loss = pruning_curve(
                self._network,
                self._dataset,
                order,
                unit=self._unit,
                loss=self._loss,
                mode=self._mode,
                seed=self._seed,
            )
            return PruningCurve(torch.arange(self._width + 1), accuracy, loss)
        return refined_curve(partial(self._score, order), self._width, self._removals)

    def _score(self, order: Tensor, removed: int) -> Float[Tensor, "2 subset"]:
        if removed in self._ends:
            return self._ends[removed]
        out = self.taken_out
        logits = out.logits(order[:removed]) if removed else out.whole()
        scores = scores_by_subset(logits, self._dataset, kind=self._loss)
        if removed in (0, self._width):
            self._ends[removed] = scores
        return scores


def refined_curve(
    score: Callable[[int], Float[Tensor, "2 subset"]], width: int, removals: int
) -> PruningCurve:
    """A curve that is scored most densely where accuracy changes.

    Args:
        score: accuracy and loss on each subset after so many removals.
        width: number of units.
        removals: how many numbers above 0 are scored at most.
    """
    coarse = min(width, max(2, removals // _COARSE))
    counts = np.unique(np.linspace(0, width, coarse + 1).round().astype(int)).tolist()
    found = {removed: score(removed) for removed in counts}
    while len(found) <= min(removals, width):
        counts = sorted(found)
        gaps = [(a, b) for a, b in pairwise(counts) if b - a > 1]
        a, b = max(gaps, key=lambda gap: _change(found[gap[0]], found[gap[1]], gap))
        middle = (a + b) // 2
        found[middle] = score(middle)
    counts = sorted(found)
    scores = torch.stack([found[removed] for removed in counts], dim=1)
    return PruningCurve(torch.tensor(counts), *scores)


def _change(one: Tensor, other: Tensor, gap: tuple[int, int]) -> tuple[float, int]:
    """How much the accuracy of any subset changes, and over how many removals."""
    return float((other[0] - one[0]).abs().nan_to_num(0.0).max()), gap[1] - gap[0]
