"""The first paper's default network, trained on the authors' split and noise.

Split and noise are the authors' bit for bit; the initial weights are ours.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.ledger.measures.curves import accuracy_claims, first_steps, histories
from analyses.ledger.measures.neurons import corrupted_answers, neurons, phases, pruned
from analyses.one_run.grokking import PROBES
from analyses.one_run.phases import Phase

_SLACK = 0.05  # of the memorised share, around a threshold between phases


def runs_by_decay(
    *,
    seeds: int,
    work: Path,
    decays: Sequence[Sequence[float]],
    log_every: int,
    corruption: float,
    prune: bool = False,
) -> xr.Dataset:
    """Curves, neurons and, if asked, pruning curves, over the weight decay and seeds.

    Args:
        seeds: runs per weight decay.
        work: not used; the runs take seconds.
        decays: pairs of a weight decay and its number of steps.
        log_every: steps between two evaluations.
        corruption: share of the labels that are redrawn.
        prune: also prune the final networks.
    """
    del work
    found: list[xr.Dataset] = []
    for weight_decay, steps in decays:
        config = gi.RunConfig(
            data=gi.DataConfig(corruption=corruption, protocol="published"),
            training=gi.TrainConfig(
                weight_decay=weight_decay, steps=int(steps), eval_every=log_every
            ),
        )
        runs = train(config, seeds)
        parts = [measure(runs)]
        if prune:
            parts += [pruned(runs), corrupted_answers(runs)]
        found.append(xr.merge(parts, compat="override", join="outer"))
    data = xr.concat(found, xr.Variable("weight_decay", [d for d, _ in decays]), join="outer")
    if prune:  # what the paper says of all decays together; of losses, without Partial Inversion
        partial = data.in_phase.sel(phase="partial inversion") == 1
        falls = data.train_loss_fall.where(~partial)
        data["largest_train_loss_fall"] = falls.max("weight_decay")
        data["lowest_without_memory"] = data.test_without_memory.min("weight_decay")
    return data


def norm_runs(
    *,
    seeds: int,
    work: Path,
    norms: Sequence[str],
    train_fractions: Sequence[float],
    corruption: float,
    steps: int,
    log_every: int,
) -> xr.Dataset:
    """The network with and without a norm, in mini-batches of 64, over norms and train fractions.

    Args:
        seeds: runs per norm and fraction.
        work: not used.
        norms: "batch", "layer" or "none".
        train_fractions: alpha.
        corruption: share of the labels that are redrawn.
        steps: of 64 pairs each.
        log_every: steps between two evaluations.
    """
    del work
    found: list[xr.Dataset] = []
    for norm in norms:
        of_norm: list[xr.Dataset] = []
        for fraction in train_fractions:
            config = gi.RunConfig(
                data=gi.DataConfig(
                    train_fraction=fraction, corruption=corruption, protocol="published"
                ),
                model=gi.MLPConfig(norm=None if norm == "none" else norm),
                training=gi.TrainConfig(steps=steps, lr=5e-3, batch_size=64, eval_every=log_every),
            )
            of_norm.append(measure(train(config, seeds)))
        found.append(xr.concat(of_norm, xr.Variable("train_fraction", list(train_fractions))))
    data = xr.concat(found, xr.Variable("norm", list(norms)), join="outer")
    floor = 1 - data.n_changed / data.n_train
    return data.assign(
        ipr_difference=data.mean_ipr_at_end.diff("norm").isel(norm=0, drop=True),
        above_floor=data.final_train - floor,
    )


def norm_phases(
    *,
    seeds: int,
    work: Path,
    norms: Sequence[str],
    train_fractions: Sequence[float],
    corruption: float,
    steps: int,
    log_every: int,
) -> xr.Dataset:
    """:func:`norm_runs`, with ``near_phase`` (phase, norm, train_fraction, seed).

    It is 1 for the phase of a run that generalises, and also for the next phase if the accuracy on
    changed labels is within .05 of the threshold between them; else 0.
    """
    data = norm_runs(
        seeds=seeds,
        work=work,
        norms=norms,
        train_fractions=train_fractions,
        corruption=corruption,
        steps=steps,
        log_every=log_every,
    )
    test, known = (
        data[f"{name}_accuracy"].isel(step=-1, drop=True) for name in ("test", "changed")
    )
    near = {
        Phase.COEXISTENCE: known >= 0.9 - _SLACK,
        Phase.PARTIAL_INVERSION: (known >= 0.1 - _SLACK) & (known <= 0.9 + _SLACK),
        Phase.FULL_INVERSION: known <= 0.1 + _SLACK,
    }
    found = [(test >= 0.9) & one for one in near.values()]
    names = xr.Variable("phase", [str(phase) for phase in near])
    return data.drop_dims("phase").assign(near_phase=xr.concat(found, names).astype(float))


def train(config: gi.RunConfig, seeds: int) -> list[gi.Run]:
    """One run per seed; data and noise are the same in all."""
    return gi.train_many([config.replace({"seed": seed}) for seed in range(seeds)], probes=PROBES)


def measure(runs: Sequence[gi.Run]) -> xr.Dataset:
    """Curves, crossings, claims, phases and neurons of runs that differ only in the seed."""
    curves = histories(runs)
    counts = {
        "n_train": ("seed", [float(run.dataset.is_train.sum()) for run in runs]),
        "n_changed": ("seed", [float(run.dataset.is_changed.sum()) for run in runs]),
    }
    parts: list[Any] = [
        curves,
        xr.Dataset(counts),
        first_steps(curves),
        accuracy_claims(curves, runs[0].config),
    ]
    return xr.merge(
        [*parts, phases(runs), neurons(runs)], compat="override", join="outer"
    ).assign_coords(seed=np.arange(len(runs)))
