"""Controls of Hypothesis 2.1 and of the plateau: other orders, mean ablation, wrong labels only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures.neurons import phases
from analyses.one_run import pruning

_MODES = ("zero", "mean")
_SUBSETS = ["test", "changed"]
_ORDERS = ("ipr", "attribution")
_REMOVED = {"low": 0.6, "high": 0.3}  # shares of the neurons that the hypothesis removes


def pruning_controls(*, seeds: int, work: Path, steps: int, corruption: float) -> xr.Dataset:
    """The network of Fig. 6 without 60 % of its low neurons, or 30 % of its high ones.

    Args:
        seeds: of the weights.
        work: not used; the runs take seconds.
        steps: of training without weight decay, on the authors' split and noise.
        corruption: share of the labels that are redrawn.

    Returns:
        Dataset over "mode" (what a removed activation becomes: "zero" or its "mean") and "seed":
        ``accuracy`` (mode, order, end, subset, seed), order "ipr" or "attribution" (the weights'
        and activations' effect on the true label's logit), end "low" or "high", subset "test" or
        "changed"; ``hypothesis``, 1 if the four bounds of the published value hold in the order of
        IPR. ``over_attribution`` (seed): test accuracy without the low 60 %, in the order of IPR
        minus in that of attribution, with zeros.
    """
    del work
    base = gi.RunConfig(
        data=gi.DataConfig(corruption=corruption, protocol="published"),
        training=gi.TrainConfig(steps=steps, eval_every=steps),
    )
    runs = gi.train_many([base.replace({"seed": seed}) for seed in range(seeds)])
    of_modes = [xr.concat([_removed(run, mode) for run in runs], "seed") for mode in _MODES]
    accuracy = xr.concat(of_modes, xr.Variable("mode", list(_MODES)))
    low, high = (accuracy.sel(order="ipr", end=end, drop=True) for end in ("low", "high"))
    holds = (
        (low.sel(subset="changed", drop=True) <= 0.05)
        & (low.sel(subset="test", drop=True) >= 0.97)
        & (high.sel(subset="test", drop=True) <= 0.05)
        & (high.sel(subset="changed", drop=True) >= 0.90)
    )
    tested = accuracy.sel(mode="zero", end="low", subset="test", drop=True)
    gain = tested.sel(order="ipr", drop=True) - tested.sel(order="attribution", drop=True)
    return xr.Dataset(
        {"accuracy": accuracy, "hypothesis": holds.astype(float), "over_attribution": gain}
    )


def _removed(run: gi.Run, mode: str) -> xr.DataArray:
    """Accuracies (order, end, subset) once a share of the neurons is removed."""
    data = pruning.compute(run, orders=list(_ORDERS), mode=mode)
    width = int(data.removed[-1])
    found = [
        [
            pruning.curve(data, order, end)
            .accuracy.sel(removed=round(share * width), subset=_SUBSETS)
            .values
            for end, share in _REMOVED.items()
        ]
        for order in _ORDERS
    ]
    axes = {"order": list(_ORDERS), "end": list(_REMOVED), "subset": _SUBSETS}
    return xr.DataArray(np.array(found), axes)


def wrong_labels_only(
    *, seeds: int, work: Path, decays: Sequence[Sequence[float]], corruption: float
) -> xr.Dataset:
    """The networks of Fig. 1 when every redrawn label is wrong, over weight decay and seeds.

    Args:
        seeds: of data and weights, per decay.
        work: not used; the runs take seconds.
        decays: pairs of a weight decay and its number of steps.
        corruption: share of the labels that are drawn from the wrong ones.

    Returns:
        Dataset over "weight_decay": ``in_phase`` (phase, seed), 1 for a run's phase, else 0;
        ``train`` accuracy at the end, and ``over_plateau``, its difference of 1 - xi, both (seed).
    """
    del work
    data = gi.DataConfig(corruption=corruption, corruption_kind="derangement")
    parts: list[xr.Dataset] = []
    for weight_decay, steps in decays:
        training = gi.TrainConfig(steps=int(steps), weight_decay=weight_decay, eval_every=10)
        base = gi.RunConfig(data=data, training=training)
        runs = gi.train_many(
            [base.replace({"seed": seed, "data.seed": seed}) for seed in range(seeds)]
        )
        train = [float(run.history.train_accuracy[-1]) for run in runs]
        parts.append(
            phases(runs).assign(
                train=("seed", train),
                over_plateau=("seed", [value - (1 - corruption) for value in train]),
            )
        )
    return xr.concat(parts, xr.Variable("weight_decay", [decay for decay, _ in decays]))
