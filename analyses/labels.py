"""What to call runs that are shown next to each other: what differs between their configs."""

from collections.abc import Sequence
from typing import Any

from analyses.panels import axis_label, value_label
from grokinterp import RunConfig
from grokinterp.config import config_paths
from grokinterp.tasks import Table

_KIND = "model"
# A difference that is not worth a label: it leaves the trained network alone.
_UNSEEN = "training.eval_every"


def run_labels(configs: Sequence[RunConfig]) -> list[str]:
    """A short text for each config, from the fields in which they differ.

    Different architectures are called by their kind instead of their fields. Texts that are alike
    are numbered; a single config has the empty text.
    """
    all_fields = [_fields(config) for config in configs]
    differing = [path for path in _paths(all_fields) if path != _UNSEEN]
    if _KIND in differing:
        differing = [path for path in differing if not path.startswith("model.")]
    if "data.seed" in differing and all(f["data.seed"] == f["seed"] for f in all_fields):
        differing.remove("data.seed")  # one seed gave both
    labels = [", ".join(_text(path, fields[path]) for path in differing) for fields in all_fields]
    return [
        label if labels.count(label) == 1 else f"{label} (run {i})".strip()
        for i, label in enumerate(labels, 1)
    ]


def _fields(config: RunConfig) -> dict[str, Any]:
    """Values by dotted path, and the kind of network."""
    fields: dict[str, Any] = {_KIND: type(config.model).__name__.removesuffix("Config")}
    for path in config_paths(config):
        section, _, name = path.partition(".")
        if name:
            fields[path] = getattr(getattr(config, section), name)
    return fields | {"seed": config.seed}


def _paths(all_fields: Sequence[dict[str, Any]]) -> list[str]:
    """Fields that all have, and not all with the same value."""
    first, *others = all_fields
    return [
        path
        for path, value in first.items()
        if all(path in fields for fields in others)
        and any(fields[path] != value for fields in others)
    ]


def _text(path: str, value: object) -> str:
    if path == _KIND:
        return str(value)
    if value is None:
        return f"{axis_label(path)} {'all' if path == 'training.batch_size' else 'none'}"
    return f"{axis_label(path)} {value_label(value.name if isinstance(value, Table) else value)}"
