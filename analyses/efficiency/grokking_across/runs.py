"""The runs: three networks on three amounts of data."""

from collections.abc import Sequence
from pathlib import Path

from analyses.efficiency import settings
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect, folder_name

FRACTIONS = (0.3, 0.5, 0.7)


def wanted(
    size: str,
    seeds: int,
    networks: Sequence[str] = settings.NETWORKS,
    fractions: Sequence[float] = FRACTIONS,
) -> list[Named]:
    """The runs of this experiment; every seed draws weights and split anew.

    Raises:
        ValueError: a fraction leaves fewer pairs than there are classes.
    """
    runs = [
        Named(
            folder_name(network, fraction, "seed", seed),
            settings.with_fraction(
                settings.seeded(settings.network(network, size), seed), fraction
            ),
        )
        for network in networks for fraction in fractions for seed in range(seeds)
    ]  # fmt: skip
    for named in runs:
        settings.check_classes(named.config)
    return runs


def collect_runs(
    out: Path,
    size: str,
    seeds: int,
    networks: Sequence[str] = settings.NETWORKS,
    fractions: Sequence[float] = FRACTIONS,
) -> list[Run]:
    """Train what is not in ``out`` yet; see :func:`wanted`."""
    return collect(out, wanted(size, seeds, networks, fractions))
