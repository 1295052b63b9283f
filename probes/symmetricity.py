"""Gradient symmetricity: whether a network treats its two operands alike."""

import math
import random
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.models.base import nearest_hooks
from probes.surface import Surface, surface

# Pairs in one pass: few enough that what the classes share stays in the cache.
_BATCH = 128
_PUBLISHED, _SEED = 100, 42


@dataclass(frozen=True, eq=False)
class GradientSymmetricity:
    """Cosines between the gradients of a logit with respect to the two operands' embeddings."""

    cosines: Float[Tensor, " triple"]  # in [-1, 1]; NaN where a gradient is zero
    is_sample: bool  # whether they are of some triples (a, b, c) only

    @property
    def value(self) -> float:
        """Mean over the triples that have a cosine; NaN if none has."""
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


def gradient_symmetricity(
    model: Any,
    *,
    triples: str | Int[Tensor, "triple 3"] = "all",
    hook: str = "hook_embed",
) -> GradientSymmetricity:
    """Mean cosine between d logit_c / d E_a and d logit_c / d E_b over triples (a, b, c).

    The logits are raw, c is any class and not only the right one, and each operand has its own
    gradient, also where both share a table. A network that adds the embeddings before it does
    anything else has exactly 1. An untrained network may have any value: see
    :func:`probes.clock_or_pizza`.

    Args:
        model: a network that knows its task, or a surface made for one that does not.
        triples: "all" p^3 of them; "published" for the sample of the paper's code, the first 100
            of all triples in lexicographic order shuffled by ``random.Random(42)``; or triples of
            your own, residues 0..p-1.
        hook: the hook point of the embeddings, [batch, position, d].

    Returns:
        One cosine per triple, in the order of the triples, computed in the network's own dtype.

    Raises:
        ValueError: no such hook point or one without a vector per operand, triples that are none,
            or gradients that are not finite.

    Source: Zhong et al. 2023, arXiv:2306.17844, there over the published sample.
    """
    network = surface(model)
    p, whole = network.p, isinstance(triples, str) and triples == "all"
    if isinstance(triples, Tensor):
        _check_triples(triples, p)
        pairs, classes = triples[:, :2].cpu().long(), triples[:, 2:].cpu().long()
    elif triples == "published":
        chosen = published_triples(p)
        pairs, classes = chosen[:, :2], chosen[:, 2:]
    elif whole:
        pairs, classes = network.pairs, torch.arange(p).expand(p * p, p)
    else:
        raise ValueError(f"triples={triples!r} must be 'all', 'published' or a tensor [triple, 3]")
    size = len(network.batches(_BATCH)[0]) if whole else _BATCH
    batches = zip(pairs.split(size), classes.split(size), strict=True)
    cosines = torch.cat([_cosines(network, *batch, hook).flatten() for batch in batches])
    return GradientSymmetricity(cosines, is_sample=not whole)


def published_triples(p: int) -> Int[Tensor, "triple 3"]:
    """The 100 triples (a, b, c) of the paper's code, or all if there are fewer."""
    order = list(range(p**3))
    random.Random(_SEED).shuffle(order)
    chosen = torch.tensor(order[:_PUBLISHED])
    return torch.stack([chosen // p**2, chosen // p % p, chosen % p], dim=1)


def _cosines(
    network: Surface, pairs: Int[Tensor, "pair 2"], classes: Int[Tensor, "pair c"], hook: str
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
    network: Surface, pairs: Int[Tensor, "pair 2"], hook: str
) -> tuple[Float[Tensor, "pair p"], Float[Tensor, "pair pos d"]]:
    """The residues' logits, and the embeddings that they are a function of."""
    model, embeds = network.model, []
    if hook not in model.hook_dict:
        raise ValueError(
            f"hook={hook!r} is no hook point of {type(model).__name__}; give the one on its "
            f"embeddings. {nearest_hooks(model, hook)}"
        )

    def cut(value: Tensor, hook: HookPoint) -> Tensor:
        embeds.append(value.detach().requires_grad_())
        return embeds[-1]

    logits = network.run(pairs, [(hook, cut)])
    length = max(network.operands) + 1
    if len(embeds) != 1 or embeds[0].ndim != 3 or embeds[0].shape[1] < length:
        raise ValueError(
            f"hook={hook!r} must see embeddings [batch, position, d] of both operands once, got "
            f"{[list(embed.shape) for embed in embeds]}"
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
