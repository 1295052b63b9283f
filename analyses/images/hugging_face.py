"""Images in a local folder of a Hugging Face data set: parquet files, or arrow files.

A downloaded repository holds parquet files whose path contains "train" or "test";
``DatasetDict.save_to_disk`` writes folders "train" and "test" of arrow files. Both have a column of
encoded images and one of labels.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

IMAGES, LABELS = ("image", "img"), ("label", "labels", "fine_label")  # names of columns
Part = tuple[np.ndarray, np.ndarray]  # bytes [image, row, column], and labels [image]


def is_there(folder: Path) -> bool:
    """Whether a folder holds parquet or arrow files."""
    return bool(_files(folder, ""))


def read(folder: Path) -> tuple[Part, Part]:
    """Images (grey, 0 to 255) and labels for training, then for the test.

    Raises:
        ValueError: one of the two is missing, a file is damaged, or pyarrow or Pillow is missing.
    """
    parts = []
    for split in ("train", "test"):
        files = _files(folder, split)
        if not files:
            raise ValueError(
                f"images: {folder} has no parquet or arrow file with {split!r} in its path; copy "
                "the data set's whole folder"
            )
        found = [_read_file(file) for file in files]
        shapes = {images.shape[1:] for images, _ in found}
        if len(shapes) > 1:
            raise ValueError(f"images: the {split} files of {folder} differ in size: {shapes}")
        images, labels = (np.concatenate(columns) for columns in zip(*found, strict=True))
        parts.append((images, labels))
    return parts[0], parts[1]


def _files(folder: Path, split: str) -> list[Path]:
    """Parquet and arrow files with a word in their path inside the folder, in order."""
    paths = sorted([*folder.rglob("*.parquet"), *folder.rglob("*.arrow")])
    return [path for path in paths if split in str(path.relative_to(folder)).lower()]


def _read_file(path: Path) -> Part:
    try:
        import PIL.Image
        import pyarrow as pa
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise ValueError(
            f"images: reading {path.name} needs {error.name}: pip install 'grokinterp[images]'"
        ) from error
    try:
        table: Any
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
        else:
            with path.open("rb") as file:
                table = ipc.open_stream(file).read_all()
        pictures = _column(table, IMAGES, path).to_pylist()
        labels = np.array(_column(table, LABELS, path).to_pylist())
        images = [np.asarray(PIL.Image.open(io.BytesIO(_bytes(p))).convert("L")) for p in pictures]
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"images: {path} is damaged ({said:.120}); get it again") from error
    if labels.dtype.kind not in "iu":
        raise ValueError(f"images: the labels in {path} are not integers, but {labels.dtype}")
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"images: {path} must hold images of one size, got {sorted(shapes)[:5]}")
    return np.stack(images), labels


def _column(table: Any, names: tuple[str, ...], path: Path) -> Any:
    name = next((name for name in names if name in table.column_names), None)
    if name is None:
        raise ValueError(
            f"images: {path} has the columns {', '.join(table.column_names)}, but none called "
            f"{' or '.join(names)}"
        )
    return table[name]


def _bytes(picture: Any) -> bytes:
    """The encoded image: a binary value, or the "bytes" of what ``datasets`` stores."""
    return picture["bytes"] if isinstance(picture, dict) else picture
