"""The runs of a sweep: every combination of the axes' values, times the seeds."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grokinterp.checks import check_int
from grokinterp.config import RunConfig
from grokinterp.short_text import short, short_repr
from grokinterp.sweeps.axis import (
    MOST_RUNS,
    OWN_STACK,
    Axis,
    Values,
    check_apart,
    list_values,
    read_axis,
)

MOST_DIMENSIONS = 32  # per array, the limit of zarr and xarray
_MOST_AXES = MOST_DIMENSIONS - 2  # "seed" and "subset" need one each

Block = tuple[slice, ...]  # one slice per axis, then one for the seeds


@short_repr
@dataclass(frozen=True, eq=False)
class Grid:
    """All runs of a sweep, addressed by one index per axis and one for the seed.

    Args:
        base: config with the fields that the axes do not change.
        axes: dotted config path -> its values; or any other name -> mapping of labels to settings,
            where a setting maps dotted config paths to values. Values and labels must be distinct.
        seeds: one run per seed and cell. A seed sets both ``seed`` (initial weights, training
            noise) and ``data.seed`` (split and corruption), unless an axis sets ``data.seed`` or
            ``data.protocol`` is "published", which fixes the data.
    """

    base: RunConfig
    axes: Mapping[str, Values]
    seeds: Sequence[int]

    def __post_init__(self) -> None:
        if not isinstance(self.base, RunConfig):
            raise TypeError(f"base must be a RunConfig, got {short(self.base)}")
        if not isinstance(self.axes, Mapping):
            raise TypeError(f"axes must map dotted config paths to values, got {short(self.axes)}")
        check_apart(self.dimensions)
        if len(self.dimensions) > _MOST_AXES:
            raise ValueError(
                f"axes has {len(self.dimensions)} entries, at most {_MOST_AXES} can be stored; "
                "change several fields along one axis, by a mapping of labels to settings"
            )
        if self.size > MOST_RUNS:
            raise ValueError(
                f"axes and seeds make {self.size} runs, but a sweep has at most {MOST_RUNS}; give "
                "fewer values, or make several sweeps"
            )
        _ = self.coordinates  # raises if two labels are the same
        # Check before training that every combination is valid and that no two are the same.
        seen: dict[RunConfig, tuple[int, ...]] = {}
        for index, config in np.ndenumerate(self.configs):
            other = seen.setdefault(config, index)
            if other != index:
                raise ValueError(
                    f"two runs of the sweep are the same: {self.describe(other)}; and "
                    f"{self.describe(index)}. Remove one of the values"
                )

    @cached_property
    def dimensions(self) -> tuple[Axis, ...]:
        """The axes, in order."""
        return tuple(read_axis(self.base, name, values) for name, values in self.axes.items())

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions: the axes, then "seed"."""
        return (*(axis.name for axis in self.dimensions), "seed")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of positions along each axis, then the number of seeds."""
        return (*(len(axis.changes) for axis in self.dimensions), len(self.seeds))

    @property
    def size(self) -> int:
        """Number of runs."""
        return math.prod(self.shape)

    @cached_property
    def configs(self) -> np.ndarray:
        """The config of every run, as an object array with the grid's shape."""
        configs = np.empty(self.shape, dtype=object)
        for index in np.ndindex(self.shape):
            places = list(zip(self.dimensions, index[:-1], strict=True))
            changes = {path: v for axis, i in places for path, v in axis.changes[i].items()}
            try:
                cell = self.base.replace(changes)
                configs[index] = cell.replace(self._seeded(cell, self.seeds[index[-1]]))
            except (TypeError, ValueError) as error:
                words = ", ".join(axis.describe(i) for axis, i in places) or "no changes"
                raise type(error)(f"the run with {words} is invalid: {error}") from None
        return configs

    @cached_property
    def coordinates(self) -> dict[str, np.ndarray]:
        """The labels along each dimension; non-numeric values become text."""
        labels: dict[str, np.ndarray] = {}
        for i, axis in enumerate(self.dimensions):
            along = np.moveaxis(self.configs, i, 0).reshape(len(axis.changes), -1)[:, 0]
            labels[axis.name] = axis.coordinate(along)
        return labels | {"seed": np.asarray(self.seeds, dtype=np.int64)}

    def describe(self, index: Sequence[int]) -> str:
        """The labels of the run at ``index`` in words, for messages."""
        labels = self.coordinates
        places = zip(self.dims, index, strict=True)
        return ", ".join(f"{dim}={short(labels[dim][i])}" for dim, i in places)

    def block_shape(self, runs: int) -> tuple[int, ...]:
        """Shape of the largest regular block of at most ``runs`` runs that can train as one stack.

        A block extends along the seeds first, then along axes whose runs all cost the same.
        """
        ranks = [*(axis.rank for axis in self.dimensions), 0]
        extent = [1] * len(ranks)
        for i in sorted(range(len(ranks)), key=ranks.__getitem__):
            if ranks[i] < OWN_STACK:
                room = max(1, runs // math.prod(extent))
                pieces = math.ceil(self.shape[i] / min(room, self.shape[i]))
                extent[i] = math.ceil(self.shape[i] / pieces)
        return tuple(extent)

    def blocks(self, shape: Sequence[int]) -> list[Block]:
        """Cut the whole grid into blocks of ``shape``; the last along an axis may be smaller."""
        return cut(self.shape, shape)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; equal for two grids exactly if their runs and labels are."""
        configs = [config.to_dict() for config in self.configs.flat]
        return {
            "base": self.base.to_dict(),
            "dims": list(self.dims),
            "axes": {path: labels.tolist() for path, labels in self.coordinates.items()},
            "runs": _digest(configs),
        }

    @cached_property
    def _axes_draw_data(self) -> bool:
        return any("data.seed" in axis.paths for axis in self.dimensions)

    def _seeded(self, cell: RunConfig, seed: int) -> dict[str, object]:
        if self._axes_draw_data or cell.data.protocol == "published":
            return {"seed": seed}
        return {"seed": seed, "data.seed": seed}


def cut(lengths: Sequence[int], steps: Sequence[int]) -> list[Block]:
    """Cut an array of these lengths into blocks of these steps; the last may be smaller."""
    parts = [
        [slice(start, min(start + step, length)) for start in range(0, length, step)]
        for length, step in zip(lengths, steps, strict=True)
    ]
    return list(itertools.product(*parts))


def indices(block: Block) -> Iterator[tuple[int, ...]]:
    """The grid indices of a block's runs, in C order."""
    offsets = [cut.start for cut in block]
    for index in np.ndindex(*(cut.stop - cut.start for cut in block)):
        yield tuple(offset + i for offset, i in zip(offsets, index, strict=True))


def seed_list(seeds: object) -> tuple[int, ...]:
    """The seeds as a tuple; an integer n stands for 0, 1, ..., n - 1."""
    if isinstance(seeds, np.integer):
        seeds = int(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        check_int("seeds", seeds, minimum=1, maximum=MOST_RUNS)
        return tuple(range(seeds))
    listed = list_values("seeds", seeds)
    for seed in listed:
        check_int("each of seeds", seed, minimum=0)
        if seed >= 2**63:
            raise ValueError(f"each of seeds must be less than 2**63, got {seed}")
    return listed


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
