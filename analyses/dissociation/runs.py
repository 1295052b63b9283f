"""The networks that are taken apart: small ones that both generalise and know the wrong labels.

Weight decay decides whether a network does both: too little, and most architectures never
generalise; too much, and the wrong labels are forgotten. Settings were searched looking at the two
accuracies alone, first on one seed, then on three; taken is the first at which seeds 0, 1 and 2 all
do both at the last step of training.

- quadratic MLP: decay 0, 0.3, 1, 3; 128 and 256 neurons; p 31 and 59; 1000 to 2000 steps.
- 3-layer ReLU MLP: decay 0, 1, 3, 6, 10 at p 31 (0 at p 59); 10 and 15 % of the labels redrawn.
- the same with BatchNorm: decay 3, 6, 10 at p 31.
- embedding MLP: decay 0, 1, 3, 4, 5 at p 31; layers of 128 and 256; 80 and 90 % of the pairs.
- 1-layer transformer, p 59: decay 0, 1, 1.2, 1.5; 600 to 2000 steps; 80 and 90 % of the pairs; 10
  and 15 % of the labels redrawn, and 5 % with decay 0.8 and 1.
- 2-layer LSTM: at p 31 decay 0, 1, 1.5, 2, 2.5, width 64 and 128, 2000 and 3000 steps, 80 and 90 %
  of the pairs, 10 and 15 % redrawn; at p 43 decay 1.5, 2 with 10 % and 1, 1.5 with 5 %.

With 10 % of the labels redrawn, no setting of the transformer and the LSTM that was tried gave both
on three seeds of three: what makes them relearn the wrong labels costs test accuracy (transformer,
decay 1: .968, .931, .951). With half as many wrong labels both have room.
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
        data=gi.DataConfig(p=59, train_fraction=0.9, corruption=0.05),
        model=gi.TransformerConfig.paper1(),
        training=gi.TrainConfig(steps=1200, lr=3e-3, weight_decay=0.8, eval_every=20),
    ),
    "2-layer LSTM": gi.RunConfig(
        data=gi.DataConfig(p=43, train_fraction=0.9, corruption=0.05),
        model=gi.LSTMConfig(d_embed=64, d_hidden=64),
        training=gi.TrainConfig(
            steps=3000,
            lr=3e-3,
            weight_decay=1.0,
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
