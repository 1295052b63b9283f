"""What to call runs that are shown next to each other: what differs between their configs."""

from collections.abc import Mapping, Sequence
from typing import Any

from analyses.panels import axis_label, value_label
from grokinterp import RunConfig

# Differences that are not worth a label: they leave the trained network alone.
_UNSEEN = ("training.eval_every",)
_UNSET = {"training.batch_size": "full", "model.norm": "none"}


def run_labels(configs: Sequence[RunConfig]) -> list[str]:
    """A short text for each config, from the fields in which they differ.

    Different architectures are called by their kind, and by those fields only that all of them
    have. Texts that are alike are numbered; a single run has the empty text.
    """
    plain = [_flat(config.to_dict()) for config in configs]
    shared = set.intersection(*(set(fields) for fields in plain)) if plain else set()
    paths = [
        path
        for path in (plain[0] if plain else ())
        if path in shared and path not in _UNSEEN and len({repr(f[path]) for f in plain}) > 1
    ]
    if "data.seed" in paths and all(f["data.seed"] == f["seed"] for f in plain):
        paths.remove("data.seed")  # one seed gave both
    labels = [", ".join(_text(path, fields[path]) for path in paths) for fields in plain]
    return [
        label if labels.count(label) == 1 else f"{label} (run {i})".strip()
        for i, label in enumerate(labels, 1)
    ]


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            fields |= _flat(value, f"{prefix}{name}.")
        else:
            fields[f"{prefix}{name}"] = value
    return fields


def _text(path: str, value: object) -> str:
    if path == "model.kind":
        return str(value).replace("_", " ")
    if value is None or isinstance(value, bool):
        return f"{axis_label(path)} {_UNSET.get(path, str(value).lower())}"
    return f"{axis_label(path)} {value_label(value)}"
