"""Norms of every circuit in every measure, and the logits that these norms pay for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

import grokinterp as gi
from analyses.efficiency.circuits.circuits import DEFINITIONS, SUBSET_NAME, Definition
from analyses.efficiency.circuits.sources import END
from analyses.efficiency.histories import has_random_labels, network_of
from analyses.efficiency.model_efficiency.runs import AT_STEP
from grokinterp.checks import check_number
from grokinterp.session import unaffected
from probes.margins import all_logits, label_logits, label_margins
from probes.needed_norm import (
    can_scale_read_out,
    can_share_scale,
    least_scaled_norm,
    scaled_norm,
)
from probes.parameter_norms import norms_by_layer, parameter_norm

RANKS = 20  # logits drawn per network
NORM_KINDS = {
    "all parameters": "norm of all parameters",
    "per logit": "norm of all parameters per logit",
    "used parameters": "unused embeddings left out",
    "matched logit": "at a common median logit",
    "matched margin": "at a common median margin",
    "least": "least norm at that margin",
}
_COMMON = "common"  # the checkpoint at the first step by which all networks have memorised
_ACCURACIES = ("train_accuracy", "test_accuracy")
_NUMBERS = ("step", *_ACCURACIES, "median_logit", "median_margin", "least_margin")
_NO_LEAST = "its layers cannot be scaled against each other"
_MAY_DIFFER = {  # fields in which runs may differ, with any value
    "data.train_fraction": 0.5,
    "data.corruption": 0.0,
    "data.seed": 0,
    "seed": 0,
    "training.batch_size": None,
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which network of a run is taken as the circuit, and what it must do."""

    kind: str  # memorising or generalising
    at: str  # a checkpoint's name, or END
    must: Definition
    random: bool = False  # whether the run has random labels


_FITS = DEFINITIONS["published"]["memorising"]
_LOW, _HIGH = DEFINITIONS["validated"].values()
_ENDS = DEFINITIONS["published"]["generalising"]
CIRCUITS: Mapping[str, Source] = {
    "C_mem": Source(kind="memorising", at="memorising", must=_FITS),
    "C_mem, validation low": Source(kind="memorising", at="memorising", must=_LOW),
    "C_mem, equal step": Source(kind="memorising", at=_COMMON, must=_FITS),
    "random labels": Source(kind="memorising", at="memorising", must=_FITS, random=True),
    "random labels, equal step": Source(kind="memorising", at=END, must=_FITS, random=True),
    "C_gen": Source(kind="generalising", at=END, must=_ENDS),
    "C_gen, validation high": Source(kind="generalising", at=END, must=_HIGH),
}


