"""The runs: around the amount of data at which a network stops to generalise."""

from pathlib import Path

from analyses.efficiency import settings
from grokinterp import Run
from grokinterp.sweeps.collect import Named, collect, folder_name

FRACTIONS = {  # around where each network stops to generalise
    "tiny": (0.4, 0.5, 0.6, 0.7),
    "small": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "published": tuple(percent / 100 for percent in range(20, 31)),
}

LONGER = {"tiny": 2, "small": 2, "published": 3}  # times the usual budget


def wanted(size: str, seeds: int, network: str = "transformer") -> list[Named]:
    """The runs of this experiment; every seed draws weights and split anew."""
    usual = settings.network(network, size)
    long = usual.replace({"training.steps": LONGER[size] * usual.training.steps})
    return [
        Named(
            folder_name("semi", network, fraction, "seed", seed),
            settings.with_fraction(settings.seeded(long, seed), fraction),
        )
        for fraction in FRACTIONS[size] for seed in range(seeds)
    ]  # fmt: skip


def collect_runs(out: Path, size: str, seeds: int, network: str = "transformer") -> list[Run]:
    """Train what is not in ``out`` yet."""
    return collect(out, wanted(size, seeds, network))
