"""The networks that are taken apart: small ones that both generalise and know the wrong labels.

Weight decay decides whether a network does both: too little, and some architectures never
generalise; too much, and the wrong labels are forgotten. For each architecture it was searched on
one seed, looking at the two accuracies alone (``SEARCHED``), and the first that gave both is used.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import grokinterp as gi
from grokinterp.sweeps.collect import Named, folder_name

_DATA = gi.DataConfig(p=31, train_fraction=0.8, corruption=0.1)
_DEEP = gi.MLPConfig(d_mlp=128, n_layers=2, act="relu", init="standard")

SETTINGS: dict[str, gi.RunConfig] = {
    "quadratic MLP": gi.RunConfig(
        data=_DATA,
        model=gi.MLPConfig(d_mlp=256),
        training=gi.TrainConfig(steps=1000, lr=1e-2, weight_decay=0.3),
    ),
    "3-layer ReLU MLP": gi.RunConfig(
        data=_DATA, model=_DEEP, training=gi.TrainConfig(steps=1500, lr=3e-3, weight_decay=6.0)
    ),
    "3-layer ReLU MLP, BatchNorm": gi.RunConfig(
        data=_DATA,
        model=dataclasses.replace(_DEEP, norm="batch"),
        training=gi.TrainConfig(steps=1500, lr=3e-3, weight_decay=6.0),
    ),
    "embedding MLP": gi.RunConfig(
        data=dataclasses.replace(_DATA, train_fraction=0.9),
        model=gi.EmbeddingMLPConfig(d_embed=128, hidden=(256, 256)),
        training=gi.TrainConfig(steps=2000, lr=3e-3, weight_decay=3.0, loss="cross_entropy"),
    ),
    "1-layer transformer": gi.RunConfig(
        data=gi.DataConfig(p=59, train_fraction=0.9, corruption=0.1),
        model=gi.TransformerConfig.paper1(),
        training=gi.TrainConfig(steps=1500, lr=3e-3, weight_decay=1.2, eval_every=20),
    ),
    "2-layer LSTM": gi.RunConfig(
        data=dataclasses.replace(_DATA, train_fraction=0.9),
        model=gi.LSTMConfig(d_embed=64, d_hidden=64),
        training=gi.TrainConfig(
            steps=3000,
            lr=3e-3,
            weight_decay=1.5,
            batch_size=512,
            loss="cross_entropy",
            eval_every=50,
        ),
    ),
}


def wanted(names: Sequence[str], seeds: int) -> Iterator[Named]:
    """The runs of some settings; each seed draws data and weights anew."""
    for name in names:
        for seed in range(seeds):
            config = SETTINGS[name].replace({"data.seed": seed, "seed": seed})
            yield Named(folder_name(name, "seed", seed), config)
