"""Key frequencies: which frequencies the logits use, and the scores with and without them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.basis import Basis
from grokinterp.checks import check_number
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation, operation_table
from probes.logit_spectrum import LogitSpectrum, check_logits, logit_spectrum, model_logit_spectrum
from probes.network_on_pairs import network_on_pairs
from probes.probe import probe
from probes.scores import accuracy, loss


@probe
def key_frequencies(
    spectrum: LogitSpectrum, *, relative: float = 0.01, above_chance: float = 20.0
) -> list[int]:
    """The frequencies with a large share of the logits' variance, strongest first; may be empty.

    They are read off the logits because embeddings mislead: those of a ReLU network also have 2k
    for each k.

    Args:
        spectrum: of the logits, in the task's basis.
        relative: a key frequency's share is at least this times the largest share; 0.01 means a
            tenth of the largest amplitude.
        above_chance: its share is also at least this times ``spectrum.chance``. Untrained networks
            stay below about 5. A network that only memorised may exceed 20: check its accuracy.

    Raises:
        ValueError: the logits do not depend on the class, or are not finite.

    Examples:
        >>> import torch
        >>> from probes import key_frequencies, logit_spectrum, task_basis
        >>> pairs = torch.cartesian_prod(torch.arange(13), torch.arange(13))
        >>> angle = 2 * torch.pi * (pairs.sum(dim=1)[:, None] - torch.arange(13)) / 13
        >>> logits = 2 * (5 * angle).cos() + (3 * angle).cos()
        >>> key_frequencies(logit_spectrum(logits, task_basis("addition", 13)))
        [5, 3]
    """
    check_number("relative", relative, minimum=0.0)
    check_number("above_chance", above_chance, minimum=0.0)
    shares = spectrum.shares
    if bool(shares.isnan().any()):
        raise ValueError(
            "the logits have no spectrum: they are the same for every class, or not finite; "
            "key frequencies need a network that answers"
        )
    falling = shares.argsort(descending=True)
    least = max(relative * float(shares.max()), above_chance * spectrum.chance)
    return spectrum.frequencies[falling[shares[falling] >= least]].tolist()


@probe
def restricted_logits(
    logits: Float[Tensor, "pair p"], basis: Basis, frequencies: Iterable[int]
) -> Float[Tensor, "pair p"]:
    """The part of the logits that is a constant plus cos and sin of w (a + b), w = 2 pi k / period.

    Each class's logit is projected, over all pairs, on the constant and the two functions of each
    frequency k. a and b stand for places in the basis (-b for subtraction, logarithms for
    multiplication). Pairs with a residue that has no place get NaN. float64.

    Raises:
        ValueError: a frequency outside 1 .. period // 2, or logits that are not [p * p, p].

    Source: Nanda et al. 2023, arXiv:2301.05217, section 5.1 (restricted loss).

    Examples:
        >>> import torch
        >>> from probes import restricted_logits, task_basis
        >>> pairs = torch.cartesian_prod(torch.arange(13), torch.arange(13))
        >>> angle = 2 * torch.pi * (pairs.sum(dim=1)[:, None] - torch.arange(13)) / 13
        >>> two, five = (2 * angle).cos(), (5 * angle).cos()
        >>> part = restricted_logits(two + five, task_basis("addition", 13), [5])
        >>> torch.allclose(part, five.double(), atol=1e-4)
        True
    """
    logits = check_logits(logits, basis)
    kept = [0, *basis.check_frequencies(frequencies)]
    x = torch.arange(basis.period)
    partner = (x[:, None] - x) % basis.period  # [sum, x]: the y with x + y = sum
    by_sum = logits[basis.pairs[x, partner]].mean(dim=1)  # [sum, class]
    modes = torch.fft.rfft(by_sum, dim=0)
    only = torch.zeros_like(modes)
    only[kept] = modes[kept]
    by_sum = torch.fft.irfft(only, n=basis.period, dim=0)
    restricted = torch.full_like(logits, torch.nan)
    restricted[basis.pairs] = by_sum[(x[:, None] + x) % basis.period]
    return restricted


@probe
def excluded_logits(
    logits: Float[Tensor, "pair p"], basis: Basis, frequencies: Iterable[int]
) -> Float[Tensor, "pair p"]:
    """The logits without cos and sin of w (a + b) at the given frequencies; the constant stays.

    The removed part is that of :func:`restricted_logits`, less its constant.

    Source: Nanda et al. 2023, arXiv:2301.05217, section 5.1 (excluded loss).

    Examples:
        >>> import torch
        >>> from probes import excluded_logits, task_basis
        >>> pairs = torch.cartesian_prod(torch.arange(13), torch.arange(13))
        >>> angle = 2 * torch.pi * (pairs.sum(dim=1)[:, None] - torch.arange(13)) / 13
        >>> two, five = (2 * angle).cos(), (5 * angle).cos()
        >>> rest = excluded_logits(two + five, task_basis("addition", 13), [5])
        >>> torch.allclose(rest, two.double(), atol=1e-4)
        True
    """
    removed = restricted_logits(logits, basis, frequencies)
    return check_logits(logits, basis) - removed + restricted_logits(logits, basis, [])


@short_repr
@dataclass(frozen=True)
class FrequencyScores:
    """Accuracy and loss of the logits, of their key frequencies alone, and of the rest.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_frequency_scores
        >>> scores = model_frequency_scores(gi.closed_form_mlp(p=13, d_mlp=60))
        >>> list(scores.accuracy), scores.n_pairs
        (['full', 'restricted', 'excluded'], 169)
    """

    accuracy: dict[str, float]  # keys "full", "restricted" and "excluded"
    loss: dict[str, float]  # the same keys
    n_pairs: int  # pairs scored: in the mask, and with a place in the basis


@probe
def frequency_scores(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    basis: Basis,
    frequencies: Iterable[int],
    *,
    mask: Bool[Tensor, " pair"] | None = None,
    kind: str = "cross_entropy",
) -> FrequencyScores:
    """Accuracy and loss with only the key frequencies (restricted) and without them (excluded).

    If a network solves the task by its key frequencies, restricted scores are as good as the full
    ones and excluded scores are at chance.

    Args:
        logits: of all p * p pairs in lexicographic order.
        labels: of the same pairs.
        basis: of the task.
        frequencies: the key frequencies, each in 1 .. period // 2.
        mask: pairs to score, all by default. The projection always uses all pairs. Pairs with a
            residue that has no place (0 in multiplication and division) are never scored.
        kind: of loss, "cross_entropy" (nats) or "mse".

    Raises:
        ValueError: a frequency outside 1 .. period // 2, or logits that are not [p * p, p].

    Source: Nanda et al. 2023, arXiv:2301.05217, section 5.1.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import frequency_scores, task_basis
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> basis, logits = task_basis("addition", 13), model(data.tokens)
        >>> scores = frequency_scores(logits, data.clean_labels, basis, basis.frequencies.tolist())
        >>> scores.accuracy["restricted"], scores.accuracy["excluded"] < 0.2
        (1.0, True)
    """
    frequencies = basis.check_frequencies(frequencies)
    variants = {
        "full": check_logits(logits, basis),
        "restricted": restricted_logits(logits, basis, frequencies),
        "excluded": excluded_logits(logits, basis, frequencies),
    }
    scored = torch.zeros(basis.p**2, dtype=torch.bool)
    scored[basis.pairs] = True
    if mask is not None:
        scored &= mask.cpu()
    labels = labels.cpu()
    return FrequencyScores(
        accuracy={name: accuracy(values, labels, scored) for name, values in variants.items()},
        loss={name: loss(values, labels, scored, kind=kind) for name, values in variants.items()},
        n_pairs=int(scored.sum()),
    )


@probe
def model_key_frequencies(model: Any, operation: Operation | None = None) -> list[int]:
    """:func:`probes.key_frequencies` of a network, by its logits.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_key_frequencies
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)
        >>> sorted(model_key_frequencies(model))
        [1, 2, 3, 4, 5, 6]
        >>> with gi.filtered_embedding(model, [2, 3]):
        ...     print(sorted(model_key_frequencies(model)))
        [2, 3]
    """
    return key_frequencies(model_logit_spectrum(model, operation))


@probe
def model_frequency_scores(
    model: Any,
    operation: Operation | None = None,
    *,
    frequencies: Iterable[int] | None = None,
    mask: Bool[Tensor, " pair"] | None = None,
    kind: str = "cross_entropy",
) -> FrequencyScores:
    """:func:`probes.frequency_scores` of a network against the task's true labels.

    Args:
        model: a network that knows its task, or a ``NetworkOnPairs`` of one that does not.
        operation: the task; by default the one that the network was built for.
        frequencies: key frequencies; chosen by :func:`probes.key_frequencies` by default.
        mask: pairs to score, in lexicographic order; all by default.
        kind: of loss.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_frequency_scores
        >>> loss = model_frequency_scores(gi.closed_form_mlp(p=13, d_mlp=60)).loss
        >>> loss["restricted"] < loss["excluded"]  # it solves the task by its key frequencies
        True
    """
    network = network_on_pairs(model)
    basis, logits = network.basis(operation), network.logits()
    if frequencies is None:
        frequencies = key_frequencies(logit_spectrum(logits, basis))
    labels = operation_table(network.operation(operation), network.p).flatten()
    return frequency_scores(logits, labels, basis, frequencies, mask=mask, kind=kind)
