"""Arrays as compressed text inside a page; ``page/unpack.js`` is the inverse."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokinterp.short_text import short_repr

_LARGEST = 2**15 - 1


@short_repr
@dataclass(frozen=True)
class Packed:
    """Arrays as text."""

    manifest: list[dict[str, Any]]  # name, dtype, shape and encoding, in the order of the bytes
    text: str  # base64 of gzip of the bytes


def pack(arrays: Mapping[str, np.ndarray], *, over_steps: Mapping[str, np.ndarray] = {}) -> Packed:
    """Compress arrays.

    Bytes of equal significance stand together, which compresses better than the values in turn.

    Args:
        arrays: by name, kept bit for bit; of 1, 2 or 4 bytes per value.
        over_steps: float arrays [step, ...] by name that change little from one step to the next.
            Kept as differences of 16-bit integers: exact to the largest absolute value / 65,534.
    """
    manifest, parts = [], []
    for name, array in arrays.items():
        manifest.append(_entry(name, array))
        parts.append(by_significance(array))
    for name, array in over_steps.items():
        whole, scale = rounded(array)
        changed = changes(whole)
        manifest.append(_entry(name, changed) | {"scale": scale})
        parts.append(by_significance((changed << 1) ^ (changed >> 15)))  # small ones: high byte 0
    data = gzip.compress(b"".join(parts), mtime=0)  # no date: the same page from the same run
    return Packed(manifest, base64.b64encode(data).decode("ascii"))


def _entry(name: str, array: np.ndarray) -> dict[str, Any]:
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}


def rounded(array: np.ndarray) -> tuple[np.ndarray, float]:
    """Floats as 16-bit integers, and the number by which these are multiplied."""
    scale = float(np.abs(array).max(initial=0.0)) / _LARGEST or 1.0
    return np.round(array / scale).astype(np.int16), scale


def changes(whole: np.ndarray) -> np.ndarray:
    """From one step to the next, of integers [step, ...]; wraps around."""
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))


def by_significance(array: np.ndarray) -> bytes:
    """All first bytes, all second ones, ..."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.reshape(-1, 1).view(np.uint8).T.tobytes()
