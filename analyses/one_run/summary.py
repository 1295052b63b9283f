"""The main numbers of a run, as the command line and the top of the report show them."""

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from analyses.one_run import ipr_histogram, phases
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.one_run.pruning import curve
from grokinterp import Run
from grokinterp.data import SUBSETS

# The share of neurons removed, by the end of the order of IPR that is removed first.
READ_AT = {"low": 0.6, "high": 0.3}


def summarise(run: Run, pruned: xr.Dataset) -> dict[str, Any]:
    """The main numbers of a run, ready for JSON; None where a number is not defined.

    Args:
        run: a run of a network with one hidden layer.
        pruned: its :func:`analyses.one_run.pruning.compute`, which must have the order "ipr".
    """
    last = run.history.isel(step=-1)
    neurons = ipr_histogram.compute(run).isel(run=0)
    width = run.config.model.d_mlp
    n_low, n_high, n_dead = (int(neurons[name]) for name in ("n_low", "n_high", "n_dead"))
    data, training = run.config.data, run.config.training
    pruning = {}
    for direction, share in READ_AT.items():
        accuracy = curve(pruned, "ipr", direction).accuracy.isel(removed=round(share * width))
        pruning[direction] = {"fraction": share} | {
            subset: _defined(accuracy.sel(subset=subset)) for subset in SUBSETS
        }
    # Histories saved by an earlier version lack the subset "selected".
    scored = [subset for subset in SUBSETS if f"{subset}_accuracy" in last]
    return {
        "phase": str(phases.classify(run)),
        "task": {
            "operation": str(getattr(data.operation, "name", data.operation)),
            "p": data.p,
            "train_fraction": data.train_fraction,
            "corruption": data.corruption,
            "changed_labels": int(run.dataset.is_changed.sum()),
            "data_seed": data.seed,
        },
        "training": {
            "steps": training.steps,
            "ending": run.ending,
            "lr": training.lr,
            "weight_decay": training.weight_decay,
            "lr_times_weight_decay": training.lr * training.weight_decay,
            "seed": run.config.seed,
        },
        "accuracy": {subset: _defined(last[f"{subset}_accuracy"]) for subset in scored},
        "loss": {split: _defined(last[f"{split}_loss"]) for split in SUBSETS[:2]},
        "mean_ipr": _defined(neurons.mean_ipr),
        "neurons": {
            "all": width,
            f"ipr_below_{IPR_MEMORISES_BELOW}": n_low,
            "between": width - n_low - n_high - n_dead,
            f"ipr_above_{IPR_GENERALISES_ABOVE}": n_high,
            "dead": n_dead,
        },
        "pruning_by_ipr": pruning,
        "provenance": run.provenance,
    }


def table_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary as rows of a name and a value; values that are not defined are left out."""
    training, (low, high) = summary["training"], summary["pruning_by_ipr"].values()
    groups = f"neurons: IPR < {IPR_MEMORISES_BELOW} / between / > {IPR_GENERALISES_ABOVE} / dead"
    _, *counts = summary["neurons"].values()
    decay = f"{training['weight_decay']:g} ({training['lr_times_weight_decay']:g} per step)"
    rows = {
        "phase": summary["phase"],
        "training": training["ending"],
        "weight decay (lr x weight decay)": decay,
        **{
            f"accuracy: {name}": _number(summary["accuracy"].get(subset))
            for subset, name in _SUBSET_NAME.items()
        },
        "mean IPR (1 = one frequency)": _number(summary["mean_ipr"]),
        groups: " / ".join(map(str, counts)),
        f"after removing the {low['fraction']:.0%} of lowest IPR": in_words(low),
        f"after removing the {high['fraction']:.0%} of highest IPR": in_words(high),
    }
    return [(what, value) for what, value in rows.items() if value]


_SUBSET_NAME = {
    "train": "train, all",
    "changed": "train, corrupted labels",
    "selected": "train, redrawn labels (1/p of them true)",
    "unchanged": "train, uncorrupted labels",
    "test": "test",
}


def in_words(accuracy: Mapping[str, float | None]) -> str:
    """The accuracies on the test set and on corrupted labels that are defined, in words."""
    places = {"test": "on the test set", "changed": "on corrupted labels"}
    numbers = {subset: _number(accuracy[subset]) for subset in places}
    return " and ".join(
        f"{numbers[name]} {where}" for name, where in places.items() if numbers[name]
    )


def _defined(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"
