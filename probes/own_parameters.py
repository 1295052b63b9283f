"""Which entries of a network's parameters are used by some of its units and by nothing else."""

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokinterp.interventions import FwdHooks, ablate
from grokinterp.models.base import HookedModel
from probes.network_on_pairs import network_on_pairs
from probes.unit_pruning import Removals

_DRAWS = 3  # random networks on which dependence is measured
_PARTNERS = 8  # second operands that each first operand is tried with


def own_parameters(
    taken_out: Removals, groups: Sequence[Bool[Tensor, " unit"]]
) -> list[Mapping[str, Bool[Tensor, "..."]]]:
    """For each group of units, which entries reach the logits only by way of units in it.

    Measured on networks of this architecture with random weights, in which nothing is dead or
    saturated: an entry that gets no gradient from the logits in any of them cannot reach them.
    The pairs are those with (b - a) mod p below 8, in which every residue is either operand.

    Args:
        taken_out: the network, its units, and what a removed activation becomes.
        groups: masks over the units.

    Returns:
        One mapping per group, a mask by the parameter's name.
    """
    drawn = copy.deepcopy(taken_out.network.model).double().requires_grad_(True)
    drawn.reset_hooks()
    rng = torch.Generator().manual_seed(0)
    names, weights = zip(*drawn.named_parameters(), strict=True)
    a, b = taken_out.network.pairs.T
    pairs = taken_out.network.pairs[(b - a) % taken_out.network.p < _PARTNERS]
    # With all units, and without each group: whether an entry reaches the logits.
    reached = [[torch.zeros_like(w, dtype=torch.bool) for w in weights] for _ in (0, *groups)]
    for draw in range(_DRAWS):
        with torch.no_grad():
            for weight in weights:
                random = torch.randn(weight.shape, generator=rng, dtype=torch.float64)
                random = random.abs() if draw % 2 == 0 else random  # all positive: no ReLU is off
                weight.copy_(random / max(1, weight.shape[0]) ** 0.5)
        removals = [[], *(_replaced(taken_out, group, len(pairs), rng) for group in groups)]
        for found, hooks in zip(reached, removals, strict=True):
            for mask, gradient in zip(found, _gradients(drawn, pairs, hooks, rng), strict=True):
                mask |= gradient != 0
    whole, *without = reached
    return [
        {name: used & ~left for name, used, left in zip(names, whole, one, strict=True)}
        for one in without
    ]


def _replaced(
    taken_out: Removals, gone: Bool[Tensor, " unit"], examples: int, rng: torch.Generator
) -> FwdHooks:
    """Hooks that take units out; where they would insert means, insert random numbers."""
    if taken_out.reference is None:
        return taken_out.hooks(gone)
    noise = {
        hook: torch.randn((examples, *mean.shape[1:]), generator=rng)
        for hook, mean in taken_out.reference.items()
    }
    return ablate(gone, "resample", unit=taken_out.units.name, reference=noise)


def _gradients(
    model: HookedModel, pairs: Int[Tensor, "pair 2"], hooks: FwdHooks, rng: torch.Generator
) -> Sequence[Tensor]:
    """Gradients of a random signed sum of all logits, one for each parameter."""
    with torch.enable_grad():
        logits = network_on_pairs(model).run(pairs, hooks)
        signs = torch.randn(logits.shape, generator=rng, dtype=torch.float64).to(logits)
        total = (logits * signs).sum()
        return torch.autograd.grad(total, list(model.parameters()), materialize_grads=True)
