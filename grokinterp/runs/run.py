"""A finished run, with methods to save and load it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from grokinterp.checkpoints import Checkpoint
from grokinterp.checks import check_choice
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset
from grokinterp.models.base import HookedModel
from grokinterp.runs.files import read_files, write_files
from grokinterp.runs.folder import filling, folder_path
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class Run:
    """A trained run, as :func:`~grokinterp.train` returns it: config, data, network, history.

    Examples:
        >>> import grokinterp as gi
        >>> run = gi.train(gi.RunConfig().replace({"data.p": 11, "training.steps": 100}))
        >>> run.ending, run.model.p, dict(run.history.sizes)
        ('100 steps', 11, {'step': 11, 'weight': 3})
        >>> run.history.train_accuracy.sel(step=100).item()
        1.0
    """

    config: RunConfig
    dataset: Dataset
    model: Any  # a HookedModel, in evaluation mode
    history: "xr.Dataset"  # over "step": losses, accuracies, zero_loss_share, norm, probes
    diverged_at: int | None = None  # updates after which the loss was first NaN or infinite
    # Versions, device, wall time.
    provenance: dict[str, Any] = field(default_factory=dict, repr=False)
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)  # name -> saved state
    interrupted_at: int | None = None  # updates after which Ctrl-C stopped it; None: not stopped

    @property
    def ended(self) -> bool:
        """Whether all its steps were trained."""
        return self.diverged_at is None and self.interrupted_at is None

    @property
    def ending(self) -> str:
        """How training ended, in words: "2000 steps", or the step at which it stopped early."""
        steps = f"{self.config.training.steps} steps"
        if self.diverged_at is not None:
            return f"diverged after {self.diverged_at} of {steps}"
        if self.interrupted_at is not None:
            return f"unfinished: interrupted after {self.interrupted_at} of {steps}"
        return steps

    def checkpoint(self) -> Checkpoint:
        """A copy of the finished network, from which a new training can start.

        It holds no optimiser state. Its metrics are the last row of the history.

        Raises:
            ValueError: the run diverged, so its last row does not describe its last weights.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 50})
            >>> run = gi.train(config)
            >>> further = gi.train(config, start=run.checkpoint())
            >>> first, last = further.history.isel(step=0), run.history.isel(step=-1)
            >>> round(float(first.train_loss / last.train_loss), 4)  # it starts where the run ended
            1.0
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
            ValueError: no checkpoint has this name: its rule was not given, or was never met.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 100})
            >>> run = gi.train(config, checkpoints={"fit": gi.reached(train_accuracy=0.99)})
            >>> model, data = run.model_at("fit"), run.dataset
            >>> hits = model(data.tokens).argmax(dim=1) == data.labels
            >>> hits[data.is_train].double().mean().item() >= 0.99
            True
        """
        check_choice("checkpoint", name, self.checkpoints)
        model: HookedModel = build_model(self.config)
        model.adopt(dict(self.checkpoints[name].state))
        return model

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the run to a folder: tensors as safetensors, settings as JSON, history as netCDF.

        If the process is killed, the folder holds the old state or the new one, never a mixture. An
        existing folder is filled in place, so it may be a mount point or the working directory;
        unrelated files stay.

        Raises:
            RunFolderError: ``path`` holds a run and ``overwrite`` is False, holds only other files,
                or cannot be written.

        Examples:
            >>> import grokinterp as gi
            >>> run = gi.train(gi.RunConfig().replace({"data.p": 11, "training.steps": 20}))
            >>> folder = run.save("first_run")
            >>> sorted(file.name for file in folder.iterdir())
            ['dataset.safetensors', 'history.nc', 'model.safetensors', 'run.json']
        """
        path = folder_path(path)
        with filling(path, overwrite=overwrite) as fresh:
            write_files(fresh, **vars(self))
        return path

    @classmethod
    @unaffected()
    def load(cls, path: str | os.PathLike[str]) -> "Run":
        """Read a folder that :meth:`save` wrote. Nothing in it is executed.

        Raises:
            RunFolderError: a file is missing, truncated, altered, of a newer format, or contradicts
                the others.

        Examples:
            >>> import grokinterp as gi
            >>> import torch
            >>> run = gi.train(gi.RunConfig().replace({"data.p": 11, "training.steps": 20}))
            >>> again = gi.Run.load(run.save("second_run"))
            >>> again.config == run.config, torch.equal(again.model.W_U, run.model.W_U)
            (True, True)
        """
        return cls(**read_files(folder_path(path)))


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
    """A run's origin: package versions, date, device, wall time and starting checkpoint."""
    return {
        "versions": dict(_versions()),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "precision": precision,
        "stack_size": stack_size,
        "stack_wall_time_s": round(wall_time_s, 3),
        "start": None if start is None else {"step": start.step, "sha256": start.digest},
    }
