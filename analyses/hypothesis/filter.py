"""The causal part of Hypothesis 2.2: frequencies kept in an embedding, or taken out of it."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.hypothesis.evidence import Question
from grokinterp.frequencies import replaced_embedding
from grokinterp.randomness import generator
from probes import power_spectrum
from probes.embedding import real_energy

DOMINANT = 0.05  # share of a table's variance above which a frequency is dominant

Choice = Bool[Tensor, "frequency feature"]


def chosen_frequencies(
    question: Question, frequencies: list[int] | None, key: list[int]
) -> dict[str, Choice]:
    """Which frequencies of which features of the embedding are its own, for each table.

    ``frequencies`` in every feature if they are given. Otherwise those that are dominant: above
    ``DOMINANT`` of the variance over residues, and above an even share, which is more for small
    moduli. Where both operands share a table, they are found in the table as a whole, and ``key``,
    the key frequencies of the logits, are added. Where each operand has a table of its own, as in
    an MLP on one-hot pairs, its features are the inputs of neurons and each neuron may have a
    frequency of its own: there they are found in each feature.
    """
    tables, basis = question.network.embeddings, question.basis
    numbers = basis.frequencies[:, None]

    def is_one_of(wanted: list[int]) -> Bool[Tensor, "frequency 1"]:
        return torch.isin(numbers, torch.tensor(wanted, dtype=numbers.dtype))

    if frequencies is not None:
        wanted = is_one_of(frequencies)
        return {name: wanted.expand(-1, table.shape[1]) for name, table in tables.items()}
    least = max(DOMINANT, (1 + 1e-9) / len(numbers))
    chosen: dict[str, Choice] = {}
    for name, table in tables.items():
        rows = table[basis.order].T
        # Less its first value, a constant feature is exactly zero and gives no rounding noise.
        energy = real_energy(power_spectrum(rows - rows[:, :1]), basis.period)
        if len(tables) == 1:
            energy = energy.sum(dim=0, keepdim=True)
        is_own = (energy > least * energy.sum(dim=1, keepdim=True)).T
        if len(tables) == 1:
            is_own |= is_one_of(key)
        chosen[name] = is_own.expand(-1, table.shape[1])
    return chosen


def random_frequencies(
    question: Question, chosen: dict[str, Choice]
) -> Iterator[dict[str, Choice]]:
    """Draws of as many other frequencies, or of all others where they are fewer.

    One set for all features where they have one set, else one for each.
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
    """(III) Logits with only (or without) the chosen frequencies in the embedding.

    The constant part of every feature stays, and so does the row of a residue that has no place.
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
                f"the read-out of {type(network.model).__name__} is tied to its embedding, and "
                "read_out.hook does not say at which hook point its input passes"
            )
        before_readout = network.activations(read_out.hook)
    # A tied read-out is the embedding, too; the filter is for the way in only.
    with torch.no_grad():
        logits = read_out.logits(before_readout.to(read_out.W_U))
    return logits[:, : network.p].double().cpu()
