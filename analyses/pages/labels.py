"""Labels of runs that are shown together, and the number of seeds of a figure.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import labels
    >>> base = gi.RunConfig().replace({"data.p": 13})
    >>> configs = [base.replace({"training.weight_decay": decay}) for decay in (0.0, 5.0)]
    >>> labels.run_labels(configs)  # what distinguishes them
    ['weight decay 0', 'weight decay 5']
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyses.phase_diagrams.panels import axis_label, value_label
from grokinterp import RunConfig
from grokinterp.config import config_paths, field_value
from grokinterp.tasks import Table

_KIND = "model"
# The fields that a label names first; steps and learning rate follow from the batch size.
_FIRST = (_KIND, "data.", "training.batch_size", "training.weight_decay")
# A field that is never in a label, because it does not affect the trained network.
_UNSEEN = "training.eval_every"


def seeds_in_words(counts: object, *, of: int | None = None) -> str:
    """The number of seeds of a figure: "one seed", "3 seeds", "2 to 3 seeds", "2 of 3 seeds".

    Args:
        counts: one number, or one for each cell or curve of the figure; zeros are ignored.
        of: the intended number, named if some seeds are missing.
    """
    shown = np.ravel(np.asarray(counts))
    shown = shown[shown > 0].astype(int)
    least, most = (int(shown.min()), int(shown.max())) if len(shown) else (0, 0)
    number = str(least) if least == most else f"{least} to {most}"
    if of is not None and (least < of or not len(shown)):
        return f"{number} of {of} seeds" if of != 1 else f"{number} of one seed"
    return "one seed" if number == "1" else f"{number} seeds"


def run_labels(configs: Sequence[RunConfig]) -> list[str]:
    """A short label for each config, of as few fields as distinguish them.

    The kind of network comes first, then the data, the batch size and the weight decay, then other
    fields. Equal configs are numbered; a single config has the label "".
    """
    all_fields = [_fields(config) for config in configs]
    chosen: list[str] = []
    apart = 1
    for path in sorted({path: None for fields in all_fields for path in fields}, key=_rank):
        distinct = len({tuple(repr(f.get(p)) for p in [*chosen, path]) for f in all_fields})
        if distinct > apart and path != _UNSEEN:
            chosen.append(path)
            apart = distinct
    labels = [
        ", ".join(_text(path, fields[path]) for path in chosen if path in fields)
        for fields in all_fields
    ]
    return [
        label if labels.count(label) == 1 else f"{label} (run {i})".strip()
        for i, label in enumerate(labels, 1)
    ]


def _rank(path: str) -> int:
    return next((i for i, start in enumerate(_FIRST) if path.startswith(start)), len(_FIRST))


def _fields(config: RunConfig) -> dict[str, Any]:
    """Values by dotted path, with the kind of network under ``_KIND``."""
    fields: dict[str, Any] = {_KIND: type(config.model).__name__.removesuffix("Config")}
    for path in config_paths(config):
        if "." in path:
            fields[path] = field_value(config, path)
    return fields | {"seed": config.seed}


def _text(path: str, value: object) -> str:
    if path == _KIND:
        return str(value)
    if value is None:
        return f"{axis_label(path)} {'all' if path == 'training.batch_size' else 'none'}"
    return f"{axis_label(path)} {value_label(value.name if isinstance(value, Table) else value)}"
