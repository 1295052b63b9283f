"""The files of a run: safetensors for tensors, netCDF for the history, and ``run.json``.

Reading trusts none of them. Checksums find damage. Because whoever alters a file can also rewrite
its checksum, shapes are compared with the config before anything of their size is allocated, and
the data set with what the config makes. No file is executed. What this cannot help is a file made
to harm the HDF5 library itself, which does not end on some.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from grokinterp._files import write_netcdf
from grokinterp.checkpoints import Checkpoint, from_json
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset, make_dataset
from grokinterp.models.base import HookedModel, check_state
from grokinterp.models.budget import NotFarLarger
from grokinterp.runs.about import REMEDY, check_about, describe, read_about, write_about
from grokinterp.runs.folder import ABOUT, CHECKPOINT, FILES, RunFolderError, stamp, stored

if TYPE_CHECKING:
    import xarray as xr

_CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")  # in every history


def write_files(
    folder: Path,
    *,
    config: RunConfig,
    dataset: Dataset,
    model: Any,
    history: "xr.Dataset",
    diverged_at: int | None,
    interrupted_at: int | None,
    provenance: Mapping[str, Any],
    checkpoints: Mapping[str, Checkpoint],
) -> None:
    """Write a run to an empty folder; what :func:`read_files` would refuse is refused here.

    Raises:
        ValueError: the parts do not belong together, or a config of the user's own does not come
            back from JSON as it was.
    """
    check_dataset(config, dataset)
    _check_history(history, config)
    model_file, dataset_file, history_file = (folder / name for name in FILES)
    # Cloned: tensors of a user's own network may share memory, which the format does not allow.
    save_file({k: v.detach().clone().contiguous() for k, v in model.state_dict().items()},
              model_file)  # fmt: skip
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
    """The parts of the run in ``folder``, by the names that :func:`write_files` takes.

    Raises:
        RunFolderError: a file is missing, truncated, altered or does not fit the others, or the
            format is newer.
    """
    while True:
        before = stamp(folder)
        try:
            return _read_files(folder)
        except RunFolderError:
            if stamp(folder) == before:
                raise
            # Else it was replaced meanwhile, and the files read were of two runs.


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
                f"{file} is truncated or was altered: its checksum differs from run.json's; "
                f"{REMEDY}"
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
    return {
        "config": config, "dataset": dataset, "model": model, "history": history,
        "diverged_at": about["diverged_at"], "interrupted_at": about["interrupted_at"],
        "provenance": about["provenance"], "checkpoints": checkpoints,
    }  # fmt: skip


def check_dataset(config: RunConfig, dataset: Dataset) -> None:
    """Raise unless ``dataset`` is the one that a run's config makes."""
    made = make_dataset(config.data)
    for field in fields(Dataset):
        given, wanted = getattr(dataset, field.name), getattr(made, field.name)
        if given.shape != wanted.shape or not torch.equal(given, wanted):
            raise ValueError(f"{field.name} differs from what the config makes with {config.data}")


def _read_dataset(file: Path, config: RunConfig) -> Dataset:
    shapes = _shapes(file)
    pairs = config.data.p**2
    for field in fields(Dataset):  # before the config's p * p pairs are made
        wanted = [pairs, 2] if field.name == "tokens" else [pairs]
        if shapes.pop(field.name, None) != wanted:
            raise ValueError(f"{field.name} is not {wanted}, as p={config.data.p} makes it")
    if shapes:
        raise ValueError(f"a data set has no {', '.join(shapes)}")
    dataset = Dataset(**load_file(file))
    check_dataset(config, dataset)
    return dataset


def _read_history(file: Path, config: RunConfig) -> "xr.Dataset":
    import xarray as xr

    _check_arrays(file)
    with xr.open_dataset(file, engine="h5netcdf", decode_times=False) as opened:
        history = opened.load()
    _check_history(history, config)
    return history


def _check_history(history: "xr.Dataset", config: RunConfig) -> None:
    for name in _CURVES:
        if name not in history or history[name].dims != ("step",):
            raise ValueError(f"the history has no {name} over steps")
    if "step" not in history.coords:
        raise ValueError("the history does not say at which steps its rows are")
    steps = history["step"].values
    if steps.dtype.kind != "i" or (steps[1:] <= steps[:-1]).any() or (
        len(steps) and not 0 <= steps[0] <= steps[-1] <= config.training.steps
    ):  # fmt: skip
        raise ValueError(
            f"the steps of its history are not those of a training of {config.training.steps} steps"
        )
    if "norm" not in history or history["norm"].dims != ("step", "weight"):
        raise ValueError("the history has no norm over steps and weights")


def _check_arrays(file: Path) -> None:
    """Refuse arrays that declare more than the file holds, or whose data is somewhere else."""
    import h5py

    size = file.stat().st_size
    with h5py.File(file, "r") as opened:
        for name in opened:
            array = opened[name] if isinstance(opened.get(name, getlink=True), h5py.HardLink) else 0
            if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
                raise ValueError(f"{name!r:.80} is no array of this file")
            if _is_only_a_dimension(array):
                continue
            if array.nbytes > size:
                raise ValueError(
                    f"{name!r:.80} declares {array.nbytes} bytes in a file of {size} bytes"
                )


def _is_only_a_dimension(array: Any) -> bool:
    """Whether netCDF keeps it for its length, without numbers."""
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
    """The tensors of a file, which must be named and shaped like some others."""
    tensors = load_file(file)
    check_state("run", like, tensors)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != like[name].is_floating_point():
            raise ValueError(f"{name} is {tensor.dtype}")
    return tensors


def _shapes(file: Path) -> dict[str, list[int]]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Name the file whatever is wrong with it: libraries raise of every kind on damaged files."""
    try:
        yield
    except Exception as error:
        why = str(error) or type(error).__name__
        raise RunFolderError(f"{file} cannot be read as a run's: {why}; {REMEDY}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
