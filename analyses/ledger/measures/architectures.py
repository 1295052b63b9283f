"""The other architectures: their sizes, and the notebook's transformer."""

import math
from pathlib import Path

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
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
