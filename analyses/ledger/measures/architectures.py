"""The other architectures: their sizes, the notebook's transformer, the periodicity of inputs."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
from analyses.one_run import row_ipr
from analyses.phase_diagrams import presets
from probes import parameter_norm

_TABLES = {  # parameters that the papers leave out of their counts
    "first paper's transformer": ("embed.W_E", "pos_embed.W_pos"),
    "transformer": ("embed.W_E", "unembed.W_U"),
    "lstm": ("embed.W_E", "unembed.W_U"),
    "mlp": ("embed.W_E",),
}


def parameter_counts(*, seeds: int, work: Path) -> xr.Dataset:
    """``parameters`` of the papers' networks, over "network", without embedding tables.

    Of the second paper's MLP, over "seed": ``initial_norm`` of all parameters; ``dead_norm`` of the
    embedding rows that no example uses; and their number ``dead_rows``.
    """
    del work
    configs = {"first paper's transformer": gi.RunConfig(model=gi.TransformerConfig.paper1())}
    configs |= {name: settings.network(name, "published") for name in settings.NETWORKS}
    counted = []
    for name, config in configs.items():
        own = gi.build_model(config).named_parameters()
        counted.append(float(sum(w.numel() for path, w in own if path not in _TABLES[name])))
    mlps = [gi.build_model(settings.seeded(configs["mlp"], seed)) for seed in range(seeds)]
    whole = [parameter_norm(mlp, used_only=False) for mlp in mlps]
    used = [parameter_norm(mlp) for mlp in mlps]
    tables = [dict(mlp.named_parameters())["embed.W_E"] for mlp in mlps]
    used_rows = [mlp.used_rows["embed.W_E"] for mlp in mlps]
    rows = [len(table) - count for table, count in zip(tables, used_rows, strict=True)]
    dead = [math.sqrt(w**2 - u**2) for w, u in zip(whole, used, strict=True)]
    return xr.Dataset(
        {
            "parameters": ("network", counted),
            "initial_norm": ("seed", whole),
            "dead_norm": ("seed", dead),
            "dead_rows": ("seed", np.asarray(rows, dtype=float)),
        },
        coords={"network": list(configs)},
    )


def notebook_run(*, seeds: int, work: Path) -> xr.Dataset:
    """Losses and accuracies (seed) of the first paper's transformer as its notebook trains it."""
    del work
    config = gi.RunConfig(
        data=gi.DataConfig(train_fraction=0.5),
        model=gi.TransformerConfig.paper1(),
        training=gi.TrainConfig(
            steps=1000, lr=1e-2, weight_decay=0.5, loss="cross_entropy", eval_every=1000
        ),
    )
    runs = gi.train_many([settings.seeded(config, seed) for seed in range(seeds)])
    last = xr.concat([run.history.isel(step=-1) for run in runs], "seed")
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    return last[list(names)].reset_coords(drop=True)


def embedding_periodicity(
    *, seeds: int, work: Path, names: Sequence[str], cell: Sequence[float] | None = None
) -> xr.Dataset:
    """Mean IPR of the input and output tables, over "preset", "panel" and "seed".

    Args:
        seeds: per panel.
        work: not used.
        names: presets; those of single networks bring their own cell.
        cell: train fraction and corruption for the others.

    Returns:
        ``input_ipr`` and ``output_ipr``, means over the living rows; ``input_ipr_gain``, over the
        mean after one step; ``test_accuracy``. ``largest_change`` (preset): the largest difference
        of the mean input IPR between the first panel and another.
    """
    del work
    found: list[xr.Dataset] = []
    for name in names:
        preset = presets.get(name)
        where = preset.cell or cell
        if where is None:
            raise ValueError(f"preset {name} is a diagram; give cell, an alpha and a xi")
        base = preset.base.replace({presets.X: where[0], presets.Y: where[1]})
        panels = [_tables(base.replace({preset.panel: value}), seeds) for value in preset.values]
        found.append(xr.concat(panels, xr.Variable("panel", np.arange(len(panels)))))
    data = xr.concat(found, xr.Variable("preset", list(names)), join="outer")
    mean = data.input_ipr.mean("seed")
    return data.assign(largest_change=abs(mean - mean.isel(panel=0)).max("panel"))


def _tables(config: gi.RunConfig, seeds: int) -> xr.Dataset:
    runs = gi.train_many([settings.seeded(config, seed) for seed in range(seeds)])
    start = gi.train_many([run.config.replace({"training.steps": 1}) for run in runs])
    columns = {
        "input_ipr": [row_ipr.input_ipr(run) for run in runs],
        "output_ipr": [row_ipr.output_ipr(run) for run in runs],
        "test_accuracy": [float(run.history.test_accuracy[-1]) for run in runs],
    }
    first = [row_ipr.input_ipr(run) for run in start]
    columns["input_ipr_gain"] = [
        after / before for after, before in zip(columns["input_ipr"], first, strict=True)
    ]
    return xr.Dataset({name: ("seed", values) for name, values in columns.items()})
