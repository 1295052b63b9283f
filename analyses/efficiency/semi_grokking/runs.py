"""The runs: around the amount of data below which a network no longer generalises."""

from analyses.efficiency import settings
from grokinterp.sweeps.collect import Named

FRACTIONS = {
    "tiny": (0.4, 0.5, 0.6, 0.7),
    "small": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "published": tuple(percent / 100 for percent in range(20, 31)),
}
LONGER = {"tiny": 2, "small": 6, "published": 3}  # times the usual number of steps


def wanted(size: str, seeds: int, network: str = "transformer") -> list[Named]:
    """The runs of this experiment; each seed draws its own weights and split."""
    config = settings.network(network, size)
    config = config.replace({"training.steps": LONGER[size] * config.training.steps})
    return settings.grid({f"semi-{network}": config}, FRACTIONS[size], seeds)
