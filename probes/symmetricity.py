"""Gradient symmetricity: whether a network treats its two operands alike."""

import math
import random
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.checks import check_int
from grokinterp.models.base import nearest_hooks
from grokinterp.randomness import generator
from grokinterp.short_text import short, short_repr
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe

# Pairs in one pass: few enough that what the classes share stays in the cache.
_BATCH = 128
_PUBLISHED, _SEED = 100, 42
_NOT_APPLICABLE = (
    "each operand has input weights of its own, so the two gradients live in different spaces and "
    "the angle between them depends on the bases chosen there, which the function does not"
)


@short_repr
@dataclass(frozen=True, eq=False)
class GradientSymmetricity:
    """Cosines between the gradients of a logit with respect to the two operands' embeddings."""

    cosines: Float[Tensor, " triple"]  # in [-1, 1]; NaN where a gradient is zero
    is_sample: bool  # whether they are of some triples (a, b, c) only
    not_applicable: str = ""  # why this network has no symmetricity; then there are no cosines

    @property
    def value(self) -> float:
        """Mean over the triples that have a cosine; NaN if none has, or if not applicable."""
        return float(self._defined.mean())

    @property
    def standard_error(self) -> float:
        """Of the value, as an estimate over all triples; 0 if all were asked."""
        if not self.is_sample:
            return 0.0
        defined = self._defined
        return float(defined.std()) / math.sqrt(len(defined)) if len(defined) > 1 else math.nan

    @property
    def n_triples(self) -> int:
        """How many triples the value is a mean of."""
        return len(self._defined)

    @property
    def n_left_out(self) -> int:
        """Triples at which a gradient is zero, so that there is no angle."""
        return len(self.cosines) - len(self._defined)

    @property
    def _defined(self) -> Tensor:
        return self.cosines[~self.cosines.isnan()]


@probe
def gradient_symmetricity(
    model: Any,
    *,
    triples: str | int | Int[Tensor, "triple 3"] = "all",
    seed: int = 0,
    hook: str | None = None,
) -> GradientSymmetricity:
    """Mean cosine between d logit_c / d E_a and d logit_c / d E_b over triples (a, b, c).

    The logits are raw, c is any class and not only the right one, and each operand has its own
    gradient, also where both share a table. A network that adds the embeddings before it does
    anything else has exactly 1. An untrained network may have any value: see
    :func:`probes.clock_or_pizza`.

    A cosine compares vectors of one space. Where each operand has input weights of its own (two
    tables, or one and a concatenation) there are two: a change of basis in the second, undone in
    the weights that read it, leaves the function as it is and gives another cosine. So there the
    symmetricity is not applicable. A network that is not of ``grokinterp.models`` cannot be asked
    whether it is so; that is left to you.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        triples: "all" p^3 of them; "published" for the sample of the paper's code, the first 100
            of all triples in lexicographic order shuffled by ``random.Random(42)``; a number of
            triples drawn at random, with replacement (all, where that is no more); or triples of
            your own, residues 0..p-1.
        seed: draws the random triples.
        hook: the hook point of the embeddings, [batch, position, d]; "hook_embed" by default. Name
            it to measure a network to which the symmetricity is not applicable all the same: at
            this point of this network, in its basis.

    Returns:
        One cosine per triple, in the order of the triples, computed in the network's own dtype.
        Its value is NaN, with a reason, where it is not applicable.

    Raises:
        ValueError: no such hook point or one without a vector per operand, triples that are none,
            or gradients that are not finite.

    Source: Zhong et al. 2023, arXiv:2306.17844, there over the published sample.
    """
    network = network_on_pairs(model)
    p, chosen = network.p, _chosen(triples, network.p, seed)
    whole = chosen is None
    if hook is None and not network.anatomy.operands_share_input:
        return GradientSymmetricity(torch.empty(0), not whole, _NOT_APPLICABLE)
    hook = hook or "hook_embed"
    if chosen is None:
        pairs, classes = network.pairs, torch.arange(p).expand(p * p, p)
    else:
        pairs, classes = chosen[:, :2], chosen[:, 2:]
    size = len(network.batches(_BATCH)[0]) if whole else _BATCH
    batches = zip(pairs.split(size), classes.split(size), strict=True)
    cosines = torch.cat([_cosines(network, *batch, hook).flatten() for batch in batches])
    return GradientSymmetricity(cosines, is_sample=not whole)


