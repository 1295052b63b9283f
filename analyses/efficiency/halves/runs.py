"""The runs: networks in Coexistence."""

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, folder_name

_TASK = ("data.p", "data.train_fraction", "data.corruption", "model.d_mlp", "training.steps")
# With fewer pairs, a larger share of them is needed to learn the rule.
_TASKS = {
    "tiny": (41, 0.85, 0.2, 250, 200),
    "small": (59, 0.7, 0.25, 350, 500),
    "published": (97, 0.5, 0.35, 500, 1000),
}


def coexistence(size: str) -> gi.RunConfig:
    """Settings in Coexistence: "published" is Doshi et al. 2023, Fig. 1a; others are smaller."""
    check_choice("size", size, settings.SIZES)
    return gi.RunConfig().replace(dict(zip(_TASK, _TASKS[size], strict=True)))


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs of this experiment: one network in Coexistence per seed."""
    config = coexistence(size)
    return [
        Named(folder_name("coexistence", size, "seed", seed), settings.seeded(config, seed))
        for seed in range(seeds)
    ]