@unaffected()
def compute(
    runs: Sequence[gi.Run],
    *,
    target_logit: float | None = None,
    target_margin: float | None = None,
) -> xr.Dataset:
    """Norms of every circuit in every measure, and the logits that these norms pay for.

    Args:
        runs: of one network, over train fractions and seeds, on the task's labels and, with
            ``data.corruption=1``, on random ones; as from ``runs.collect_runs``.
        target_logit: the common median of the correct logits, above 0; None: the median over the
            circuits.
        target_margin: the same for the margins.

    Returns:
        Dataset over "circuit", "fraction" and "seed", with ``n_train`` [fraction] in pairs:

        * ``cost`` (..., measure): a norm, or for "per logit" a norm divided by a logit; NaN where
          there is no such circuit, and ``missing`` says why;
        * ``step``; ``train_accuracy`` on the labels given, ``test_accuracy`` on the true ones;
        * ``logits`` (..., rank): correct-class logits of correctly answered training pairs, at 20
          evenly spaced ranks from the smallest to the 95th percentile; their ``median_logit``;
        * ``median_margin`` and ``least_margin`` over all training pairs;
        * ``layer_norm`` (..., layer), without unused embeddings.

        Attributes: the targets; ``equal_step``, the first step by which all networks have
        memorised (-1: there is none); ``no_least``, why a network has no "least" norm.

    Raises:
        ValueError: no runs, runs that differ in more than fraction, batch, seeds and labels, or a
            target that is not positive.

    Source: the second paper, Fig. 6, and its code for the sample of logits.
    """
    given = {"median_logit": target_logit, "median_margin": target_margin}
    for name, target in zip(("target_logit", "target_margin"), given.values(), strict=True):
        if target is not None:
            check_number(name, target, minimum=0, strict=True)
    cells = _cells(runs)
    fractions, seeds = (sorted({key[i] for key in cells}) for i in (1, 2))
    equal_step = _equal_step([run for (random, *_), run in cells.items() if not random])
    sizes = {fraction: run.config.data.n_train for (_, fraction, _), run in cells.items()}
    extra = {"rank": range(RANKS), "layer": list(norms_by_layer(runs[0].model))}
    extra["measure"] = list(NORM_KINDS)
    axes = {"circuit": list(CIRCUITS), "fraction": fractions, "seed": seeds}
    shape = [len(values) for values in axes.values()]

    def empty(*more: str) -> tuple[tuple[str, ...], np.ndarray]:
        return (*axes, *more), np.full((*shape, *(len(extra[name]) for name in more)), np.nan)

    data = xr.Dataset(
        {name: empty() for name in _NUMBERS}
        | {"logits": empty("rank"), "layer_norm": empty("layer"), "cost": empty("measure")}
        | {"missing": (tuple(axes), np.full(shape, "there is no such run", dtype=object))},
        coords={**axes, **extra, "n_train": ("fraction", [sizes[f] for f in fractions])},
    )
    models: dict[tuple[int, ...], gi.HookedModel] = {}
    for at in np.ndindex(*shape):
        source = CIRCUITS[axes["circuit"][at[0]]]
        run = cells.get((source.random, fractions[at[1]], seeds[at[2]]))
        if run is None:
            continue
        model, step = _network(run, source.at, equal_step)
        if model is None:
            data["missing"].values[at] = _never(run, source.at)
            continue
        found = _describe(model, run.dataset) | {"step": step}
        for name, value in found.items():
            data[name].values[at] = value
        data["missing"].values[at] = why = _shortfall(source.must, found)
        if not why:
            models[at] = model
    medians = data[["median_logit", "median_margin"]]
    targets = {
        name: _typical(medians[name].values, models) if target is None else target
        for name, target in given.items()
    }
    for at, model in models.items():
        scale = {
            str(name): ratio(target, medians[name].values[at]) for name, target in targets.items()
        }
        data["cost"].values[at] = costs(model, medians.median_logit.values[at], scale)
    return data.assign(missing=data.missing.astype(str)).assign_attrs(
        network=network_of(runs[0].config),
        equal_step=-1 if equal_step is None else equal_step,
        target_logit=targets["median_logit"],
        target_margin=targets["median_margin"],
        no_least="" if can_share_scale(runs[0].model) else _NO_LEAST,
    )


def _cells(runs: Sequence[gi.Run]) -> dict[tuple[bool, float, int], gi.Run]:
    """Runs by whether labels are random, train fraction and seed."""
    if not runs:
        raise ValueError("runs is empty; give at least one trained run")
    cells: dict[tuple[bool, float, int], gi.Run] = {}
    for run in runs:
        data, random = run.config.data, has_random_labels(run.config)
        if run.config.replace(_MAY_DIFFER) != runs[0].config.replace(_MAY_DIFFER):
            raise ValueError(
                "runs must differ in train fraction, batch size, seeds and random labels only; "
                f"got {run.config!r} and {runs[0].config!r}"
            )
        key = (random, data.train_fraction, run.config.seed)
        if key in cells:
            raise ValueError(
                f"runs has two with train_fraction={key[1]}, seed={key[2]} and corruption="
                f"{data.corruption}; keep one of them"
            )
        cells[key] = run
    return cells


def _equal_step(runs: Sequence[gi.Run]) -> int | None:
    """The first step at which the networks of all runs were kept and had memorised."""
    per_run = [
        {kept.step: kept.metrics["train_accuracy"] for kept in _at_steps(run).values()}
        for run in runs
    ]
    common = sorted(set.intersection(*map(set, per_run))) if per_run else []
    enough = _FITS.at_least["train"]
    return next((s for s in common if all(kept[s] >= enough for kept in per_run)), None)


