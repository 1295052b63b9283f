"""``run.json``: a run's settings, how it ended, and checksums of all files, including itself."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokinterp.checkpoints import Checkpoint, check_names, to_json
from grokinterp.config import RunConfig
from grokinterp.json_files import read_json
from grokinterp.models.registry import MODELS
from grokinterp.runs.folder import ABOUT, RunFolderError, stored

FORMAT = 3  # increased when older code could not read a new folder
_UNSIGNED = 2  # last format whose run.json has no checksum of itself
REMEDY = "restore it from a copy or train the run again"


def write_about(folder: Path, config: RunConfig, **parts: Any) -> None:
    """Write ``run.json``.

    Args:
        folder: the run's folder.
        config: the run's config.
        parts: all other entries, as :func:`read_about` returns them.

    Raises:
        ValueError: :func:`check_about` refuses an entry, or a user's own config changes on its way
            through JSON.
    """
    about = {"format": FORMAT, "config": config.to_dict()} | parts
    about = json.loads(json.dumps(about, allow_nan=False))  # what read_about will see
    if RunConfig.from_dict(about["config"]) != config:
        raise ValueError(
            f"{config.model} is not the same after saving to JSON and reading back; use only types "
            "that JSON has, and let the config's class turn lists into tuples"
        )
    check_about(about, config)
    about["sha256"][ABOUT] = _digest(about)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """The entries of ``run.json``, checked to be of the right types.

    Raises:
        RunFolderError: the file is missing, truncated, altered or of a newer format.
    """
    file = stored(folder, ABOUT)
    if not file.is_file():
        raise RunFolderError(
            f"{file} is missing; {folder} is not a run folder"
            + ("" if folder.exists() else " (it does not exist)")
            + ("; give the folder, not a file in it" if folder.is_file() else "")
            + ("; gi.open_sweep reads a sweep" if (folder / ".zattrs").exists() else "")
        )
    try:
        about = read_json(file)
    except ValueError as error:
        raise RunFolderError(f"{error}; {REMEDY}") from error
    written = about.get("format") if isinstance(about, dict) else None
    if type(written) is not int or written < 1:
        raise RunFolderError(f"{file} has no valid format; it was not written by grokinterp")
    if written > FORMAT:
        raise RunFolderError(
            f"{folder} has format {written}, but this grokinterp reads formats up to {FORMAT}; "
            "upgrade grokinterp"
        )
    if written <= _UNSIGNED:
        about = {"checkpoints": {}, "interrupted_at": None} | about
    objects = ("config", "provenance", "checkpoints", "sha256")
    for name in (*objects, "diverged_at", "interrupted_at"):
        if name not in about:
            raise RunFolderError(f"{file} lacks {name}; it was altered: {REMEDY}")
        kind = dict if name in objects else int | None
        if not isinstance(about[name], kind) or isinstance(about[name], bool):
            raise RunFolderError(
                f"{file} has {name}={about[name]!r:.80}, which is invalid; it was altered: {REMEDY}"
            )
    signed = about["sha256"].get(ABOUT)
    if (signed is not None or written > _UNSIGNED) and signed != _digest(about):
        raise RunFolderError(
            f"{file} was altered: its checksum differs from its own contents; {REMEDY}"
        )
    network = about["config"].get("model")
    kind = network.get("kind", "mlp") if isinstance(network, dict) else "mlp"
    if isinstance(kind, str) and kind not in MODELS:
        raise RunFolderError(
            f"{folder} holds a run of the architecture {kind!r:.80}, which is not registered; in "
            f"Python, first call gi.register_model with this name and its class. Registered: "
            f"{', '.join(MODELS)}"
        )
    return about


def check_about(about: Mapping[str, Any], config: RunConfig) -> None:
    """Raise unless the entries of ``run.json`` are possible for a run of this config."""
    steps = config.training.steps
    for name in ("diverged_at", "interrupted_at"):
        if about[name] is not None and not 0 <= about[name] <= steps:
            raise ValueError(f"{name}={about[name]} is not one of the {steps} steps of training")
    if None not in (about["diverged_at"], about["interrupted_at"]):
        raise ValueError("diverged_at and interrupted_at are both set; a run ends only once")
    if lacking := {"data", "model", "training", "seed"} - about["config"].keys():
        raise ValueError(f"config lacks {', '.join(sorted(lacking))}")
    start = about["provenance"].get("start")
    if start is not None and not (isinstance(start, dict) and isinstance(start.get("sha256"), str)):
        raise ValueError(f"provenance.start={start!r:.80} is not a valid checkpoint entry")
    check_names(about["checkpoints"])  # a name must not lead out of the folder
    for name, kept in about["checkpoints"].items():
        if not isinstance(kept, dict) or kept.keys() != {"step", "metrics", "updates"}:
            raise ValueError(f"checkpoints has {name}={kept!r:.80}, without step and metrics")
        step, updates, metrics = kept["step"], kept["updates"], kept["metrics"]
        if type(step) is not int or not 0 <= step <= steps:
            raise ValueError(f"checkpoint {name!r} has step={step!r:.80}")
        if updates is not None and (type(updates) is not int or updates < 0):
            raise ValueError(f"checkpoint {name!r} has updates={updates!r:.80}")
        values = metrics.values() if isinstance(metrics, dict) else [metrics]
        if not all(value is None or type(value) in (int, float) for value in values):
            raise ValueError(f"checkpoint {name!r} has metrics={metrics!r:.80}")


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint's entry in ``run.json``; its tensors are in a separate file."""
    moments = checkpoint.moments
    return {
        "step": checkpoint.step,
        "metrics": to_json(checkpoint.metrics),
        "updates": None if moments is None else moments.updates,
    }


def _digest(about: dict[str, Any]) -> str:
    """SHA-256 of ``run.json`` without its own checksum; independent of the file's layout."""
    hashes = {name: value for name, value in about["sha256"].items() if name != ABOUT}
    text = json.dumps(about | {"sha256": hashes}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
