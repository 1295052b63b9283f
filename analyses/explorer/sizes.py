"""What is too large for the page, and which parts are then left out."""

from collections.abc import Sequence
from typing import NamedTuple

# Products of one pass through all pairs: about ten seconds in one thread of a browser. The paper's
# network (p 97, 500 neurons) takes 0.46e9.
MOST_PRODUCTS = 8e9
MOST_LOGITS = 8e6  # of all pairs, kept twice in float64
MOST_EARLIER_WEIGHTS = 5_000_000  # of all networks but the last: about 12 MB in the page


class Parts(NamedTuple):
    """Which stored networks the page holds, and what it says about what is left out."""

    networks: list[int]  # places among the stored networks, rising; the last is always there
    notes: list[str]


def parts(weights: int, steps: Sequence[int], products: int, logits: int) -> Parts:
    """Choose what the page can hold.

    Args:
        weights: number of weights of one network.
        steps: at which networks are stored.
        products: that one pass through all pairs takes.
        logits: of all pairs.

    Raises:
        ValueError: one network alone is too large to run in a page.
    """
    for what, value, most in (
        ("products in a pass through all pairs", products, MOST_PRODUCTS),
        ("logits of all pairs", logits, MOST_LOGITS),
        ("weights", weights, MOST_EARLIER_WEIGHTS),
    ):
        if value > most:
            raise ValueError(
                f"the network has {value:,} {what}, and a page can run one with at most "
                f"{most:,.0f}; train a narrower one (--set model.d_mlp=...) or a smaller p"
            )
    earlier, room = len(steps) - 1, MOST_EARLIER_WEIGHTS // weights
    if earlier == 0:
        return Parts([0], ["Only one network is stored. For a slider over training: " + _HOW])
    if earlier <= room:
        return Parts(list(range(len(steps))), [])
    kept = [round(i * earlier / room) for i in range(room)] if room else []
    note = (
        f"Of {len(steps)} stored networks {len(kept) + 1} are here, evenly spaced: a page holds "
        f"{MOST_EARLIER_WEIGHTS:,} weights besides those of the last one, and each has {weights:,}."
    )
    return Parts([*kept, earlier], [note])


_HOW = "grokinterp train OUT --checkpoints 30."
