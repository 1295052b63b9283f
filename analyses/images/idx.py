"""The IDX files in which MNIST is distributed.

An IDX file of unsigned bytes begins with the bytes 0, 0, 8 and the number of dimensions, then each
dimension's length as a big-endian 32-bit integer, then the values.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
Part = tuple[np.ndarray, np.ndarray]  # bytes [image, row, column], and labels [image]


def is_there(folder: Path) -> bool:
    """Whether a folder holds any of the four files, packed or not."""
    return any(_found(folder, name) for name in NAMES)


def read(folder: Path) -> tuple[Part, Part]:
    """Images and labels for training, then for the test.

    Raises:
        ValueError: a file is missing, damaged, or has another number of images than its labels.
    """
    missing = [name for name in NAMES if _found(folder, name) is None]
    if missing:
        raise ValueError(
            f"images: {folder} lacks {', '.join(missing)}; put all four of MNIST's files there, "
            "each as it is or with .gz"
        )
    arrays = [read_file(path) for name in NAMES if (path := _found(folder, name))]
    for name, array in zip(NAMES, arrays, strict=True):
        wanted = 3 if "images" in name else 1
        if array.ndim != wanted:
            raise ValueError(
                f"images: {folder / name} has {array.ndim} dimensions instead of {wanted}; "
                "were two files mixed up?"
            )
    for images, labels, name in ((arrays[0], arrays[1], NAMES[0]), (*arrays[2:], NAMES[2])):
        if len(images) != len(labels):
            raise ValueError(
                f"images: {folder / name} has {len(images)} images for {len(labels)} labels; get "
                "both files from one place"
            )
    return (arrays[0], arrays[1]), (arrays[2], arrays[3])


def read_file(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array in one IDX file of bytes; one whose name ends in .gz is unpacked.

    Raises:
        ValueError: the file is not an IDX file of bytes, or is cut off.
    """
    remedy = "get the file again"
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"images: {path} cannot be read ({error}); {remedy}") from error
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        start = raw[:4].hex(" ") or "nothing"
        hint = "add .gz to its name" if raw[:2] == b"\x1f\x8b" else remedy
        raise ValueError(
            f"images: {path} is not an IDX file of bytes: it begins with {start}, not 00 00 08; "
            f"{hint}"
        )
    start = 4 + 4 * raw[3]
    shape = tuple(np.frombuffer(raw[4:start], dtype=">u4").tolist()) if len(raw) >= start else ()
    wanted = int(np.prod(shape, dtype=object)) if shape else 0
    if len(shape) != raw[3] or len(raw) - start != wanted:
        raise ValueError(
            f"images: {path} is damaged: it has {max(0, len(raw) - start)} values instead of "
            f"{wanted}; {remedy}"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def _found(folder: Path, name: str) -> Path | None:
    """The file of this name in a folder, packed or not; None if there is none."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
