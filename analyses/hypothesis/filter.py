"""The causal tests of Hypothesis 2.2: logits with only some frequencies in the embedding.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.hypothesis.evidence import Question, find_key_frequencies
    >>> from analyses.hypothesis.filter import chosen_frequencies, filtered_logits
    >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
    >>> question = Question(solution, "addition", None, draws=3, seed=0)
    >>> key = find_key_frequencies(question, question.network.logits())
    >>> chosen = chosen_frequencies(question, None, key)
    >>> question.accuracies(filtered_logits(question, chosen, keep=True))[2]  # over all pairs
    1.0
    >>> question.accuracies(filtered_logits(question, chosen, keep=False))[2] < 0.2
    True
"""

from collections.abc import Iterator

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.hypothesis.evidence import Question
from grokinterp.frequencies import replaced_embedding
from grokinterp.randomness import generator
from probes import power_spectrum
from probes.embedding import real_energy

DOMINANT = 0.05  # a frequency with a larger share of the variance is dominant

Choice = Bool[Tensor, "frequency feature"]


def chosen_frequencies(
    question: Question, frequencies: list[int] | None, key: list[int]
) -> dict[str, Choice]:
    """The key frequencies of the embedding, by name of the table.

    A frequency is dominant if its share of the variance over residues is above ``DOMINANT`` and
    above an even share (the larger bound for small moduli). If both operands share a table, its key
    frequencies are those that are dominant in the whole table and those of the logits. If each
    operand has its own table, as in an MLP on one-hot pairs, the features are inputs of single
    neurons, which may differ in frequency; a feature's key frequencies are those dominant in it.

    Args:
        question: the network and its task.
        frequencies: the key frequencies to use instead, for all features.
        key: key frequencies of the logits.

    Returns:
        A mask [frequency, feature] for each table.
    """
    tables, basis = question.network.embeddings, question.basis
    numbers = basis.frequencies[:, None]

    def is_one_of(wanted: list[int]) -> Bool[Tensor, "frequency 1"]:
        return torch.isin(numbers, torch.tensor(wanted, dtype=numbers.dtype))

    def in_all_features(mask: Bool[Tensor, "frequency 1"], table: Tensor) -> Choice:
        return repeat(mask, "frequency 1 -> frequency feature", feature=table.shape[1])

    if frequencies is not None:
        return {name: in_all_features(is_one_of(frequencies), t) for name, t in tables.items()}
    least = max(DOMINANT, (1 + 1e-9) / len(numbers))
    chosen: dict[str, Choice] = {}
    for name, table in tables.items():
        rows = rearrange(table[basis.order], "residue feature -> feature residue")
        # With its first value subtracted, a constant feature is exactly zero, without rounding.
        energy = real_energy(power_spectrum(rows - rows[:, :1]), basis.period)
        if len(tables) == 1:
            energy = reduce(energy, "feature frequency -> 1 frequency", "sum")
        is_own = (energy > least * energy.sum(dim=1, keepdim=True)).T
        if len(tables) == 1:
            is_own = in_all_features(is_own | is_one_of(key), table)
        chosen[name] = is_own
    return chosen


def random_frequencies(
    question: Question, chosen: dict[str, Choice]
) -> Iterator[dict[str, Choice]]:
    """For each draw, as many random other frequencies, or all others if there are fewer.

    A table that both operands share has one set for all its features; otherwise each feature has
    its own.
    """
    rng = generator(question.seed, "random frequencies")
    for _ in range(question.draws):
        drawn: dict[str, Choice] = {}
        for name, own in chosen.items():
            columns = own.shape[1] if len(chosen) > 1 else 1
            lottery = torch.rand(len(own), columns, generator=rng, dtype=torch.float32)
            place = lottery.expand_as(own).masked_fill(own, 2.0).argsort(dim=0).argsort(dim=0)
            drawn[name] = (place < own.sum(dim=0)) & ~own
        yield drawn


def filtered_logits(
    question: Question, chosen: dict[str, Choice], *, keep: bool
) -> Float[Tensor, "pair p"]:
    """Logits with only the chosen frequencies in the embedding, or (``keep=False``) without them.

    Every feature keeps its mean. The row of a residue outside the basis is not changed. A read-out
    that is tied to the embedding is not filtered.
    """
    network, order = question.network, question.basis.order
    filtered: dict[str, Tensor] = {}
    for name, table in network.embeddings.items():
        modes = torch.fft.rfft(table[order], dim=0)
        modes[1:] *= chosen[name] if keep else ~chosen[name]
        changed = table.clone()
        changed[order] = torch.fft.irfft(modes, n=len(order), dim=0)
        filtered[name] = changed
    with replaced_embedding(network.model, filtered):
        read_out = network.anatomy.read_out
        if read_out is None or not read_out.is_tied:
            return network.logits()
        if read_out.hook is None:
            raise TypeError(
                f"the read-out of {type(network.model).__name__} is tied to its embedding; its "
                "read_out.hook must name the hook point of the read-out's input"
            )
        before_readout = network.activations(read_out.hook)
    with torch.no_grad():
        logits = read_out.logits(before_readout.to(read_out.W_U))
    return logits[:, : network.p].double().cpu()
