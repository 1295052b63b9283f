"""The files of a run: safetensors for tensors, netCDF for the history, and ``run.json``.

Reading trusts none of them. Checksums find damage. A person who alters a file can also rewrite its
checksum, so shapes are compared with the config before memory is allocated for them, and the data
set is compared with the one that the config makes. No file is executed. One gap remains: some
malicious history files make the HDF5 library hang.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from grokinterp.checkpoints import Checkpoint, from_json
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset, make_dataset
from grokinterp.files import write_netcdf
from grokinterp.models.base import HookedModel, check_state
from grokinterp.models.budget import NotFarLarger
from grokinterp.runs.about import REMEDY, check_about, describe, read_about, write_about
from grokinterp.runs.folder import ABOUT, CHECKPOINT, FILES, RunFolderError, stamp, stored

_CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")  # in every history


def write_files(
    folder: Path,
    *,
    config: RunConfig,
    dataset: Dataset,
    model: Any,
    history: xr.Dataset,
    diverged_at: int | None,
    interrupted_at: int | None,
    provenance: Mapping[str, Any],
    checkpoints: Mapping[str, Checkpoint],
) -> None:
    """Write a run to an empty folder, after the checks that :func:`read_files` will make.

    Raises:
        ValueError: the parts do not belong together, or a user's own config changes on its way
            through JSON.
    """
    check_dataset(config, dataset)
    _check_history(history, config)
    model_file, dataset_file, history_file = (folder / name for name in FILES)
    # Cloned: tensors of a user's own network may share memory, which safetensors does not allow.
    weights = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, model_file)
    save_file({f.name: getattr(dataset, f.name) for f in fields(Dataset)}, dataset_file)
    write_netcdf(history, history_file)
    for name, kept in checkpoints.items():
        tensors = {key: tensor.detach().clone() for key, tensor in kept.tensors().items()}
        save_file(tensors, folder / CHECKPOINT.format(name))
    write_about(
        folder,
        config,
        diverged_at=diverged_at,
        interrupted_at=interrupted_at,
        provenance=provenance,
        checkpoints={name: describe(kept) for name, kept in checkpoints.items()},
        sha256={file.name: _sha256(file) for file in sorted(folder.iterdir())},
    )


def read_files(folder: Path) -> dict[str, Any]:
    """The parts of the run in ``folder``, keyed by the arguments of :func:`write_files`.

    Raises:
        RunFolderError: a file is missing, truncated, altered, of a newer format, or contradicts the
            others.
    """
    while True:
        before = stamp(folder)
        try:
            return _read_files(folder)
        except RunFolderError:
            if stamp(folder) == before:
                raise
            # Another process replaced the run while we read, so the files were of two runs: again.


def _read_files(folder: Path) -> dict[str, Any]:
    try:
        return _parts(folder)
    except OSError as error:
        raise RunFolderError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}; check that it "
            "is a run's folder and that you may read it"
        ) from error


def _parts(folder: Path) -> dict[str, Any]:
    about = read_about(folder)
    for name in (*FILES, *(CHECKPOINT.format(name) for name in about["checkpoints"])):
        file = stored(folder, name)
        if not file.is_file():
            raise RunFolderError(f"{file} is missing; the run folder is incomplete")
        if _sha256(file) != about["sha256"].get(name):
            raise RunFolderError(
                f"{file} is truncated or was altered: its checksum differs from the one in "
                f"run.json; {REMEDY}"
            )
    with _reading(stored(folder, ABOUT)):
        config = RunConfig.from_dict(about["config"])
        check_about(about, config)
    model_file, dataset_file, history_file = (stored(folder, name) for name in FILES)
    with _reading(dataset_file):
        dataset = _read_dataset(dataset_file, config)
    with _reading(model_file):
        with NotFarLarger(_shapes(model_file).values()):
            model: HookedModel = build_model(config)
        model.adopt(_tensors(model_file, like=model.state_dict()))
    with _reading(history_file):
        history = _read_history(history_file, config)
    checkpoints = {}
    for name, kept in about["checkpoints"].items():
        with _reading(file := stored(folder, CHECKPOINT.format(name))):
            checkpoints[name] = _read_checkpoint(file, kept, model)
    parts = {"config": config, "dataset": dataset, "model": model, "history": history}
    noted = {name: about[name] for name in ("diverged_at", "interrupted_at", "provenance")}
    return parts | noted | {"checkpoints": checkpoints}


def check_dataset(config: RunConfig, dataset: Dataset) -> None:
    """Raise unless ``dataset`` equals the one that ``config`` makes."""
    made = make_dataset(config.data)
    for field in fields(Dataset):
        given, wanted = getattr(dataset, field.name), getattr(made, field.name)
        if given.shape != wanted.shape or not torch.equal(given, wanted):
            raise ValueError(f"{field.name} differs from the data set that {config.data} makes")


def _read_dataset(file: Path, config: RunConfig) -> Dataset:
    shapes = _shapes(file)
    pairs = config.data.p**2
    for field in fields(Dataset):  # check sizes before making the config's p * p pairs
        wanted = [pairs, 2] if field.name == "tokens" else [pairs]
        if shapes.pop(field.name, None) != wanted:
            raise ValueError(f"{field.name} must have the shape {wanted} for p={config.data.p}")
    if shapes:
        raise ValueError(f"a data set must not contain {', '.join(shapes)}")
    dataset = Dataset(**load_file(file))
    check_dataset(config, dataset)
    return dataset


def _read_history(file: Path, config: RunConfig) -> xr.Dataset:
    _check_arrays(file)
    with xr.open_dataset(file, engine="h5netcdf", decode_times=False) as opened:
        history = opened.load()
    _check_history(history, config)
    return history


def _check_history(history: xr.Dataset, config: RunConfig) -> None:
    for name in _CURVES:
        if name not in history or history[name].dims != ("step",):
            raise ValueError(f"the history has no {name} over steps")
    if "step" not in history.coords:
        raise ValueError("the history has no coordinate step")
    steps = history["step"].values
    rising = steps.dtype.kind == "i" and (steps[1:] > steps[:-1]).all()
    if not rising or (len(steps) and not 0 <= steps[0] <= steps[-1] <= config.training.steps):
        raise ValueError(
            f"the history's steps must be increasing integers from 0 to {config.training.steps}"
        )
    if "norm" not in history or history["norm"].dims != ("step", "weight"):
        raise ValueError("the history has no norm over steps and weights")


def _check_arrays(file: Path) -> None:
    """Raise if an array declares more data than the file holds, or its data is in another file."""
    import h5py

    size = file.stat().st_size
    with h5py.File(file, "r") as opened:
        for name in opened:
            array = opened[name] if isinstance(opened.get(name, getlink=True), h5py.HardLink) else 0
            if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
                raise ValueError(f"{name!r:.80} is not an array stored in this file")
            if _is_only_a_dimension(array):
                continue
            if array.nbytes > size:
                raise ValueError(
                    f"{name!r:.80} declares {array.nbytes} bytes in a file of {size} bytes"
                )


def _is_only_a_dimension(array: Any) -> bool:
    """Whether it is a netCDF dimension without values, which stores only its length."""
    title = array.attrs.get("NAME", b"")
    return isinstance(title, bytes) and title.startswith(b"This is a netCDF dimension but not")


def _read_checkpoint(file: Path, about: Mapping[str, Any], model: HookedModel) -> Checkpoint:
    state = model.state_dict()
    trained = {name: state[name] for name, _ in model.named_parameters()}
    like = {f"state/{name}": tensor for name, tensor in state.items()}
    if about["updates"] is not None:
        moments = [part for part in ("first", "second") if _holds(file, part)] or ["first"]
        like |= {f"{part}/{name}": t for part in moments for name, t in trained.items()}
    return Checkpoint.from_tensors(
        _tensors(file, like=like),
        step=about["step"],
        metrics=from_json(about["metrics"]),
        updates=about["updates"],
    )


def _holds(file: Path, part: str) -> bool:
    return any(name.startswith(f"{part}/") for name in _shapes(file))


def _tensors(file: Path, *, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file, checked to have the names, shapes and kinds of those in ``like``."""
    tensors = load_file(file)
    check_state("run", like, tensors)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != like[name].is_floating_point():
            raise ValueError(f"{name} has the wrong type {tensor.dtype}")
    return tensors


def _shapes(file: Path) -> dict[str, list[int]]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn any error into one that names the file; libraries raise all kinds on damaged files."""
    try:
        yield
    except Exception as error:
        why = str(error) or type(error).__name__
        raise RunFolderError(f"{file} cannot be read: {why}; {REMEDY}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
