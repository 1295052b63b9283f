"""The first paper's one-hidden-layer network at its own size and at two smaller ones.

"published" is the paper's: modulus 97, 500 neurons, 2000 steps, half of the pairs, 35 % of the
labels redrawn. "small" has modulus 47, 250 neurons and 1000 steps. With fewer pairs for each class,
networks generalise only on a larger share of them with fewer wrong labels: 70 % and 20 %. "tiny" is
a toy, to see what a command does.
"""

from typing import Any

import grokinterp as gi
from analyses.phase_diagrams import presets
from grokinterp.checks import check_choice

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "data.p": 23,
        "data.train_fraction": 0.8,
        "data.corruption": 0.1,
        "model.d_mlp": 100,
        "training.steps": 300,
    },
    "small": {
        "data.p": 47,
        "data.train_fraction": 0.7,
        "data.corruption": 0.2,
        "model.d_mlp": 250,
        "training.steps": 1000,
    },
    "published": {"data.train_fraction": 0.5, "data.corruption": 0.35},
}


def paper_mlp(size: str, changes: dict[str, Any]) -> gi.RunConfig:
    """The network of the paper's Fig. 3 at a size, with some settings changed.

    Args:
        size: one of ``SIZES``.
        changes: as for ``RunConfig.replace``; they win over those of the size.
    """
    check_choice("size", size, SIZES)
    return presets.get("fig3a").config("full").replace(SIZES[size] | changes)
