"""A finished run, and its folder on disk."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from grokinterp._checks import check_choice
from grokinterp._short import short_repr
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset
from grokinterp.models.base import HookedModel
from grokinterp.session import unaffected
from grokinterp.training.checkpoints import Checkpoint, from_json, to_json

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 2  # raised when a folder written today could not be read by yesterday's code
_FILES = ("model.safetensors", "dataset.safetensors", "history.nc")
_CHECKPOINT = "checkpoint-{}.safetensors"

_DERIVED = ("report.html", "figures")  # made from a run; they go when it is replaced


class RunFolderError(Exception):
    """A run folder cannot be read or written; the message says which file and what to do."""


@short_repr
@dataclass(frozen=True, eq=False)
class Run:
    """What :func:`~grokinterp.train` returns: a config, its data, the network and its history."""

    config: RunConfig
    dataset: Dataset
    model: Any  # a HookedModel, in evaluation mode
    history: "xr.Dataset"  # over "step": losses, accuracies, norm; see training.history
    diverged_at: int | None = None  # updates after which the loss was first NaN or infinite
    # Versions, device, wall time.
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)  # kept on the way
    interrupted_at: int | None = None  # updates after which Ctrl-C stopped it; None: it ended

    def checkpoint(self) -> Checkpoint:
        """A copy of the finished network, for training to start from with a fresh optimiser.

        Raises:
            ValueError: the run diverged, so that its last row is not of its last weights.
        """
        if self.diverged_at is not None:
            raise ValueError(
                f"the run diverged after step {self.diverged_at}, so it has no finished network; "
                "use a smaller training.lr, or one of its checkpoints"
            )
        last = self.history.isel(step=-1)
        metrics = {str(name): float(value) for name, value in last.items() if not value.dims}
        state = {name: t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
        return Checkpoint(int(last["step"]), metrics, state)

    def model_at(self, name: str) -> Any:
        """The hooked model of a checkpoint, in evaluation mode.

        Raises:
            ValueError: there is none of this name: its rule was not given, or never true.
        """
        check_choice("checkpoint", name, self.checkpoints)
        model: HookedModel = build_model(self.config)
        model.adopt(dict(self.checkpoints[name].state))
        return model

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the run to a folder: safetensors for tensors, JSON, netCDF for the history.

        The folder appears whole or not at all: everything is written beside it and then renamed.

        Raises:
            RunFolderError: ``path`` holds a run and ``overwrite`` is False, or other files.
        """
        path = Path(path).expanduser()
        check_free(path, overwrite=overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            self._write(fresh)
            if path.exists():
                _swap(fresh, path)
            else:
                os.replace(fresh, path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return path

    def _write(self, folder: Path) -> None:
        folder.chmod(0o755)
        model, dataset, history = (folder / name for name in _FILES)
        save_file({k: v.detach().contiguous() for k, v in self.model.state_dict().items()}, model)
        save_file({f.name: getattr(self.dataset, f.name) for f in fields(Dataset)}, dataset)
        self.history.to_netcdf(history, engine="h5netcdf")
        kept = {name: folder / _CHECKPOINT.format(name) for name in self.checkpoints}
        for name, file in kept.items():
            tensors = self.checkpoints[name].tensors()
            save_file({key: t.detach().clone() for key, t in tensors.items()}, file)
        about = {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "diverged_at": self.diverged_at,
            "provenance": self.provenance,
            "checkpoints": {name: _about(kept) for name, kept in self.checkpoints.items()},
            "sha256": {
                file.name: _sha256(file) for file in (model, dataset, history, *kept.values())
            },
        }
        (folder / "run.json").write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    @unaffected()
    def load(cls, path: str | os.PathLike[str]) -> "Run":
        """Read a folder that :meth:`save` wrote. Nothing in it is executed.

        Raises:
            RunFolderError: a file is missing, truncated or altered, or the format is newer.
        """
        import xarray as xr

        path = Path(path).expanduser()
        about = _read_about(path)
        kept = about.get("checkpoints", {})
        for name in (*_FILES, *(_CHECKPOINT.format(name) for name in kept)):
            file = path / name
            if not file.is_file():
                raise RunFolderError(f"{file} is missing; the run folder is incomplete")
            if _sha256(file) != about["sha256"].get(name):
                raise RunFolderError(
                    f"{file} is truncated or was altered: its checksum differs from run.json's; "
                    "restore it from a copy or train the run again"
                )
        try:
            config = RunConfig.from_dict(about["config"])
            state = load_file(path / "model.safetensors")
            model: HookedModel = build_model(config)
            model.adopt(state)
            dataset = Dataset(**load_file(path / "dataset.safetensors"))
            with xr.open_dataset(path / "history.nc", engine="h5netcdf") as stored:
                history = stored.load()
            checkpoints = {
                name: Checkpoint.from_tensors(
                    load_file(path / _CHECKPOINT.format(name)), step=about_it["step"],
                    metrics=from_json(about_it["metrics"]), updates=about_it["updates"],
                )
                for name, about_it in kept.items()
            }  # fmt: skip
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise RunFolderError(f"{path} cannot be read as a run: {error}") from error
        return cls(
            config, dataset, model, history, about["diverged_at"], about["provenance"], checkpoints
        )


def _about(checkpoint: Checkpoint) -> dict[str, Any]:
    moments = checkpoint.moments
    return {
        "step": checkpoint.step,
        "metrics": to_json(checkpoint.metrics),
        "updates": None if moments is None else moments.updates,
    }


def _swap(fresh: Path, path: Path) -> None:
    """Put ``fresh`` in the place of ``path``; on an error, what was there is put back."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.replace(path, aside / "run")
        try:
            os.replace(fresh, path)
        except BaseException:
            os.replace(aside / "run", path)
            raise
    except BaseException:
        if not any(aside.iterdir()):  # else it holds the only copy of the old run
            aside.rmdir()
        raise
    shutil.rmtree(aside)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise unless a run may be written to ``path``: new, empty, or a run that may be replaced.

    Raises:
        RunFolderError: ``path`` holds a run and ``overwrite`` is False, or holds something else.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / "run.json").is_file():
        raise RunFolderError(f"{path} exists and is no run folder; choose another folder")
    if not overwrite:
        raise RunFolderError(
            f"{path} already holds a run; choose another folder or pass overwrite=True "
            "(--overwrite on the command line)"
        )
    ours = {"run.json", *_FILES, *_DERIVED}
    strangers = {
        entry.name for entry in path.iterdir()
        if entry.name not in ours and not fnmatch(entry.name, _CHECKPOINT.format("*"))
    }  # fmt: skip
    if strangers:
        raise RunFolderError(
            f"{path} also holds {', '.join(sorted(strangers))}, which replacing the run would "
            "delete; move them or choose another folder"
        )


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed as a package"

    packages = ("grokinterp", "torch", "transformer-lens", "numpy", "xarray")
    return (
        *((package, installed(package)) for package in packages),
        ("python", platform.python_version()),
    )


def provenance(
    *,
    device: str,
    precision: str,
    wall_time_s: float,
    stack_size: int,
    start: Checkpoint | None = None,
) -> dict[str, Any]:
    """Which versions made a run, where and when, and from what it started."""
    return {
        "versions": dict(_versions()),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "precision": precision,
        "stack_size": stack_size,
        "stack_wall_time_s": round(wall_time_s, 3),
        "start": None if start is None else {"step": start.step, "sha256": start.digest},
    }


def _read_about(path: Path) -> dict[str, Any]:
    file = path / "run.json"
    if not file.is_file():
        raise RunFolderError(
            f"{file} is missing; {path} is not a run folder"
            + ("" if path.exists() else " (it does not exist)")
        )
    try:
        about = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{file} is truncated or no JSON: {error}") from error
    written = about.get("format") if isinstance(about, dict) else None
    if type(written) is not int or written < 1:
        raise RunFolderError(f"{file} names no format; it was not written by grokinterp")
    if written > FORMAT:
        raise RunFolderError(
            f"{path} was written in format {written}, this grokinterp reads up to {FORMAT}; "
            "upgrade grokinterp"
        )
    missing = {"config", "diverged_at", "provenance", "sha256"} - about.keys()
    if missing:
        raise RunFolderError(f"{file} lacks {', '.join(sorted(missing))}; it was altered")
    sections = {"data", "model", "training", "seed"}
    config, hashes, diverged = about["config"], about["sha256"], about["diverged_at"]
    if not isinstance(config, dict) or not isinstance(hashes, dict) or sections - config.keys():
        raise RunFolderError(f"{file} has an incomplete config or sha256; it was altered")
    if diverged is not None and type(diverged) is not int:
        raise RunFolderError(f"{file} has diverged_at={diverged!r}, no step; it was altered")
    return about


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
