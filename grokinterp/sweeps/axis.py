"""One dimension of a sweep: what its places are called, and what each changes in a config."""

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokinterp._short import short, short_repr
from grokinterp.config import RunConfig, check_path, config_paths
from grokinterp.sweeps.reading import BOOKKEEPING
from grokinterp.sweeps.rows import KEPT, check_name
from grokinterp.tasks import Table
from grokinterp.training.program import decides_program

# The values of a dotted config path; or, under a name that is none, settings by their labels, each
# a mapping of dotted paths to values.
Values = Sequence[Any] | Mapping[str, Mapping[str, Any]]

# Runs that differ in these cost different amounts; a block takes them together last.
_COSTLY = ("data.train_fraction",)
MOST_RUNS = 1_000_000  # of one sweep: more take weeks, and their configs alone gigabytes
OWN_STACK = 3  # the rank of an axis along which every place is a program of its own


@short_repr
@dataclass(frozen=True, eq=False)
class Axis:
    """A dimension by its name, as :func:`read_axis` makes it."""

    name: str
    changes: tuple[Mapping[str, Any], ...]  # of each place: dotted config path -> value
    labels: tuple[str, ...] | None  # of a named axis; None: the name is a path, the values label it

    @property
    def paths(self) -> set[str]:
        """The fields that it sets."""
        return {path for changed in self.changes for path in changed}

    @property
    def rank(self) -> int:
        """1: its runs cost the same; 2: not the same; ``OWN_STACK``: they cannot be stacked."""
        return max((_rank(path) for path in self.paths), default=1)

    def describe(self, place: int) -> str:
        """A place in words, for messages."""
        label = self.changes[place][self.name] if self.labels is None else self.labels[place]
        return f"{self.name}={short(label)}"

    def coordinate(self, configs: Iterable[RunConfig]) -> np.ndarray:
        """The labels, given one config of every place; values that are no numbers become text."""
        if self.labels is not None:
            return np.asarray(self.labels)
        # Read off the configs: there a user's function is a table with a name.
        return _texts_or_numbers(self.name, [_field(config, self.name) for config in configs])


def read_axis(base: RunConfig, name: str, values: object) -> Axis:
    """The axis that an entry of a sweep's ``axes`` stands for.

    Args:
        base: the config whose fields it may change.
        name: a dotted config path, or a name of its own if ``values`` is a mapping.
        values: a list of values, or a mapping of labels to changes.

    Raises:
        TypeError: ``values`` is neither, or a change no mapping.
        ValueError: no values, one of them twice, an unknown path, or a name that is taken.
    """
    if name == "seed":
        raise ValueError("'seed' cannot be an axis: it is the sweep's own; pass seeds=...")
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
    """Raise if two axes set one field, or one sets a part of what the other does."""
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
                    f"{min(shared)[1]!r}; let one of them do it"
                )


def list_values(name: str, values: object) -> tuple[Any, ...]:
    """Several values, no two alike; NumPy's and torch's become Python's."""
    wanted = f"{name} must be a list of values, got {short(values)}"
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Set | Mapping):
        raise TypeError(wanted)
    try:
        several = itertools.islice(values, MOST_RUNS + 1)  # it may never end
    except TypeError:  # an array without an axis
        raise TypeError(wanted) from None
    listed = tuple(_plain(value) for value in several)
    if not listed:
        raise ValueError(f"{name} is empty; give at least one value or leave it out")
    if len(listed) > MOST_RUNS:
        raise ValueError(f"{name} has more than {MOST_RUNS} values, as many as a sweep may have")
    hashed, others = set(), []
    for value in listed:
        try:
            known = value in hashed
            hashed.add(value)
        except TypeError:  # a list, say
            known = value in others
            others.append(value)
        if known:
            raise ValueError(f"{name} has {short(value)} twice; every value once")
    return listed


def _changes(base: RunConfig, name: str, label: object, changes: object) -> dict[str, Any]:
    if not isinstance(label, str) or not label.strip() or "\0" in label:
        raise ValueError(
            f"axis {short(name)} has the label {short(label)}; name every setting by a text"
        )
    if not isinstance(changes, Mapping):
        raise TypeError(
            f"{short(label)} on axis {short(name)} must map dotted config paths to values, got "
            f"{short(changes)}"
        )
    for path in changes:
        if path == "seed":
            raise ValueError(
                f"{short(label)} on axis {short(name)} sets 'seed', the sweep's own; seeds=..."
            )
        check_path(base, path)
    return {path: _plain(value) for path, value in changes.items()}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _rank(path: str) -> int:
    if decides_program(path):
        return OWN_STACK
    return 2 if path in _COSTLY else 1


def _field(config: RunConfig, path: str) -> Any:
    section, _, name = path.partition(".")
    value = getattr(config, section)
    return getattr(value, name) if name else value


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
