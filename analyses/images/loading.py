"""Labelled images: scikit-learn's digits, or MNIST from files on this machine.

MNIST is read from its four IDX files, packed or not, or from a folder of a Hugging Face data set:
the parquet files of a downloaded repository, or the arrow files of ``Dataset.save_to_disk``. These
are read with pyarrow and Pillow rather than with ``datasets``, which would copy them to its cache.
Nothing is downloaded.
"""

import hashlib
import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.images import hugging_face, idx
from grokinterp.short_text import short, short_repr

DIGITS = "digits"
WHAT_TO_PUT = (
    f"give {DIGITS!r}; or a folder that holds MNIST's {', '.join(idx.NAMES)}, each as it is or "
    "with .gz; or the folder of a Hugging Face data set, with train and test parquet files, or as "
    "save_to_disk wrote it"
)


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Images:
    """Images as rows of pixels, and their true labels."""

    name: str
    pixels: Float[Tensor, "image pixel"]  # float32, 0 to 1
    labels: Int[Tensor, " image"]  # 0 .. n_classes - 1
    is_test: Bool[Tensor, " image"] | None  # the data set's own test images; None: it has no split

    def __post_init__(self) -> None:
        lengths = len(self.pixels), len(self.labels)
        if lengths[0] != lengths[1] or not lengths[0]:
            raise ValueError(f"{self.name} has {lengths[0]} images and {lengths[1]} labels")
        if len(self.labels.unique()) < 2 or int(self.labels.min()) < 0:
            raise ValueError(
                f"{self.name} has the labels {short(self.labels.unique().tolist())}; it needs two "
                "classes or more, counted from 0"
            )

    @property
    def n_classes(self) -> int:
        """The number of classes: the largest label plus 1."""
        return int(self.labels.max()) + 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and split."""
        parts = [self.pixels, self.labels, *([] if self.is_test is None else [self.is_test])]
        return hashlib.sha256(b"".join(p.numpy().tobytes() for p in parts)).hexdigest()


def load(source: str) -> Images:
    """Load images by name, or from a folder.

    Args:
        source: "digits", 1797 images of 8 x 8 pixels without a split of their own; or a folder.

    Raises:
        ValueError: the folder does not hold what it must, or a file is damaged; or scikit-learn,
            pyarrow or Pillow is needed and not installed.
    """
    if source == DIGITS:
        return _digits()
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"images={short(source)} is neither {DIGITS!r} nor a folder; {WHAT_TO_PUT}"
        )
    if idx.is_there(folder):
        parts = idx.read(folder)
    elif hugging_face.is_there(folder):
        parts = hugging_face.read(folder)
    else:
        raise ValueError(f"images: {folder} holds no images that can be read; {WHAT_TO_PUT}")
    (train, train_labels), (test, test_labels) = parts
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"images: {folder} has training images of {train.shape[1:]} pixels and test images of "
            f"{test.shape[1:]}; they must agree"
        )
    pixels = np.concatenate([train, test])
    is_test = torch.arange(len(pixels)) >= len(train)
    labels = torch.from_numpy(np.concatenate([train_labels, test_labels]).astype(np.int64))
    flat = torch.from_numpy(pixels.reshape(len(pixels), -1)).float() / 255
    return Images(folder.name, flat, labels, is_test)


def _digits() -> Images:
    try:
        datasets: Any = importlib.import_module("sklearn.datasets")  # it has no types
    except ImportError as error:
        raise ValueError(
            "images='digits' needs scikit-learn: pip install 'grokinterp[images]'"
        ) from error
    found = datasets.load_digits()
    pixels = torch.from_numpy(found.data).float() / 16  # its pixels are 0 to 16
    return Images(DIGITS, pixels, torch.from_numpy(found.target).long(), None)
