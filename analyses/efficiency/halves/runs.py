"""The runs: networks in Coexistence."""

from pathlib import Path

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, collect, folder_name


def coexistence(size: str) -> gi.RunConfig:
    """Settings in Coexistence: "published" is Doshi et al. 2023, Fig. 1a; others a smaller task."""
    check_choice("size", size, settings.SIZES)
    published = gi.RunConfig(
        data=gi.DataConfig(corruption=0.35), training=gi.TrainConfig(steps=1000)
    )
    return published.replace(_SMALLER.get(size, {}))


# The fewer pairs there are, the larger a share of them the rule needs.
_SMALLER: dict[str, dict[str, object]] = {
    "small": {
        "data.p": 59, "data.train_fraction": 0.7, "data.corruption": 0.25, "model.d_mlp": 350,
        "training.steps": 500,
    },
    "tiny": {
        "data.p": 41, "data.train_fraction": 0.85, "data.corruption": 0.2, "model.d_mlp": 250,
        "training.steps": 200,
    },
}  # fmt: skip


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs of this experiment: networks in Coexistence."""
    return [
        Named(
            folder_name("coexistence", size, "seed", seed),
            settings.seeded(coexistence(size), seed),
        )
        for seed in range(seeds)
    ]


def collect_runs(out: Path, size: str, seeds: int) -> list[gi.Run]:
    """Train what is not in ``out`` yet."""
    return collect(out, wanted(size, seeds))
