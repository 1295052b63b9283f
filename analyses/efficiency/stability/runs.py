"""The runs: one transformer, with and without norms, at several learning rates and decays.

Everything else is that of :mod:`analyses.efficiency.settings`, such as the batch, which is the
paper's share of all pairs. Half of the pairs train.

At size "small" the settings were tried in rounds, each declared before its runs. In the first,
networks without norms began with the paper's embeddings of variance 1 and had weight decay 1, 2 or
4: too much of both, for they fitted their training pairs after 2000 steps and later, or not at all
(so the same with a rate of 0.003 and decays of 2 and 4 was stopped before its end). In the second
they begin with the small weights and learned positions of the toys of size "tiny", and have less
weight decay: with 0.002 and 0.5 one run is stable and two are still so at step 6000, with 0.001 and
1 the delay is short. The third lies between these two and is trained for 9000 steps: two runs are
stable, one rests at 98.6 %. In the fourth, 0.002 and 0.5 is trained for 9500 steps, so that all of
its runs can be judged. The paper's norms come last, as a reference. Norms before the layers, and
the moduli 59 and 31, were to be tried only if nothing else is stable.
"""

from itertools import product
from typing import Any

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, folder_name

_NONE = {"model.normalization_type": None, "model.norm_position": "pre"}
_PAPERS = {"model.init": "paper2", "model.positional_embedding_type": "sinusoidal"}
_SMALL = {"model.init": "nanda", "model.positional_embedding_type": "standard"}
NETWORKS: dict[str, dict[str, Any]] = {
    "none": _NONE | _PAPERS,
    "none, small weights": _NONE | _SMALL,
    "pre": {"model.normalization_type": "LN", "model.norm_position": "pre"} | _PAPERS,
    "post": {"model.normalization_type": "LN", "model.norm_position": "post"} | _PAPERS,
}
Setting = tuple[str, float, float]  # a name in ``NETWORKS``, learning rate, weight decay
TRIED: dict[str, tuple[Setting, ...]] = {
    "tiny": tuple((name, 2e-2, 1.0) for name in NETWORKS),
    "small": (
        *(("none", *at) for at in ((1e-3, 1.0), (1e-3, 2.0), (1e-3, 4.0), (3e-3, 1.0))),
        *(
            ("none, small weights", *at)
            for at in ((1e-3, 0.5), (1e-3, 1.0), (2e-3, 0.5), (3e-3, 0.3))
        ),
        ("none, small weights", 1.5e-3, 0.7),
        ("post", 3e-3, 1.0),
    ),
    "published": tuple(product(NETWORKS, (1e-3,), (0.1, 1.0))),
}
STEPS = {"tiny": 300, "small": 6000, "published": 100_000}
LONGER = {("none, small weights", 1.5e-3, 0.7): 9000, ("none, small weights", 2e-3, 0.5): 9500}


def setting_of(config: gi.RunConfig) -> Setting:
    """The setting of a run: see ``NETWORKS``."""
    if not isinstance(config.model, gi.TransformerConfig):
        raise ValueError(f"the search is over transformers, got a run of {config.model}")
    model = config.to_dict()["model"]
    norm = "none" if model["normalization_type"] is None else model["norm_position"]
    name = norm if model["init"] == _PAPERS["model.init"] else f"{norm}, small weights"
    return name, config.training.lr, config.training.weight_decay


def wanted(size: str, seeds: int) -> list[Named]:
    """Every setting with seeds 0, 1, ...; folders "none-0.001-2.0-seed-0"."""
    check_choice("size", size, TRIED)
    base = settings.network("transformer", size)
    named = []
    for setting, seed in product(TRIED[size], range(seeds)):
        name, rate, decay = setting
        changes = {"training.lr": rate, "training.weight_decay": decay}
        changes |= {"training.steps": LONGER.get(setting, STEPS[size])} | NETWORKS[name]
        config = settings.seeded(base, seed).replace(changes)
        named.append(Named(folder_name(*setting, "seed", seed), config))
    return named
