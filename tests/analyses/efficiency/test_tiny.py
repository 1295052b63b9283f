"""Size "tiny" is small, but shows what the experiments are about: it groks, and ungroks."""

import pytest

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.statistics.curves import sustained_crossing


@pytest.mark.parametrize("network", settings.NETWORKS)
def test_toys_memorise_first_and_generalise_later(network: str) -> None:
    config = settings.with_fraction(settings.network(network, "tiny"), 0.7)
    history = gi.train(settings.seeded(config, 0), device="cpu", progress=False).history
    steps = history.step.values
    learned, generalised = (
        sustained_crossing(steps, history[f"{split}_accuracy"].values, 0.99)
        for split in ("train", "test")
    )
    assert generalised > 1.5 * learned
    at_learned = history.test_accuracy.sel(step=learned).item()
    assert at_learned < 0.5
