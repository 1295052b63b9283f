"""Images from files that the tests write, byte by byte or with the formats' own tools."""

import gzip
import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from analyses.images import idx
from analyses.images.loading import load

TRAIN = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
TEST = 255 - TRAIN[:2]
LABELS = {"train": np.array([0, 1, 2, 1, 0]), "test": np.array([2, 0])}
SPLITS = {"train": TRAIN, "test": TEST}


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, *, packed: bool = False) -> Path:
    arrays = [TRAIN, LABELS["train"], TEST, LABELS["test"]]
    for name, array in zip(idx.NAMES, arrays, strict=True):
        raw = idx_bytes(array)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(raw) if packed else raw)
    return folder


def png(image: np.ndarray) -> dict[str, object]:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def write_parquet(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "mnist").mkdir()
    for split, images in SPLITS.items():
        columns = {"image": [png(image) for image in images], "label": LABELS[split].tolist()}
        parquet.write_table(pa.table(columns), folder / "mnist" / f"{split}-00000-of-00001.parquet")
    return folder


def write_arrow(folder: Path) -> Path:
    """As ``DatasetDict.save_to_disk`` does."""
    import pyarrow as pa
    from pyarrow import ipc

    for split, images in SPLITS.items():
        (folder / split).mkdir()
        columns = {"image": [png(image) for image in images], "label": LABELS[split].tolist()}
        table = pa.table(columns)
        with ipc.new_stream(folder / split / "data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table)
    return folder


WRITERS = {
    "idx": write_idx,
    "idx.gz": lambda folder: write_idx(folder, packed=True),
    "parquet": write_parquet,
    "arrow": write_arrow,
}


@pytest.mark.parametrize("how", WRITERS)
def test_every_format_gives_the_same_images(how: str, tmp_path: Path) -> None:
    images = load(str(WRITERS[how](tmp_path)))
    pixels = np.concatenate([TRAIN, TEST]).reshape(7, 12) / 255
    torch.testing.assert_close(images.pixels.double(), torch.tensor(pixels), rtol=0, atol=1e-7)
    assert images.labels.tolist() == [0, 1, 2, 1, 0, 2, 0]
    assert images.is_test is not None
    assert images.is_test.tolist() == [False] * 5 + [True] * 2
    assert images.n_classes == 3


def test_digits_are_sklearns() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    images, theirs = load("digits"), sklearn.load_digits()
    assert images.pixels.shape == (1797, 64)
    assert (images.pixels.min(), images.pixels.max()) == (0, 1)
    assert np.array_equal(images.pixels.numpy() * 16, theirs.data)
    assert np.array_equal(images.labels, theirs.target)
    assert images.is_test is None


def cut_off(folder: Path) -> None:
    path = folder / idx.NAMES[0]
    path.write_bytes(path.read_bytes()[:-3])


def too_long(folder: Path) -> None:
    path = folder / idx.NAMES[1]
    path.write_bytes(path.read_bytes() + b"\x00")


def no_header(folder: Path) -> None:
    (folder / idx.NAMES[2]).write_bytes(b"<html>not found</html>")


def packed_without_its_name(folder: Path) -> None:
    path = folder / idx.NAMES[0]
    path.write_bytes(gzip.compress(path.read_bytes()))


def cut_off_when_packed(folder: Path) -> None:
    path = folder / idx.NAMES[0]
    raw = gzip.compress(path.read_bytes())
    path.unlink()
    (folder / f"{idx.NAMES[0]}.gz").write_bytes(raw[: len(raw) // 2])


def one_missing(folder: Path) -> None:
    (folder / idx.NAMES[3]).unlink()


def mixed_up(folder: Path) -> None:
    (folder / idx.NAMES[0]).write_bytes((folder / idx.NAMES[1]).read_bytes())


def of_another_place(folder: Path) -> None:
    (folder / idx.NAMES[1]).write_bytes(idx_bytes(LABELS["test"]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_off, r"train-images-idx3-ubyte is damaged: it has 57 values instead of 60; get"),
        (too_long, r"train-labels-idx1-ubyte is damaged: it has 6 values instead of 5; get"),
        (no_header, r"t10k-images-idx3-ubyte is not an IDX file.* begins with 3c 68 74 6d"),
        (packed_without_its_name, r"begins with 1f 8b .*; add \.gz to its name"),
        (cut_off_when_packed, r"train-images-idx3-ubyte\.gz cannot be read .*; get the file again"),
        (one_missing, r"lacks t10k-labels-idx1-ubyte; put all four of MNIST's files there"),
        (mixed_up, r"train-images-idx3-ubyte has 1 dimensions instead of 3; were two files mixed"),
        (of_another_place, r"train-images-idx3-ubyte has 5 images for 2 labels; get both files"),
    ],
)
def test_damaged_idx_files(damage: "object", message: str, tmp_path: Path) -> None:
    damage(write_idx(tmp_path))  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path))


def test_damaged_parquet_files(tmp_path: Path) -> None:
    file = write_parquet(tmp_path) / "mnist" / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"test-00000-of-00001\.parquet is damaged .*get it again"):
        load(str(tmp_path))
    file.unlink()
    with pytest.raises(ValueError, match="has no parquet or arrow file with 'test' in its path"):
        load(str(tmp_path))


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    file = write_parquet(tmp_path) / "mnist" / "train-00000-of-00001.parquet"
    parquet.write_table(pa.table({"image": [b"no PNG"], "label": [1]}), file)
    with pytest.raises(ValueError, match=r"train-00000.* is damaged \(cannot identify image"):
        load(str(tmp_path))
    parquet.write_table(pa.table({"picture": [b""], "label": [1]}), file)
    with pytest.raises(ValueError, match="the columns picture, label, but none called image or"):
        load(str(tmp_path))


def test_nothing_there_says_what_to_put(tmp_path: Path) -> None:
    what = re.escape("train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte")
    with pytest.raises(ValueError, match=rf"holds no images that can be read; give .*{what}"):
        load(str(tmp_path))
    with pytest.raises(ValueError, match=rf"'mnist' is neither 'digits' nor a folder; .*{what}"):
        load("mnist")
