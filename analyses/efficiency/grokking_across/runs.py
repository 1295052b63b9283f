"""The runs: three networks on three amounts of data."""

from collections.abc import Sequence

from analyses.efficiency import settings
from grokinterp.sweeps.collect import Named

FRACTIONS = (0.3, 0.5, 0.7)


def wanted(
    size: str,
    seeds: int,
    *,
    networks: Sequence[str] | None = None,
    fractions: Sequence[float] | None = None,
) -> list[Named]:
    """The runs of this experiment; each seed draws its own weights and split.

    Args:
        size: one of ``settings.SIZES``.
        seeds: how many of each.
        networks: names from ``settings.NETWORKS``; None: all.
        fractions: of all pairs; None: ``FRACTIONS``.
    """
    configs = {name: settings.network(name, size) for name in networks or settings.NETWORKS}
    return settings.grid(configs, fractions or FRACTIONS, seeds)
