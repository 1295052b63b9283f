"""What is too large for the page, and which parts are then left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from grokinterp.short_text import short_repr

# Products of one pass through all pairs: about ten seconds in one thread of a browser. The first
# paper's network (p 97, 500 neurons) takes 0.46e9.
MOST_PRODUCTS = 8_000_000_000
MOST_LOGITS = 8_000_000  # of all pairs, kept twice in float64
MOST_EARLIER_WEIGHTS = 5_000_000  # of all networks but the last: about 12 MB in the page


@short_repr
@dataclass(frozen=True)
class Parts:
    """What the page holds, and what it says about what is left out."""

    networks: list[int]  # places among the stored networks, rising; the last is always there
    runs: bool  # whether the network may run in the page
    removes: bool  # whether there is room for answers and logits of all pairs
    notes: list[str]


def parts(weights: int, steps: Sequence[int], products: int, logits: int) -> Parts:
    """Choose what the page can hold.

    Args:
        weights: numbers that each network needs: its weights, or its units' scores.
        steps: at which networks are stored.
        products: that one pass through all pairs takes; 0 for a network that does not run.
        logits: of all pairs.

    Raises:
        ValueError: the weights of one network alone are too many.
    """
    if weights > MOST_EARLIER_WEIGHTS:
        raise ValueError(
            f"the network has {weights:,} weights, and a page holds at most "
            f"{MOST_EARLIER_WEIGHTS:,}; train a narrower one (--set model.d_mlp=...)"
        )
    too_many = [
        f"{value:,} {what}, {most:,} at most"
        for what, value, most in (
            ("products in a pass through all pairs", products, MOST_PRODUCTS),
            ("logits of all pairs", logits, MOST_LOGITS),
        )
        if value > most
    ]
    earlier, room = len(steps) - 1, MOST_EARLIER_WEIGHTS // weights
    places, notes = list(range(earlier + 1)), []
    removes = logits <= MOST_LOGITS
    if too_many:
        instead = "Removals by rank are stored instead" if removes else "Removals are left out"
        notes.append(
            f"The network is too large to run in a page: {' and '.join(too_many)}. {instead}."
        )
    if not earlier:
        notes.append(
            "Only one network is stored. For a slider over training: grokinterp train OUT "
            "--checkpoints 30."
        )
    if earlier > room:
        places = [*(round(i * earlier / room) for i in range(room)), earlier]
        notes.append(
            f"Of {len(steps)} stored networks {len(places)} are here, evenly spaced: a page holds "
            f"{MOST_EARLIER_WEIGHTS:,} weights or scores besides those of the last one, and each "
            f"has {weights:,}."
        )
    return Parts(places, runs=not too_many, removes=removes, notes=notes)
