"""What parts of a run are called in the page."""

from collections.abc import Sequence

from grokinterp.models.units import FREQUENCIES, WORDS, kind_of

# Subsets that make up all pairs, in words; their places are the codes in the page.
DISJOINT = {"test": "test", "changed": "corrupted", "unchanged": "uncorrupted"}
_GATES = {"gate_i": "input", "gate_f": "forget", "gate_g": "cell", "gate_o": "output"}


def units_in_words(name: str, names: Sequence[str]) -> str:
    """Units such as "heads.1" as "heads of layer 1"; without the layer if there is only one.

    Args:
        name: as ``model.list_units()`` has it.
        names: of all units of the network.
    """
    kind, _, layer = name.partition(".")
    if name == FREQUENCIES:
        return "frequencies of the embedding"
    gate = _GATES.get(kind)
    many = WORDS[kind][0] if gate is None else f"{gate} gate units"
    alone = sum(kind_of(other) == kind for other in names) == 1
    return many if alone else f"{many} of layer {layer}"
