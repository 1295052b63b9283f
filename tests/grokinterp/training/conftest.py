"""What several tests of training share."""

import pytest

from grokinterp.training.passes import mlp_kernel


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a hundred pairs take several blocks (64 rows is the least)."""
    monkeypatch.setattr(mlp_kernel, "_BLOCK_BYTES", 1)
