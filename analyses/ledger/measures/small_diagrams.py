"""Diagrams of few cells: small networks, norms and batch sizes, and weight decay at one cell."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

import grokinterp as gi
from analyses.label_noise import table_ipr
from analyses.ledger.measures.diagrams import INVERSION, cells_of, compared
from analyses.phase_diagrams import presets
from analyses.phase_diagrams.presets import X, Y

_NORMS = {"batch": 9, "layer": 11, "none": 10}  # the figure of each norm


def small_diagrams(
    *,
    seeds: int,
    work: Path,
    name: str,
    values: Sequence[float],
    train_fractions: Sequence[float],
    corruptions: Sequence[float],
) -> xr.Dataset:
    """The diagram of a preset with the small network of ``table_ipr``.

    Args:
        seeds: per cell.
        work: the sweep is stored here, and resumed.
        name: of the preset.
        values: of the panels' setting.
        train_fractions: alpha.
        corruptions: xi.

    Returns:
        See :func:`analyses.ledger.measures.diagrams.compared`. Also ``generalising_ratio``
        (preset, panel), cells that generalise over those of the panel before, NaN if it has none.
    """
    panel, config = presets.get(name).panel, table_ipr.network(name, "small")
    axes = {panel: values, X: train_fractions, Y: corruptions}
    sweep = gi.sweep(config, axes, seeds, store=work / f"{name}-{seeds}.zarr").load()
    found = compared([cells_of(sweep, panel, config.data.p)], [name])
    before = found.generalising.shift(panel=1)
    return found.assign(generalising_ratio=found.generalising / before.where(before > 0))


def norm_diagrams(
    *,
    seeds: int,
    work: Path,
    batches: Sequence[int],
    train_fractions: Sequence[float],
    corruptions: Sequence[float],
) -> xr.Dataset:
    """How many cells invert with each norm and batch size, at the settings of Figs. 9 to 11.

    Args:
        seeds: per cell.
        work: each sweep is stored here, and resumed.
        batches: sizes.
        train_fractions: alpha.
        corruptions: xi.

    Returns:
        Dataset over "norm" ("batch", "layer", "none"), "batch" and "seed": ``inversion``, the
        number of the seed's cells in Partial or Full Inversion. Over "norm" and "seed":
        ``inversion_of_norm``, their sum over batch sizes.
    """
    of_norms: list[xr.DataArray] = []
    for figure in _NORMS.values():
        of_batches: list[xr.DataArray] = []
        for batch in batches:
            name = f"fig{figure}-b{batch}"
            preset = presets.get(name)
            axes = {preset.panel: preset.values, X: train_fractions, Y: corruptions}
            store = work / f"{name}-{seeds}.zarr"
            sweep = gi.sweep(preset.config("full"), axes, seeds, store=store).load()
            phase = cells_of(sweep, preset.panel, preset.config("full").data.p).phase
            of_batches.append(phase.isin(INVERSION).sum(("panel", "alpha", "xi")).astype(float))
        of_norms.append(xr.concat(of_batches, xr.Variable("batch", list(batches))))
    inversion = xr.concat(of_norms, xr.Variable("norm", list(_NORMS)))
    return xr.Dataset({"inversion": inversion, "inversion_of_norm": inversion.sum("batch")})


def least_decay(
    *,
    seeds: int,
    work: Path,
    decays: Sequence[float],
    train_fraction: float,
    corruption: float,
    precision: str,
) -> xr.Dataset:
    """The smallest weight decay at which the default network generalises, by activation.

    Args:
        seeds: per decay.
        work: the sweep is stored here, and resumed.
        decays: in rising order.
        train_fraction: alpha.
        corruption: xi.
        precision: of the matrix products, as for ``grokinterp.sweep``.

    Returns:
        Dataset over "activation" ("square", "relu"): ``test`` accuracy (activation, decay, seed),
        and ``least``, the smallest decay at which most seeds generalise, NaN if there is none.
    """
    config = presets.get("fig3a").config("full").replace({X: train_fraction, Y: corruption})
    axes = {"model.act": ["square", "relu"], presets.WEIGHT_DECAY: decays}
    store = work / f"least_decay-{seeds}-{precision}.zarr"
    sweep = gi.sweep(config, axes, seeds, store=store, precision=precision).load()
    test = sweep.final_accuracy.sel(subset="test", drop=True)
    test = test.rename({"model.act": "activation", presets.WEIGHT_DECAY: "decay"})
    works = (test >= 0.9).mean("seed") > 0.5
    return xr.Dataset({"test": test, "least": test.decay.where(works).min("decay")})
