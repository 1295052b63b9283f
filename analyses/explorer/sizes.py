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
    runs: bool  # whether the network runs in the page
    notes: list[str]


def parts(weights: int, steps: Sequence[int], products: int, logits: int) -> Parts:
    """Choose what the page can hold.

    Args:
        weights: number of weights of one network.
        steps: at which networks are stored.
        products: that one pass through all pairs takes.
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
    if too_many:
        notes.append(
            f"The network is too large to run in a page: {' and '.join(too_many)}. Accuracies, "
            "answers and activations are left out."
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
            f"{MOST_EARLIER_WEIGHTS:,} weights besides those of the last one, and each has "
            f"{weights:,}."
        )
    return Parts(places, runs=not too_many, notes=notes)
