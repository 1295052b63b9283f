"""Forgetting without an adaptive optimiser (Doshi et al. 2023, App. E): a search, then the test.

A network that has never generalised cannot forget, so first a learning rate is searched at which
runs of SGD generalise. With it weight decay is scanned up to where nothing is learned any more, and
the last decay that keeps what it learned is bisected, as Forgetting would lie just beyond. Runs of
AdamW with the same network and data show that it can forget at all.
"""

import warnings
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import EndPoint, Phase, phase_of
from analyses.statistics.thresholds import GENERALISED_FROM


def forgetting_with_sgd(
    *,
    seeds: int,
    work: Path,
    p: int,
    d_mlp: int,
    train_fraction: float,
    corruption: float,
    search: dict[str, Any],
    decays: Sequence[float],
    rounds: int,
    steps: int,
    adamw_decays: Sequence[float],
) -> xr.Dataset:
    """How many runs forget with SGD, and with AdamW.

    Args:
        seeds: of data and weights, for each setting.
        work: not used; a run takes seconds.
        p: modulus.
        d_mlp: width.
        train_fraction: alpha.
        corruption: xi.
        search: "momenta", "rates" in rising order, and the "decay" and the "steps" of its runs. Of
            each momentum the smallest rate is taken at which all seeds reach a test accuracy of .9.
        decays: of SGD, in rising order; lambda of a loss with lambda / 2 |w|^2.
        rounds: of bisection between the last decay at which most seeds end generalising and the
            next one.
        steps: of the runs that are judged.
        adamw_decays: of AdamW at its default learning rate.

    Returns:
        Dataset with the search, ``searched`` (momentum, rate, seed), largest test accuracies (0 for
        runs that diverged), and ``chosen`` (momentum), NaN if no rate will do. Of the runs of SGD
        that followed (run): ``of_momentum``, ``decay``, ``max_test``, ``end_test``, and
        ``objective``, the regularised loss when test accuracy is largest over that of weights that
        are all zero, NaN of runs that never generalise; ``largest_objective``. Over "optimiser"
        ("sgd", "adamw"): ``generalised`` and ``forgot``, numbers of runs. ``forgotten``: those of
        SGD, NaN if no run of SGD generalised, as then nothing was tested.
    """
    del work
    data = gi.DataConfig(p=p, train_fraction=train_fraction, corruption=corruption)
    base = gi.RunConfig(data=data, model=gi.MLPConfig(d_mlp=d_mlp))

    def train(settings: Iterable[dict[str, Any]], steps: int, **all_runs: Any) -> list[gi.Run]:
        """Every seed of every setting of the training."""
        configs = [
            base.replace({"training": gi.TrainConfig(steps=steps, **setting, **all_runs)}).replace(
                {"seed": seed, "data.seed": seed}
            )
            for setting in settings
            for seed in range(seeds)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gi.DivergenceWarning)  # counted as not generalising
            return gi.train_many(configs)

    pairs = list(product(search["momenta"], search["rates"]))
    tried = train(
        [{"momentum": momentum, "lr": rate} for momentum, rate in pairs],
        search["steps"],
        optimizer="sgd",
        weight_decay=search["decay"],
    )
    shape = (len(search["momenta"]), len(search["rates"]), seeds)
    searched = xr.DataArray(
        np.reshape([_max_test(run) for run in tried], shape),
        dims=("momentum", "rate", "seed"),
        coords={"momentum": list(search["momenta"]), "rate": list(search["rates"])},
    )
    good = (searched >= GENERALISED_FROM).all("seed")
    chosen = searched.rate.where(good).min("rate")
    runs: list[gi.Run] = []
    for momentum in chosen.momentum.values[chosen.notnull().values]:
        sgd = {
            "optimizer": "sgd",
            "momentum": float(momentum),
            "lr": float(chosen.sel(momentum=momentum)),
        }
        scan = train([{"weight_decay": decay} for decay in decays], steps, **sgd)
        for _ in range(rounds):
            if (middle := _edge(scan)) is not None:
                scan += train([{"weight_decay": middle}], steps, **sgd)
        runs += scan
    adamw = train([{"weight_decay": decay} for decay in adamw_decays], steps)
    generalised, forgot = zip(*(_counts(one) for one in (runs, adamw)), strict=True)
    objective = [_objective(run) for run in runs]
    return xr.Dataset(
        {
            "searched": searched,
            "chosen": chosen,
            "of_momentum": ("run", [run.config.training.momentum for run in runs]),
            "decay": ("run", [run.config.training.weight_decay for run in runs]),
            "max_test": ("run", [_max_test(run) for run in runs]),
            "end_test": ("run", [EndPoint.of(run).test for run in runs]),
            "objective": ("run", objective),
            "largest_objective": max((x for x in objective if x == x), default=np.nan),
            "generalised": ("optimiser", list(generalised)),
            "forgot": ("optimiser", list(forgot)),
            "forgotten": forgot[0] if generalised[0] else np.nan,
        },
        coords={"optimiser": ["sgd", "adamw"]},
    )


def _max_test(run: gi.Run) -> float:
    end = EndPoint.of(run)
    return 0.0 if end.diverged else end.max_test


def _counts(runs: Sequence[gi.Run]) -> tuple[float, float]:
    """How many runs generalise at some time, and how many forget."""
    forgot = sum(phase_of(EndPoint.of(run)) == Phase.FORGETTING for run in runs)
    return float(sum(_max_test(run) >= GENERALISED_FROM for run in runs)), float(forgot)


def _edge(runs: Sequence[gi.Run]) -> float | None:
    """Between the last decay at which most seeds end generalising and the next; None if neither."""
    ends: dict[float, list[bool]] = {}
    for run in runs:
        works = EndPoint.of(run).test >= GENERALISED_FROM
        ends.setdefault(run.config.training.weight_decay, []).append(works)
    decays = sorted(ends)
    keeps = [i for i, decay in enumerate(decays) if 2 * sum(ends[decay]) > len(ends[decay])]
    if not keeps or keeps[-1] + 1 == len(decays):
        return None
    return float(np.sqrt(decays[keeps[-1]] * decays[keeps[-1] + 1]))


def _objective(run: gi.Run) -> float:
    """Loss plus lambda / 2 |w|^2 at the largest test accuracy, over the loss of zero weights."""
    if _max_test(run) < GENERALISED_FROM:
        return np.nan
    at_best = run.history.isel(step=int(run.history.test_accuracy.argmax("step")))
    squared = float((at_best.norm**2).sum())
    regularised = float(at_best.train_loss) + run.config.training.weight_decay / 2 * squared
    return regularised * run.config.data.p
