"""The runs of a sweep: every combination of some configs' fields, times seeds."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grokinterp._checks import check_int
from grokinterp.config import RunConfig, check_path
from grokinterp.tasks import Table

# Fields that decide which program trains a run: runs that differ in them cannot share a stack.
_PROGRAM = ("data.p", "training.steps", "training.eval_every", "training.loss")
# Runs that differ in these cost different amounts; a block takes them together last.
_COSTLY = ("data.train_fraction",)

Block = tuple[slice, ...]  # one slice per axis and one for the seeds


@dataclass(frozen=True, eq=False)
class Grid:
    """All runs of a sweep, addressed by one index per axis and one for the seed.

    Args:
        base: what the axes do not change.
        axes: dotted config path -> its values, at least one and no two alike.
        seeds: one run per seed and cell. A seed is both ``seed`` (initial weights, training noise)
            and ``data.seed`` (split and corruption), unless ``data.seed`` is an axis or
            ``data.protocol`` is "published", which fixes the data.
    """

    base: RunConfig
    axes: Mapping[str, Sequence[Any]]
    seeds: Sequence[int]

    def __post_init__(self) -> None:
        if not isinstance(self.base, RunConfig):
            raise TypeError(f"base must be a RunConfig, got {self.base!r}")
        if not isinstance(self.axes, Mapping):
            raise TypeError(f"axes must map dotted config paths to values, got {self.axes!r}")
        listed = {path: _values(f"axis {path!r}", values) for path, values in self.axes.items()}
        object.__setattr__(self, "axes", listed)
        for path in self.axes:
            if path == "seed":
                raise ValueError("'seed' cannot be an axis: it is the sweep's own; pass seeds=...")
            check_path(self.base, path)
            clash = [other for other in self.axes if other.startswith(f"{path}.")]
            if clash:
                raise ValueError(f"axes {path!r} and {clash[0]!r} set the same field; keep one")
        _ = self.coordinates  # labels must differ
        # Every combination must be valid before anything is trained, and none trained twice.
        seen: dict[RunConfig, tuple[int, ...]] = {}
        for index, config in np.ndenumerate(self.configs):
            other = seen.setdefault(config, index)
            if other != index:
                raise ValueError(
                    f"two runs of the sweep are the same: {self.describe(other)}; and "
                    f"{self.describe(index)}. Leave one of the values out"
                )

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions: the axes' paths, then "seed"."""
        return (*self.axes, "seed")

    @property
    def shape(self) -> tuple[int, ...]:
        """Values per axis, then the number of seeds."""
        return (*(len(values) for values in self.axes.values()), len(self.seeds))

    @property
    def size(self) -> int:
        """How many runs."""
        return math.prod(self.shape)

    @cached_property
    def configs(self) -> np.ndarray:
        """Every run's config, as an array of objects with this grid's shape."""
        configs = np.empty(self.shape, dtype=object)
        for index in np.ndindex(self.shape):
            changes = {
                path: values[i]
                for (path, values), i in zip(self.axes.items(), index[:-1], strict=True)
            }
            try:
                cell = self.base.replace(changes)
                configs[index] = cell.replace(self._seeded(cell, self.seeds[index[-1]]))
            except (TypeError, ValueError) as error:
                raise type(error)(
                    f"the run with {_describe(changes)} is invalid: {error}"
                ) from None
        return configs

    @cached_property
    def coordinates(self) -> dict[str, np.ndarray]:
        """The dimensions' labels; values that are no numbers are labelled by their text."""
        labels = {}
        for axis, (path, given) in enumerate(self.axes.items()):
            # Read off the configs: there a user's function is a table with a name.
            along = np.moveaxis(self.configs, axis, 0).reshape(len(given), -1)[:, 0]
            labels[path] = _labels(path, [_field(config, path) for config in along])
        return labels | {"seed": np.asarray(self.seeds, dtype=np.int64)}

    def describe(self, index: Sequence[int]) -> str:
        """A run's place in words, for messages."""
        labels = self.coordinates
        return _describe({dim: labels[dim][i] for dim, i in zip(self.dims, index, strict=True)})

    def block_shape(self, runs: int) -> tuple[int, ...]:
        """The largest regular blocks of at most ``runs`` runs that can be trained as one stack.

        Seeds come first, then axes that leave the amount of work alone.
        """

        def rank(dim: str) -> int:
            if dim == "seed":
                return 0
            if dim in _PROGRAM or not dim.startswith(("training.", "data.")):
                return 3
            return 2 if dim in _COSTLY else 1

        extent = dict.fromkeys(self.dims, 1)
        lengths = dict(zip(self.dims, self.shape, strict=True))
        for dim in sorted(self.dims, key=rank):
            if rank(dim) < 3:
                room = max(1, runs // math.prod(extent.values()))
                pieces = math.ceil(lengths[dim] / min(room, lengths[dim]))
                extent[dim] = math.ceil(lengths[dim] / pieces)
        return tuple(extent[dim] for dim in self.dims)

    def blocks(self, shape: Sequence[int]) -> list[Block]:
        """The whole grid cut into blocks of ``shape`` (smaller at the far ends)."""
        cuts = [
            [slice(start, min(start + step, length)) for start in range(0, length, step)]
            for length, step in zip(self.shape, shape, strict=True)
        ]
        return list(itertools.product(*cuts))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, enough to tell one grid from another."""
        configs = [config.to_dict() for config in self.configs.flat]
        return {
            "base": self.base.to_dict(),
            "dims": list(self.dims),
            "axes": {path: labels.tolist() for path, labels in self.coordinates.items()},
            "runs": _digest(configs),
        }

    def _seeded(self, cell: RunConfig, seed: int) -> dict[str, object]:
        if "data.seed" in self.axes or cell.data.protocol == "published":
            return {"seed": seed}
        return {"seed": seed, "data.seed": seed}


def indices(block: Block) -> Iterator[tuple[int, ...]]:
    """The places of a block's runs in the grid, in C order."""
    offsets = [cut.start for cut in block]
    for index in np.ndindex(*(cut.stop - cut.start for cut in block)):
        yield tuple(offset + i for offset, i in zip(offsets, index, strict=True))


def _values(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Set | Mapping):
        raise TypeError(f"{name} must be a list of values, got {values!r}")
    listed = tuple(v.tolist() if hasattr(v, "tolist") else v for v in values)  # NumPy's, torch's
    if not listed:
        raise ValueError(f"{name} is empty; give at least one value or leave it out")
    for i, value in enumerate(listed):
        if value in listed[:i]:
            raise ValueError(f"{name} has {value!r} twice; every value once")
    return listed


def seed_list(seeds: object) -> tuple[int, ...]:
    """The seeds that ``seeds`` stands for: themselves, or 0, 1, ... if it is their number."""
    if isinstance(seeds, np.integer):
        seeds = int(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        check_int("seeds", seeds, minimum=1)
        return tuple(range(seeds))
    listed = _values("seeds", seeds)
    for seed in listed:
        check_int("each of seeds", seed, minimum=0)
        if seed >= 2**63:
            raise ValueError(f"each of seeds must be below 2**63, got {seed}")
    return listed


def _field(config: RunConfig, path: str) -> Any:
    section, _, name = path.partition(".")
    value = getattr(config, section)
    return getattr(value, name) if name else value


def _labels(path: str, values: Sequence[Any]) -> np.ndarray:
    booleans = [isinstance(v, bool) for v in values]
    if all(booleans) or (not any(booleans) and all(isinstance(v, int | float) for v in values)):
        return np.asarray(values)
    texts = [v.name if isinstance(v, Table) else str(v) for v in values]
    if len(set(texts)) < len(texts):
        raise ValueError(
            f"axis {path!r} has two values with the same text, {max(texts, key=texts.count)!r}; "
            "give them different names"
        )
    return np.asarray(texts)


def _describe(changes: Mapping[str, object]) -> str:
    return ", ".join(f"{path}={value}" for path, value in changes.items()) or "no changes"


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
