"""The three-layer network with a little dropout (Doshi et al. 2023, App. G and Sec. 2.2)."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import Phase
from analyses.phase_diagrams import presets, sweep_phases
from analyses.phase_diagrams.presets import DROPOUT, X, Y


def deep_dropout(
    *,
    seeds: int,
    work: Path,
    size: str,
    train_fractions: Sequence[float],
    corruptions: Sequence[float],
    dropouts: Sequence[float],
    precision: str,
) -> xr.Dataset:
    """The network of Fig. 7b without weight decay, in every cell and at every dropout.

    Args:
        seeds: per cell.
        work: the sweep is stored here, and resumed.
        size: of the network, as of the preset's: "full" or "tiny".
        train_fractions: alpha.
        corruptions: xi.
        dropouts: probabilities.
        precision: of the matrix products, as for ``grokinterp.sweep``.

    Returns:
        Dataset over "dropout": ``train``, ``test`` and ``changed`` accuracies at the end (dropout,
        alpha, xi, seed); ``confusion`` and ``full_inversion``, the numbers of cells with that
        majority phase; ``largest_train`` and ``largest_changed``, of all runs.
    """
    axes = {DROPOUT: dropouts, X: train_fractions, Y: corruptions}
    config = presets.get("fig7b").config(size)
    store = work / f"deep_dropout-{size}-{seeds}-{precision}.zarr"
    sweep = gi.sweep(config, axes, seeds, None, store, precision=precision).load()
    phases = sweep_phases.compute(sweep)
    new = {DROPOUT: "dropout", X: "alpha", Y: "xi"}
    accuracy = sweep.final_accuracy.rename(new)
    ends = {name: accuracy.sel(subset=name, drop=True) for name in ("train", "test", "changed")}
    majority, over = phases.majority.rename(new), ("alpha", "xi", "seed")
    cells = {
        name: (majority == str(phase)).sum(over[:2]).astype(float)
        for name, phase in (
            ("confusion", Phase.CONFUSION),
            ("full_inversion", Phase.FULL_INVERSION),
        )
    }
    return xr.Dataset(
        {
            **ends,
            **cells,
            "largest_train": ends["train"].max(over),
            "largest_changed": ends["changed"].max(over),
        }
    )
