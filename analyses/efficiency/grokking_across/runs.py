"""The runs: three networks on three amounts of data."""

from analyses.efficiency import settings
from grokinterp.sweeps.collect import Named

FRACTIONS = (0.3, 0.5, 0.7)


def wanted(size: str, seeds: int) -> list[Named]:
    """The runs of this experiment; each seed draws its own weights and split."""
    networks = {name: settings.network(name, size) for name in settings.NETWORKS}
    return settings.grid(networks, FRACTIONS, seeds)