def _at_steps(run: gi.Run) -> dict[str, gi.Checkpoint]:
    """A run's networks at the planned steps and at the end."""
    kept = {name: kept for name, kept in run.checkpoints.items() if name.startswith(AT_STEP)}
    return kept if run.diverged_at is not None else kept | {END: run.checkpoint()}


def _network(run: gi.Run, at: str, equal_step: int | None) -> tuple[gi.HookedModel | None, int]:
    """The network of a run that a source names, with its step; None if it was not kept."""
    if at == _COMMON:
        steps = {kept.step: name for name, kept in _at_steps(run).items()}
        if equal_step is None:
            return None, -1
        at = steps[equal_step]
    if at == END:
        return run.model, int(run.history.step[-1])
    if at not in run.checkpoints:
        return None, -1
    return run.model_at(at), run.checkpoints[at].step


def _never(run: gi.Run, at: str) -> str:
    """Why a run has no such network."""
    if at == _COMMON:
        return "there is no step at which all networks were kept and had memorised"
    best = float(run.history.train_accuracy.max())
    return (
        f"train accuracy never reached {_FITS.at_least['train']:g} in {run.config.training.steps} "
        f"steps; the best was {best:.3f}"
    )


def _describe(model: gi.HookedModel, dataset: gi.Dataset) -> dict[str, Any]:
    """Accuracies, logits and margins of a network on its data, and the norms of its layers."""
    logits = all_logits(model, dataset.tokens)
    right = logits.argmax(dim=1) == dataset.labels
    seen = dataset.is_train
    margin = label_margins(logits, dataset.labels)[seen]
    correct = label_logits(logits, dataset.labels)[seen & right].sort().values.numpy()
    found = {
        "train_accuracy": float(right[seen].double().mean()),
        "test_accuracy": float(right[~seen].double().mean()),
        "median_margin": float(margin.median()),
        "least_margin": float(margin.min()),
        "layer_norm": list(norms_by_layer(model).values()),
    }
    if len(correct):
        ranks = np.linspace(0, 0.95 * (len(correct) - 1), RANKS).round().astype(int)
        found |= {"logits": correct[ranks], "median_logit": float(np.median(correct))}
    return found


def _shortfall(must: Definition, found: Mapping[str, Any]) -> str:
    """How a network fails its definition; "" if it does not."""
    train, test = found["train_accuracy"], found["test_accuracy"]
    if must.shortfall({"train": train, "unchanged": train, "test": test}) <= 0:
        return ""
    return f"it must have {must}; it has train {train:.3f}, {SUBSET_NAME['test']} {test:.3f}"


def costs(
    model: gi.HookedModel, median_logit: float, scale: Mapping[str, float]
) -> Float[np.ndarray, " measure"]:
    """The norms in the order of ``NORM_KINDS``; NaN for one that a network does not have.

    Args:
        model: the network.
        median_logit: its median correct logit.
        scale: "median_logit" and "median_margin": the factor on all logits that brings this
            median to a common size.
    """
    everything, margin = parameter_norm(model, used_only=False), scale["median_margin"]
    matched = [math.nan, math.nan]
    if can_scale_read_out(model):
        matched = [scaled_norm(model, scale["median_logit"]), scaled_norm(model, margin)]
    least = least_scaled_norm(model, margin) if can_share_scale(model) else math.nan
    per_logit = ratio(everything, median_logit)
    return np.array([everything, per_logit, parameter_norm(model), *matched, least])


def _typical(values: np.ndarray, models: Mapping[tuple[int, ...], Any]) -> float:
    """Median over the circuits of the values that are positive."""
    found = [value for at in models if (value := values[at]) > 0]
    return float(np.median(found)) if found else math.nan


def ratio(value: float, by: float) -> float:
    """``value / by``; NaN unless ``by`` is positive, since a negative logit has no price."""
    return value / by if by > 0 else math.nan