def _chosen(
    triples: str | int | Int[Tensor, "triple 3"], p: int, seed: int
) -> Int[Tensor, "triple 3"] | None:
    """The triples that are asked for; None for all of them."""
    if isinstance(triples, Tensor):
        _check_triples(triples, p)
        return triples.cpu().long()
    if triples == "published":
        return published_triples(p)
    if triples == "all":
        return None
    if isinstance(triples, str):
        raise ValueError(
            f"triples={short(triples)} must be 'all', 'published', a number or a tensor [triple, 3]"
        )
    check_int("triples", triples, minimum=2)
    check_int("seed", seed, minimum=0)
    if triples >= p**3:
        return None
    return torch.randint(p, (triples, 3), generator=generator(seed, "triples"))


def published_triples(p: int) -> Int[Tensor, "triple 3"]:
    """The 100 triples (a, b, c) of the paper's code, or all if there are fewer."""
    order = list(range(p**3))
    random.Random(_SEED).shuffle(order)
    chosen = torch.tensor(order[:_PUBLISHED])
    return torch.stack([chosen // p**2, chosen // p % p, chosen % p], dim=1)


def _cosines(
    network: NetworkOnPairs, pairs: Int[Tensor, "pair 2"], classes: Int[Tensor, "pair c"], hook: str
) -> Float[Tensor, "pair c"]:
    """One forward pass for the pairs, then one backward pass per column of classes."""
    columns = []
    with torch.enable_grad():
        logits, embed = _answers(network, pairs, hook)
        for column in classes.to(logits.device).T:
            chosen = logits.gather(1, column[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, embed, retain_graph=True)
            columns.append(_cosine(*gradient[:, network.operands].double().unbind(dim=1)))
    return torch.stack(columns, dim=1).cpu()


def _cosine(
    first: Float[Tensor, "pair d"], second: Float[Tensor, "pair d"]
) -> Float[Tensor, " pair"]:
    norms = first.norm(dim=1) * second.norm(dim=1)
    if not bool(norms.isfinite().all()):
        raise ValueError("the gradients are not finite; the network has diverged")
    return (first * second).sum(dim=1) / norms  # 0 / 0 = NaN: no angle


def _answers(
    network: NetworkOnPairs, pairs: Int[Tensor, "pair 2"], hook: str
) -> tuple[Float[Tensor, "pair p"], Float[Tensor, "pair pos d"]]:
    """The residues' logits, and the embeddings that they are a function of."""
    model, embeds = network.model, []
    if hook not in model.hook_dict:
        raise ValueError(
            f"hook={short(hook)} is no hook point of {type(model).__name__}; give the one on its "
            f"embeddings. {nearest_hooks(model, hook)}"
        )

    if isinstance(model, nn.Module) and any(weight.is_inference() for weight in model.parameters()):
        raise ValueError(
            f"the weights of {type(model).__name__} were made under torch.inference_mode, where "
            "no gradient can pass; make the network outside of it"
        )

    def cut(value: Tensor, hook: HookPoint) -> Tensor:
        embeds.append(value.detach().requires_grad_())
        return embeds[-1]

    logits = network.run(pairs, [(hook, cut)])
    length = max(network.operands) + 1
    if len(embeds) != 1 or embeds[0].ndim != 3 or embeds[0].shape[1] < length:
        raise ValueError(
            f"hook={short(hook)} must see embeddings [batch, position, d] of both operands once, "
            f"got {[list(embed.shape) for embed in embeds]}"
        )
    return logits, embeds[0]


def _check_triples(triples: Tensor, p: int) -> None:
    if triples.is_floating_point() or triples.ndim != 2 or triples.shape[1] != 3:
        raise ValueError(
            "triples must be an integer tensor [triple, 3] of (a, b, c), got "
            f"{triples.dtype} {list(triples.shape)}"
        )
    if triples.numel() and not 0 <= int(triples.min()) <= int(triples.max()) < p:
        raise ValueError(
            f"triples must hold residues 0..{p - 1}, got {int(triples.min())} to "
            f"{int(triples.max())}; take them mod p"
        )
