"""What the tests of commands share."""

from collections.abc import Iterator

import pytest

from analyses import collect
from analyses.estimate import Estimate


@pytest.fixture(autouse=True, scope="module")
def no_estimates() -> Iterator[None]:
    """Timing runs takes longer than training toys; estimates have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            collect, "estimate", lambda runs, **_: Estimate(seconds=1.0, runs=len(runs), steps=0)
        )
        yield
