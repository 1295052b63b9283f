"""The main numbers of a run, as the command line and the top of the report show them.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import pruning, summary
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> found = summary.summarise(run, pruning.compute(run, random_seeds=1))
    >>> found["phase"], found["network"], found["task"]["changed_labels"]
    ('coexistence', 'MLP 1x100 square', 21)
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from analyses.hypothesis.verdict import answers_of
from analyses.one_run import ipr_histogram, phases
from analyses.one_run.ipr_histogram import IPR_GENERALISES_ABOVE, IPR_MEMORISES_BELOW
from analyses.one_run.pruning import at_share, curve
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.data import SUBSETS
from grokinterp.models.anatomy import anatomy
from grokinterp.training.as_run import OutsideRun
from probes.neuron_weights import has_neuron_weights

# The share of neurons removed, by the end of the order of IPR that is removed first.
READ_AT = {"low": 0.6, "high": 0.3}


def has_one_layer(model: object) -> bool:
    """Whether a network has one hidden layer and no norm, so that each neuron has an IPR."""
    return has_neuron_weights(model) and not anatomy(model).gains


def summarise(
    run: Run,
    pruned: xr.Dataset | None = None,
    *,
    judged: xr.Dataset | None = None,
    apart: xr.Dataset | None = None,
) -> dict[str, Any]:
    """The main numbers of a run, ready for JSON; None where a number is not defined.

    Args:
        run: a run of any network.
        pruned: its :func:`analyses.one_run.pruning.compute`; with the order "ipr" it gives
            "pruning_by_ipr".
        judged: its :func:`analyses.hypothesis.compute`, which gives "hypothesis".
        apart: its :func:`analyses.dissociation.compute`, which gives "dissociation".
    """
    check_run(run)
    last = run.history.isel(step=-1)
    data, training = run.config.data, run.config.training
    known = not isinstance(run, OutsideRun)
    # Histories saved by an earlier version lack the subset "selected". Which labels a network that
    # was trained elsewhere had redrawn is not known.
    scored = [subset for subset in SUBSETS if f"{subset}_accuracy" in last]
    if not known:
        scored.remove("selected")
    settings = {
        "steps": training.steps,
        "lr": training.lr,
        "weight_decay": training.weight_decay,
        "lr_times_weight_decay": training.lr * training.weight_decay,
        "seed": run.config.seed,
    }
    return {
        "phase": str(phases.classify(run)),
        "network": run.model.description,
        "task": {
            "operation": str(getattr(data.operation, "name", data.operation)),
            "p": data.p,
            "train_fraction": data.train_fraction,
            "corruption": data.corruption,
            "changed_labels": int(run.dataset.is_changed.sum()),
            "data_seed": data.seed if known else None,
        },
        "training": {
            "ending": run.ending,
            **{name: value if known else None for name, value in settings.items()},
        },
        "accuracy": {subset: _defined(last[f"{subset}_accuracy"]) for subset in scored},
        "loss": {split: _defined(last[f"{split}_loss"]) for split in SUBSETS[:2]},
        **_neurons(run, pruned),
        "hypothesis": None if judged is None else _hypothesis(judged),
        "dissociation": None if apart is None else _dissociation(apart),
        "provenance": run.provenance,
    }


def _neurons(run: Run, pruned: xr.Dataset | None) -> dict[str, Any]:
    """What only a network with one hidden layer has."""
    if not has_one_layer(run.model):
        return {"mean_ipr": None, "neurons": None, "pruning_by_ipr": None}
    neurons = ipr_histogram.compute(run).isel(run=0)
    n_low, n_high, n_dead = (int(neurons[name]) for name in ("n_low", "n_high", "n_dead"))
    width = neurons.sizes["neuron"]
    return {
        "mean_ipr": _defined(neurons.mean_ipr),
        "neurons": {
            "all": width,
            f"ipr_below_{IPR_MEMORISES_BELOW}": n_low,
            "between": width - n_low - n_high - n_dead,
            f"ipr_above_{IPR_GENERALISES_ABOVE}": n_high,
            "dead": n_dead,
        },
        "pruning_by_ipr": _pruning(pruned),
    }


def _pruning(pruned: xr.Dataset | None) -> dict[str, Any] | None:
    if pruned is None or "ipr" not in pruned.order.values:
        return None
    found = {}
    for direction, share in READ_AT.items():
        accuracy = at_share(curve(pruned, "ipr", direction), share).accuracy
        found[direction] = {"fraction": share} | {
            subset: _defined(accuracy.sel(subset=subset)) for subset in SUBSETS
        }
    return found


def _hypothesis(judged: xr.Dataset) -> dict[str, Any]:
    one = judged.isel(run=0)
    answers = answers_of(one, float(judged.attrs["threshold"]))
    return {
        "verdict": one.verdict.item(),
        "reason": one.reason.item(),
        "borderline": bool(one.borderline),
        "answers": {
            what: {"passed": answer.passed, "near": answer.near, "why": answer.why}
            for what, answer in answers.items()
        },
    }


def _dissociation(apart: xr.Dataset) -> list[dict[str, Any]]:
    found = []
    for row in range(apart.sizes["row"]):
        one = apart.isel(row=row, seed=0)
        numbers = {name: _defined(one[name]) for name in ("S_mem", "S_gen")}
        controls = {
            f"{name}, random": _defined(one[f"control_{name[2:]}"].max("order")) for name in numbers
        }
        named = {"units": one.unit.item(), "n": int(one.units), "verdict": one.verdict.item()}
        found.append(named | numbers | controls)
    return found


def table_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary as rows of a name and a value; values that are not defined are left out."""
    training = summary["training"]
    groups = f"neurons: IPR < {IPR_MEMORISES_BELOW} / between / > {IPR_GENERALISES_ABOVE} / dead"
    decay, by_step = training["weight_decay"], training["lr_times_weight_decay"]
    _, *counts = (summary["neurons"] or {"all": 0}).values()
    rows = {
        "phase": summary["phase"],
        "network": summary["network"],
        "training": training["ending"],
        "weight decay (lr x weight decay)": f"{decay:g} ({by_step:g} per step)"
        if decay is not None
        else "",
        **{
            f"accuracy: {name}": _number(summary["accuracy"].get(subset))
            for subset, name in _SUBSET_NAME.items()
        },
        "mean IPR (1 = one frequency)": _number(summary["mean_ipr"]),
        groups: " / ".join(map(str, counts)),
    }
    if summary["pruning_by_ipr"]:
        low, high = summary["pruning_by_ipr"].values()
        rows[f"after removing the {low['fraction']:.0%} of lowest IPR"] = in_words(low)
        rows[f"after removing the {high['fraction']:.0%} of highest IPR"] = in_words(high)
    for apart in summary["dissociation"] or ():
        values = f"S_mem {_number(apart['S_mem'])}, S_gen {_number(apart['S_gen'])}"
        rows[f"dissociation: {apart['units']}"] = f"{apart['verdict']} ({values})"
    if summary["hypothesis"]:
        rows["Hypothesis 2.2"] = hypothesis_in_words(summary["hypothesis"])
    return [(what, value) for what, value in rows.items() if value]


def hypothesis_in_words(found: Mapping[str, Any]) -> str:
    """The verdict, and how many of the nine properties the network has."""
    passed = [answer["passed"] for answer in found["answers"].values()]
    near = ", borderline" if found["borderline"] else ""
    return f"{found['verdict']}{near}: {passed.count(True)} of {len(passed)} properties"


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
    return None if not np.isfinite(value) else float(value)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"
