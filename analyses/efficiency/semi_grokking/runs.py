"""The runs: around the amount of data below which a network no longer generalises."""

from analyses.efficiency import settings
from grokinterp.sweeps.collect import Named

FRACTIONS = {
    "tiny": (0.4, 0.5, 0.6, 0.7),
    "small": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "published": tuple(percent / 100 for percent in range(20, 31)),
}
LONGER = {"tiny": 2, "small": 6, "published": 3}  # times the usual number of steps
# At 35 or 40 % of the pairs some small MLPs need 5000 steps, so the next smaller fraction more than
# 15,000, three times as many.
_STILL_LONGER = {("small", "mlp"): 12}


def steps(size: str, network: str) -> int:
    """Of every run."""
    times = _STILL_LONGER.get((size, network), LONGER[size])
    return times * settings.network(network, size).training.steps


def wanted(size: str, seeds: int, network: str = "transformer") -> list[Named]:
    """The runs of this experiment; each seed draws its own weights and split."""
    config = settings.network(network, size)
    config = config.replace({"training.steps": steps(size, network)})
    return settings.grid({f"semi-{network}": config}, FRACTIONS[size], seeds)
