"""One axis of a sweep: the labels along it, and the config fields that each position changes."""

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokinterp.config import RunConfig, check_path, config_paths, field_value
from grokinterp.short_text import short, short_repr
from grokinterp.sweeps.reading import BOOKKEEPING
from grokinterp.sweeps.rows import KEPT, check_name
from grokinterp.tasks import Table
from grokinterp.training.program import decides_program

# Either the values of one dotted config path, or, for an axis with a name of its own, a mapping of
# labels to settings; a setting maps dotted config paths to values.
Values = Sequence[Any] | Mapping[str, Mapping[str, Any]]

# Runs that differ in these fields cost different amounts, so blocks extend along them last.
_COSTLY = ("data.train_fraction",)
MOST_RUNS = 1_000_000  # per sweep: more would take weeks, and gigabytes for the configs alone
OWN_STACK = 3  # rank of an axis whose positions need different programs, so never share a stack


@short_repr
@dataclass(frozen=True, eq=False)
class Axis:
    """One named axis of a sweep, made by :func:`read_axis`."""

    name: str
    changes: tuple[Mapping[str, Any], ...]  # per position: dotted config path -> value
    labels: tuple[str, ...] | None  # None: ``name`` is a config path and its values are the labels

    @property
    def paths(self) -> set[str]:
        """The config fields that this axis sets."""
        return {path for changed in self.changes for path in changed}

    @property
    def rank(self) -> int:
        """1: all runs cost the same; 2: costs differ; ``OWN_STACK``: runs cannot share a stack."""
        return max((_rank(path) for path in self.paths), default=1)

    def describe(self, place: int) -> str:
        """One position as ``name=label``, for messages."""
        label = self.changes[place][self.name] if self.labels is None else self.labels[place]
        return f"{self.name}={short(label)}"

    def coordinate(self, configs: Iterable[RunConfig]) -> np.ndarray:
        """The labels, given one config per position; non-numeric values become text."""
        if self.labels is not None:
            return np.asarray(self.labels)
        # Read from the configs, where a user's function has become a named table.
        return _texts_or_numbers(self.name, [field_value(config, self.name) for config in configs])


def read_axis(base: RunConfig, name: str, values: object) -> Axis:
    """Check one entry of a sweep's ``axes`` and turn it into an :class:`Axis`.

    Args:
        base: the config whose fields the axis may change.
        name: a dotted config path, or any new name if ``values`` is a mapping.
        values: a list of values, or a mapping of labels to settings (config path -> value).

    Raises:
        TypeError: ``values`` is neither, or a setting is not a mapping.
        ValueError: no values, a repeated value, an unknown path, or a name already in use.
    """
    if name == "seed":
        raise ValueError("'seed' cannot be an axis: every sweep has one already; pass seeds=...")
    if not isinstance(values, Mapping):
        listed = list_values(f"axis {short(name)}", values)
        check_path(base, name)
        return Axis(name, tuple({name: value} for value in listed), labels=None)
    if name in config_paths(base):
        raise TypeError(
            f"axis {short(name)} must be a list of values, got {short(values)}; settings by their "
            "labels need an axis with a name of its own, such as 'setting'"
        )
    check_name("axes", name, (*KEPT, *BOOKKEEPING, "subset"))
    changes = tuple(_changes(base, name, label, given) for label, given in values.items())
    return Axis(name, changes, list_values(f"axis {short(name)}", tuple(values)))


def check_apart(axes: Sequence[Axis]) -> None:
    """Raise if two axes set the same field, or one sets a field inside a section the other sets."""
    for axis in axes:
        for other in axes:
            shared = [
                (path, inner)
                for path in axis.paths
                for inner in other.paths
                if other is not axis and (inner == path or inner.startswith(f"{path}."))
            ]
            if shared:
                raise ValueError(
                    f"axes {short(axis.name)} and {short(other.name)} set the same field, "
                    f"{min(shared)[1]!r}; set it in only one of them"
                )


def list_values(name: str, values: object) -> tuple[Any, ...]:
    """The values as a tuple, checked to be distinct; NumPy and torch values become Python's."""
    wanted = f"{name} must be a list of values, got {short(values)}"
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Set | Mapping):
        raise TypeError(wanted)
    try:
        several = itertools.islice(values, MOST_RUNS + 1)  # an iterator may be endless
    except TypeError:  # a 0-d array
        raise TypeError(wanted) from None
    listed = tuple(_plain(value) for value in several)
    if not listed:
        raise ValueError(f"{name} is empty; give at least one value or leave it out")
    if len(listed) > MOST_RUNS:
        raise ValueError(f"{name} has more than {MOST_RUNS} values, the most a sweep may have")
    hashed, others = set(), []
    for value in listed:
        try:
            known = value in hashed
            hashed.add(value)
        except TypeError:  # unhashable, such as a list
            known = value in others
            others.append(value)
        if known:
            raise ValueError(f"{name} has {short(value)} twice; give every value once")
    return listed


def _changes(base: RunConfig, name: str, label: object, changes: object) -> dict[str, Any]:
    if not isinstance(label, str) or not label.strip() or "\0" in label:
        raise ValueError(
            f"axis {short(name)} has the label {short(label)}; labels must be non-empty strings"
        )
    if not isinstance(changes, Mapping):
        raise TypeError(
            f"{short(label)} on axis {short(name)} must map dotted config paths to values, got "
            f"{short(changes)}"
        )
    for path in changes:
        if path == "seed":
            raise ValueError(
                f"{short(label)} on axis {short(name)} sets 'seed'; pass seeds=... instead"
            )
        check_path(base, path)
    return {path: _plain(value) for path, value in changes.items()}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _rank(path: str) -> int:
    if decides_program(path):
        return OWN_STACK
    return 2 if path in _COSTLY else 1


def _texts_or_numbers(path: str, values: Sequence[Any]) -> np.ndarray:
    booleans = [isinstance(v, bool) for v in values]
    if all(booleans) or (not any(booleans) and all(isinstance(v, int | float) for v in values)):
        return np.asarray(values)
    texts = [v.name if isinstance(v, Table) else str(v) for v in values]
    if len(set(texts)) < len(texts):
        raise ValueError(
            f"axis {short(path)} has two values with the same text, "
            f"{short(max(texts, key=texts.count))}; give them different names"
        )
    return np.asarray(texts)
