"""Accuracy histories of many runs on labelled axes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from grokinterp import Run, RunConfig

CURVES = ("train_accuracy", "test_accuracy")
NETWORK_LABEL = {"transformer": "transformer", "lstm": "LSTM", "mlp": "MLP"}


def network_of(config: RunConfig) -> str:
    """The name of a config's network: "transformer", "lstm", "mlp", or any other kind's own."""
    kind = config.to_dict()["model"]["kind"]
    return "mlp" if kind == "embedding_mlp" else kind


def has_random_labels(config: RunConfig) -> bool:
    """Whether all training labels are random, rather than the task's.

    Raises:
        ValueError: only some are.
    """
    corruption = config.data.corruption
    if corruption not in (0.0, 1.0):
        raise ValueError(
            f"runs has one with data.corruption={corruption}; labels must be all the task's (0) or "
            "all random (1)"
        )
    return corruption == 1.0


AXES: dict[str, Callable[[RunConfig], Any]] = {
    "network": network_of,
    "weight_decay": lambda config: config.training.weight_decay,
    "fraction": lambda config: config.data.train_fraction,
    "seed": lambda config: config.seed,
}


def side_by_side(
    runs: Sequence[Run],
    axes: Sequence[str],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    numbers: Mapping[str, Sequence[float]] | None = None,
) -> xr.Dataset:
    """Accuracies of runs over their networks, fractions, seeds and steps.

    Args:
        runs: one run for each combination of axis values.
        axes: names from ``AXES``, "network" and "fraction" among them.
        labels: further axes, placed first, whose values the config does not hold: a label per run.
        numbers: further measurements, one number per run.

    Returns:
        Dataset over all axes and "step" (every step at which any run was evaluated):
        ``train_accuracy`` and ``test_accuracy`` in 0..1, NaN where there is no run, where it was
        not evaluated, and after it diverged. Over all axes: ``last_step``, the last evaluated step,
        NaN where there is no run; ``diverged``; and the ``numbers``, NaN where there is no run.
        Over ("network", "fraction"): ``n_train``, in pairs. Over "network": ``chance``, 1/p.

    Raises:
        ValueError: no runs, two runs for one combination, or one network on two operations or
            moduli.
    """
    if not runs:
        raise ValueError("runs is empty; give at least one trained run")
    columns = {
        **(labels or {}),
        **{axis: [AXES[axis](run.config) for run in runs] for axis in axes},
    }
    cells = list(zip(*columns.values(), strict=True))
    if twice := {cell for i, cell in enumerate(cells) if cell in cells[:i]}:
        named = ", ".join(
            f"{axis}={value}" for axis, value in zip(columns, twice.pop(), strict=True)
        )
        raise ValueError(f"runs has two with {named}; keep one of them")
    coords: dict[str, list[Any]] = {
        # Networks stay in the order of the runs.
        axis: list(dict.fromkeys(column)) if axis == "network" else sorted(set(column))
        for axis, column in columns.items()
    }
    steps = sorted(set[int]().union(*(run.history.step.values.tolist() for run in runs)))
    shape = [len(values) for values in coords.values()]
    per_cell = ["last_step", *(numbers or {})]
    found = {name: np.full((*shape, len(steps)), np.nan) for name in CURVES}
    found |= {name: np.full(shape, np.nan) for name in per_cell}
    found["diverged"] = np.zeros(shape, dtype=bool)
    n_train = np.full((len(coords["network"]), len(coords["fraction"])), np.nan)
    tasks: dict[str, tuple[str, int]] = {}
    for i, (run, cell) in enumerate(zip(runs, cells, strict=True)):
        at = tuple(values.index(value) for values, value in zip(coords.values(), cell, strict=True))
        rows = np.searchsorted(steps, run.history.step.values)
        for name in CURVES:
            found[name][at][rows] = run.history[name].values
        found["last_step"][at] = run.history.step.values.max(initial=0)
        found["diverged"][at] = run.diverged_at is not None
        for name, values in (numbers or {}).items():
            found[name][at] = values[i]
        network, task = network_of(run.config), run.config.data
        here = str(getattr(task.operation, "name", task.operation)), task.p
        if (other := tasks.setdefault(network, here)) != here:
            words = " and ".join(f"{operation}, p={p}" for operation, p in (here, other))
            raise ValueError(f"runs has {network} on {words}; compare one task at a time")
        place = coords["network"].index(network), coords["fraction"].index(task.train_fraction)
        n_train[place] = task.n_train
    return xr.Dataset(
        {
            name: ((*coords, "step") if name in CURVES else tuple(coords), values)
            for name, values in found.items()
        }
        | {
            "n_train": (("network", "fraction"), n_train),
            "chance": ("network", [1 / p for _, p in tasks.values()]),
        },
        coords={**coords, "step": steps},
    )
