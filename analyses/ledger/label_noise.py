"""Sources that run an experiment on label noise, from the registry."""

from analyses.ledger.entry import Source


def label_noise(
    name: str, size: str, seeds: int, minutes: float, networks: tuple[str, ...] = ("mlp",)
) -> Source:
    """An experiment on label noise, on a CPU."""
    return Source(
        name=name,
        compute=f"analyses.ledger.measures.label_noise:{name}",
        experiment=name,
        settings={"size": size},
        seeds=seeds,
        tier="cpu",
        minutes=minutes,
        networks=networks,
    )
