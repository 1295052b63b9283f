"""How runs may end, and sweeps whose runs ended so."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import EndPoint

# Of a sweep made before "selected" was measured: phases do not need it.
SUBSETS = ("train", "test", "changed", "unchanged")
N_TEST = 4705


def end(**known: Any) -> EndPoint:
    """An end point that has learned everything, but for what is named."""
    full: dict[str, Any] = dict.fromkeys(SUBSETS, 1.0) | {"n_changed": 1629, "corruption": 0.35}
    full |= known
    return EndPoint(**{"max_test": full["test"], **full})


def fake_sweep(
    ends: Sequence[EndPoint | None],
    axes: Mapping[str, Any],
    *,
    seeds: int = 1,
    base: gi.RunConfig | None = None,
) -> xr.Dataset:
    """What ``gi.sweep`` returns when its runs end in ``ends`` (None: not trained), in C order."""
    shape = (*(len(values) for values in axes.values()), seeds)
    dims = (*axes, "seed")

    def grid(value: Any, blank: float = math.nan) -> np.ndarray:
        values = np.array([blank if end is None else value(end) for end in ends])
        return values.reshape(shape)

    def by_subset(value: Any) -> tuple[tuple[str, ...], np.ndarray]:
        values = [grid(lambda end, s=subset: value(end, s)) for subset in SUBSETS]
        return (*dims, "subset"), np.stack(values, axis=-1)

    def loss(end: EndPoint, subset: str) -> float:
        return math.nan if end.diverged else 0.01

    return xr.Dataset(
        {
            "final_accuracy": by_subset(lambda end, s: getattr(end, s)),
            "best_accuracy": by_subset(lambda end, s: end.max_test if s == "test" else 1.0),
            "final_loss": by_subset(loss),
            "best_loss": by_subset(loss),
            "final_norm": (dims, grid(lambda end: 3.0)),
            "largest_norm": (dims, grid(lambda end: 12.0)),
            "n_changed": (dims, grid(lambda end: end.n_changed)),
            "n_test": (dims, grid(lambda end: N_TEST)),
            "diverged_at": (dims, grid(lambda end: 70 if end.diverged else -1, -1)),
            "done": (dims, np.array([end is not None for end in ends]).reshape(shape)),
        },
        coords={name: list(values) for name, values in axes.items()}
        | {"seed": np.arange(seeds), "subset": list(SUBSETS)},
        attrs={"base": json.dumps((base or gi.RunConfig()).to_dict()), "provenance": "[]"},
    )
