"""The arrays of a page, as long as there is room for them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analyses.explorer.packing import by_significance, changes, rounded
from grokinterp.short_text import short_repr

# Compressed bytes, which text makes a third larger: a page stays below 15 MB.
MOST_BYTES = 11_000_000


@short_repr
@dataclass
class Room:
    """Arrays by name, and what did not fit.

    What is put first has the first claim. An array of floats that would take more than half of the
    bytes that are left is rounded to 16 bits, and left out if it is still too large.
    """

    left: int = MOST_BYTES
    exact: dict[str, np.ndarray] = field(default_factory=dict)
    rounded: dict[str, np.ndarray] = field(default_factory=dict)  # [1, ...], see packing.pack
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, array: np.ndarray, what: str) -> bool:
        """Keep an array if there is room for it; ``what`` it is, for the note if there is none."""
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        size = _compressed(array)
        is_float = array.dtype == np.float32
        if size <= (self.left / 2 if is_float else self.left):
            self.exact[name] = array
        elif is_float and (size := _compressed(rounded(array)[0])) <= self.left:
            self.rounded[name] = array[None]
            self.notes.append(f"Rounded to 16 bits, to keep the page small: {what}.")
        else:
            left = max(0, self.left)
            self.notes.append(
                f"Left out: {what}, {size:,} bytes; {left:,} of {MOST_BYTES:,} are left."
            )
            return False
        self.left -= size
        return True

    def rounded_values(self, name: str) -> np.ndarray | None:
        """The values that the page gets of an array that is rounded; None for others."""
        if name not in self.rounded:
            return None
        whole, scale = rounded(self.rounded[name][0])
        return whole * scale

    def claim(
        self, *, exact: Mapping[str, np.ndarray], over_steps: Mapping[str, np.ndarray]
    ) -> None:
        """Keep arrays whatever room they need, by name; ``over_steps`` are [step, ...], rounded."""
        self.exact |= exact
        self.rounded |= over_steps
        self.left -= sum(map(_compressed, exact.values()))
        self.left -= sum(_compressed(changes(rounded(array)[0])) for array in over_steps.values())

    def put_over_steps(self, name: str, array: np.ndarray) -> bool:
        """Keep an array [step, ...], rounded to 16 bits, if a quarter of what is left is enough."""
        size = _compressed(changes(rounded(array)[0]))
        if size > self.left / 4:
            return False
        self.rounded[name] = array
        self.left -= size
        return True


def _compressed(array: np.ndarray) -> int:
    return len(zlib.compress(by_significance(array), 1))
