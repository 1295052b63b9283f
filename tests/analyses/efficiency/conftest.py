"""What the tests of commands share."""

from collections.abc import Iterator

import pytest

from analyses import announcement
from analyses.efficiency import settings
from analyses.efficiency.semi_grokking import runs as semi_runs
from analyses.efficiency.ungrokking import runs as ungrokking_runs
from analyses.statistics.thresholds import FLAWLESS_FROM
from grokinterp.sweeps.estimate import Duration


@pytest.fixture(autouse=True, scope="module")
def no_estimates() -> Iterator[None]:
    """Timing runs takes longer than training toys; estimates have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:

        def one_second(runs: list, **_: object) -> Duration:
            return Duration(seconds=1.0, runs=len(runs), steps=0)

        patch.setattr(announcement, "estimate", one_second)
        yield


@pytest.fixture(autouse=True, scope="module")
def toys_that_learn_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Size "tiny" for 20 steps: whether it groks is the question of ``test_tiny`` alone."""
    if request.module.__name__.endswith("test_tiny"):
        yield
        return
    training = {"steps": 20, "lr": 3e-3, "weight_decay": 1.0, "eval_every": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings._P, "tiny", 13)
        patch.setitem(settings._WIDTH, "tiny", 16)
        patch.setitem(settings._TRAINING, "tiny", training)
        patch.setitem(settings._OWN, "tiny", {})
        patch.setitem(ungrokking_runs.START_FROM, "tiny", FLAWLESS_FROM)
        patch.setitem(ungrokking_runs.WEIGHT_DECAYS, "tiny", (0.1, 1.0))
        patch.setitem(ungrokking_runs.START_FRACTION, "tiny", 0.5)
        patch.setitem(ungrokking_runs.STEPS, "tiny", 20)
        patch.setitem(ungrokking_runs.FRACTIONS, "tiny", (0.1, 0.3))
        patch.setitem(semi_runs.FRACTIONS, "tiny", (0.3, 0.6))
        patch.setitem(semi_runs.LONGER, "tiny", 3)
        yield
