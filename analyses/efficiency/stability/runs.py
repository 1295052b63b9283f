"""The runs: one transformer without norms and with norms before its layers, at several settings.

Learning rates and weight decays are combined; the paper's norms are tried at one of them.

Everything else is that of :mod:`analyses.efficiency.settings`, such as the batch, which is the
paper's share of all pairs. Half of the pairs train. At size "small" other moduli, 59 and then 31,
are to be tried only if no setting is stable at 43.
"""

from itertools import product
from typing import Any

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, folder_name

NORMS: dict[str, dict[str, Any]] = {  # the first with a stable setting is taken
    "none": {"model.normalization_type": None, "model.norm_position": "pre"},
    "pre": {"model.normalization_type": "LN", "model.norm_position": "pre"},
    "post": {"model.normalization_type": "LN", "model.norm_position": "post"},  # the paper's
}
RATES = {"tiny": (1e-2, 2e-2), "small": (1e-3, 3e-3), "published": (3e-4, 1e-3)}
DECAYS = {"tiny": (0.5, 1.0, 2.0), "small": (1.0, 2.0, 4.0), "published": (0.1, 0.3, 1.0)}
STEPS = {"tiny": 300, "small": 6000, "published": 100_000}


def norm_of(config: gi.RunConfig) -> str:
    """The name in ``NORMS`` of a transformer's norms."""
    model = config.to_dict()["model"]
    return "none" if model["normalization_type"] is None else model["norm_position"]


def wanted(size: str, seeds: int) -> list[Named]:
    """Every setting with seeds 0, 1, ...; folders "none-0.001-2.0-seed-0"."""
    check_choice("size", size, STEPS)
    base = settings.network("transformer", size).replace({"training.steps": STEPS[size]})
    rates, decays = RATES[size], DECAYS[size]
    tried = [*product(("none", "pre"), rates, decays), ("post", rates[-1], decays[0])]
    return [
        Named(
            folder_name(norm, rate, decay, "seed", seed),
            settings.seeded(base, seed).replace(
                NORMS[norm] | {"training.lr": rate, "training.weight_decay": decay}
            ),
        )
        for (norm, rate, decay), seed in product(tried, range(seeds))
    ]
