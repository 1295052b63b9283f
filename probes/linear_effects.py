"""The effects of removing single units to first order: gradient times change of activation."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_choice, check_int
from grokinterp.data import Dataset
from grokinterp.interventions import ABLATIONS
from grokinterp.interventions.chosen import Selection
from grokinterp.interventions.frequencies import FrequencyHook
from grokinterp.losses import LOSSES
from grokinterp.models.base import HookedModel
from grokinterp.models.units import FREQUENCIES, WORDS, Units
from grokinterp.models.unnamed import unnamed
from grokinterp.short_text import one_line
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe
from probes.removed_at_end import replacement
from probes.unit_effects import check_same_p
from probes.unit_periodicity import rank_agreement


class EffectAgreement(NamedTuple):
    """How alike two measures of the units' effects are; NaN with fewer than 3, or equal values.

    Examples:
        >>> import torch
        >>> from probes import effect_agreement
        >>> exact = torch.tensor([0.1, 0.2, 0.4, 0.9])
        >>> agreement = effect_agreement(exact**2, exact)
        >>> round(agreement.spearman, 3), agreement.pearson < 1.0, agreement.n
        (1.0, True, 4)
    """

    spearman: float  # of their ranks
    pearson: float  # of their values
    n: int  # units with both values

    def __repr__(self) -> str:
        return one_line(self)


@probe
def linear_effects(
    model: Any, dataset: Dataset, *, mode: str = "zero", loss: str = "mse", seed: int = 0
) -> Mapping[str, Mapping[str, Float[Tensor, " unit"]]]:
    """An estimate of every unit's effect on the loss, from one forward and one backward pass.

    The estimate is the gradient of the loss times the change that removes the activation: the
    change of the loss to first order. :func:`probes.exact_effects` measures what it estimates, and
    :func:`probes.effect_agreement` how well it does. Also known as attribution patching.

    Args:
        model: any network that lists its units.
        dataset: all pairs, with the labels given in training.
        mode: what a removed activation becomes, as for ``gi.ablate``: "zero", its "mean" over all
            pairs, or that of another pair ("resample").
        loss: one of ``grokinterp.losses``.
        seed: of the other pairs in "resample".

    Returns:
        By name of the units and by subset, such as ``effects["heads.0"]["test"]``: change of the
        mean loss, float64, positive where removal does harm. NaN for an empty subset.

    Raises:
        ValueError: a dataset of another modulus.

    Source: Nanda 2023, "Attribution patching: activation patching at industrial scale"; Syed et
    al. 2023, arXiv:2310.10348.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import linear_effects
        >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
        >>> model = gi.build_model(config.replace({"data.p": 13}))
        >>> effects = linear_effects(model, gi.make_dataset(gi.DataConfig(p=13)))
        >>> {name: tuple(by_subset["test"].shape) for name, by_subset in effects.items()}
        {'frequencies': (6,), 'heads.0': (4,), 'neurons.0': (64,)}
    """
    check_choice("mode", mode, ABLATIONS)
    check_choice("loss", loss, LOSSES)
    check_int("seed", seed, minimum=0)
    network = network_on_pairs(model)
    check_same_p(network, dataset)
    named = {
        name: units
        for name, units in network.units.items()
        if name != FREQUENCIES or isinstance(network.model, HookedModel)
    }

    def losses(logits: Tensor) -> Tensor:
        return LOSSES[loss].per_example(logits.double(), dataset.labels.to(logits.device))

    by_pair = first_order_changes(network, named, losses, mode=mode, seed=seed)
    return {
        name: {part: change[mask].mean(dim=0) for part, mask in dataset.masks.items()}
        for name, change in by_pair.items()
    }


def first_order_changes(
    network: NetworkOnPairs,
    named: Mapping[str, Units],
    quantity: Callable[[Tensor], Tensor],
    *,
    mode: str = "zero",
    seed: int = 0,
    reference: Mapping[str, Tensor] | None = None,
) -> dict[str, Float[Tensor, "pair unit"]]:
    """How a number of each pair changes, to first order, if a unit is removed; float64, on the CPU.

    Args:
        network: the network.
        named: its units, by name.
        quantity: from the logits of all pairs to one number for each pair, such as its loss.
        mode: what a removed activation becomes.
        seed: of the other pairs in "resample".
        reference: what activations become, by hook point, in the place of what ``mode`` says.
    """
    if not named:
        raise ValueError(
            f"{type(network.model).__name__} has no units whose effects could be computed."
            f"{unnamed(network.model, 'neurons')}"
        )
    hooks = list(dict.fromkeys(hook for units in named.values() for hook in units.hooks))
    values, gradients = _with_gradients(network, hooks, quantity)
    found = {}
    with torch.no_grad():
        for name, units in named.items():
            if name == FREQUENCIES:
                changed = _of_frequencies(network, units, values, gradients, mode, seed)
            else:
                removed = reference or {h: replacement(values[h], mode, seed) for h in units.hooks}
                changed = _of_activations(network, units, values, gradients, removed)
            found[name] = changed.double().cpu()
    return found


def label_above_mean(labels: Int[Tensor, " pair"]) -> Callable[[Tensor], Tensor]:
    """From all pairs' logits to each pair's (label logit - mean logit)."""

    def quantity(logits: Tensor) -> Tensor:
        at_label = logits.gather(1, labels[:, None].long().to(logits.device))[:, 0]
        return at_label - logits.mean(dim=1)

    return quantity


@probe
def effect_agreement(
    linear: Float[Tensor, " unit"], exact: Float[Tensor, " unit"]
) -> EffectAgreement:
    """Spearman's and Pearson's correlations of two effects over the units that have both.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import effect_agreement, exact_effects, linear_effects
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))
        >>> linear = linear_effects(run.model, run.dataset)["neurons.0"]["test"]
        >>> exact = exact_effects(run.model, run.dataset, "neurons.0").loss["test"]
        >>> effect_agreement(linear, exact).spearman > 0.7
        True
    """
    linear, exact = linear.detach(), exact.detach()
    both = ~(linear.isnan() | exact.isnan())
    x, y = (effect[both].double().cpu().numpy() for effect in (linear, exact))
    spearman, n = rank_agreement(linear, exact)
    if math.isnan(spearman):
        return EffectAgreement(math.nan, math.nan, n)
    return EffectAgreement(spearman, float(np.corrcoef(x, y)[0, 1]), n)


def _with_gradients(
    network: NetworkOnPairs, hooks: list[str], quantity: Callable[[Tensor], Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Activations at hook points, and the gradients there of each pair's number.

    In evaluation mode a pair's number depends on its own activations alone, so that the gradient of
    the sum over pairs holds those of all. Several calls of a module are another axis behind pairs.
    """
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str, activation: Tensor, hook: HookPoint) -> Tensor:
        if not activation.requires_grad:  # of a network whose weights are frozen
            activation = activation.detach().requires_grad_()
        seen.setdefault(name, []).append(activation)
        return activation

    with torch.enable_grad():
        logits = network.run(network.pairs, [(name, partial(keep, name)) for name in hooks])
        total = quantity(logits).sum()
        calls = [activation for calls in seen.values() for activation in calls]
        gradients = iter(torch.autograd.grad(total, calls, materialize_grads=True))
    values = {hook: _joined([one.detach() for one in calls]) for hook, calls in seen.items()}
    return values, {hook: _joined([next(gradients) for _ in seen[hook]]) for hook in seen}


def _joined(calls: list[Tensor]) -> Tensor:
    return calls[0] if len(calls) == 1 else torch.stack(calls, dim=1)


def _of_activations(
    network: NetworkOnPairs,
    units: Units,
    values: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    removed: Mapping[str, Tensor],
) -> Float[Tensor, "pair unit"]:
    """Estimated change of each pair's loss, added up over positions, steps, calls and d_head."""
    total = torch.zeros(len(network.pairs), units.count, dtype=torch.float64)
    for hook in units.hooks:
        change = (removed[hook].double() - values[hook].double()) * gradients[hook].double()
        total += reduce(change.movedim(units.axis, 1), "pair unit ... -> pair unit", "sum").cpu()
    return total


def _of_frequencies(
    network: NetworkOnPairs,
    units: Units,
    values: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    mode: str,
    seed: int,
) -> Float[Tensor, "pair unit"]:
    (hook,) = units.hooks
    found = []
    for i in range(units.count):
        removal = FrequencyHook.ablation(Selection(WORDS[FREQUENCIES], [i]), mode, seed)
        removed = removal.applied(network.model, network.pairs, values[hook])
        found.append(((removed - values[hook]) * gradients[hook]).flatten(1).sum(dim=1))
    return torch.stack(found, dim=1)
