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
from grokinterp.models.unnamed import unnamed
from grokinterp.randomness import generator
from grokinterp.short_text import short, short_repr
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe

# Pairs per forward pass: few enough that its activations stay in the cache for all backward passes.
_BATCH = 128
_PUBLISHED, _SEED = 100, 42
_NOT_APPLICABLE = (
    "each operand has input weights of its own, so the two gradients live in different spaces, and "
    "the angle between them depends on the choice of basis in each, which the function does not"
)

_NOT_KNOWN = (
    "swapping the operands changes the logits, so each may have input weights of its own; if both "
    'come from one table, give hook="hook_embed"'
)


@short_repr
@dataclass(frozen=True, eq=False)
class GradientSymmetricity:
    """Cosines between a logit's gradients with respect to the two operands' embeddings.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import gradient_symmetricity
        >>> model = gi.HookedTransformer(gi.TransformerConfig.zhong2023(d_model=16), p=7)
        >>> result = gradient_symmetricity(model, triples=50)
        >>> result.cosines.shape, result.is_sample, result.standard_error > 0
        (torch.Size([50]), True, True)
        >>> two_tables = gradient_symmetricity(gi.closed_form_mlp(p=7, d_mlp=30))
        >>> two_tables.not_applicable.split(",")[0]
        'each operand has input weights of its own'
    """

    cosines: Float[Tensor, " triple"]  # in [-1, 1]; NaN where a gradient is zero
    is_sample: bool  # whether only some of all triples (a, b, c) were used
    not_applicable: str = ""  # the reason, if this network has no symmetricity; else empty

    @property
    def value(self) -> float:
        """Mean over the triples that have a cosine; NaN if there are none."""
        return float(self._defined.mean())

    @property
    def standard_error(self) -> float:
        """Of :attr:`value`, as an estimate of the mean over all triples; 0 if it is over all."""
        if not self.is_sample:
            return 0.0
        defined = self._defined
        return float(defined.std()) / math.sqrt(len(defined)) if len(defined) > 1 else math.nan

    @property
    def n_triples(self) -> int:
        """Number of triples in the mean."""
        return len(self._defined)

    @property
    def n_left_out(self) -> int:
        """Number of triples without a cosine, because a gradient is zero."""
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

    The logit is that of any class c before the softmax, not only of the right one. The gradients
    are with respect to each operand's embedding, even if both come from one table. A network that
    adds the embeddings first has exactly 1, as a pizza has nearly; a clock has less. An untrained
    network can have any value, see :func:`probes.clock_or_pizza`.

    If each operand has input weights of its own (two tables, or a concatenation), the gradients
    live in different spaces. A change of basis in one of them, undone in the weights that read it,
    would change the cosine but not the function, so the symmetricity is not applicable. For a
    network that is not of ``grokinterp.models``, you must check this yourself.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        triples: "all" p^3 of them; "published", the sample of the paper's code: the first 100 of
            all triples in lexicographic order after ``random.Random(42).shuffle``; a number of
            triples to draw at random with replacement (all, if there are not more); or your own
            triples of residues 0..p-1.
        seed: of the random triples.
        hook: the hook point of the embeddings, [batch, position, d]; "hook_embed" by default. If
            given, the cosines are measured there even where they are not applicable.

    Returns:
        One cosine per triple, in the order of the triples, computed in the network's dtype. Where
        the symmetricity is not applicable, a reason and no cosines.

    Raises:
        ValueError: there is no such hook point or no vector per operand at it, the triples are
            invalid, or gradients are not finite.

    Source: Zhong et al. 2023, arXiv:2306.17844, there over the published sample.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import gradient_symmetricity
        >>> config = gi.EmbeddingMLPConfig.zhong2023(d_embed=8, hidden=(16,))
        >>> adds_first = gi.HookedEmbeddingMLP(config, p=7)
        >>> round(gradient_symmetricity(adds_first).value, 3)
        1.0
        >>> transformer = gi.HookedTransformer(gi.TransformerConfig.zhong2023(d_model=16), p=7)
        >>> gradient_symmetricity(transformer).value < 0.9
        True
    """
    network = network_on_pairs(model)
    p, chosen = network.p, _chosen(triples, network.p, seed)
    whole = chosen is None
    if hook is None and not network.anatomy.operands_share_input:
        reason = _NOT_KNOWN if len(network.anatomy.input_tables) == 1 else _NOT_APPLICABLE
        return GradientSymmetricity(torch.empty(0), not whole, reason)
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
    """The triples to use; None for all of them."""
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
    """The 100 triples (a, b, c) of the paper's code; all triples if there are fewer."""
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
    """Logits of the residues, and the embeddings of which they are a function."""
    model, embeds = network.model, []
    if hook not in model.hook_dict:
        raise ValueError(
            f"hook={short(hook)} is no hook point of {type(model).__name__}; give the one on its "
            f"embeddings. {nearest_hooks(model, hook)}.{unnamed(model, 'first')}"
        )
    if isinstance(model, nn.Module) and any(weight.is_inference() for weight in model.parameters()):
        raise ValueError(
            f"the weights of {type(model).__name__} were made under torch.inference_mode, so "
            "gradients cannot be computed; make the network outside of it"
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
