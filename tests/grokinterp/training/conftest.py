"""What several tests of training share."""

import functools

import pytest

from grokinterp.training import trainer
from grokinterp.training.passes import mlp_kernel
from grokinterp.training.passes.by_hand import HandWrittenPasses
from grokinterp.training.passes.small import SmallRunsPasses
from grokinterp.training.stack import Stack


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a hundred pairs take several blocks (64 rows is the least)."""
    monkeypatch.setattr(mlp_kernel, "_BLOCK_BYTES", 1)


@pytest.fixture(params=[HandWrittenPasses, SmallRunsPasses])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train MLPs in both ways that a CPU has for them; small ones would all be trained in one."""
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=request.param))
