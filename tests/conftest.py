"""Fixtures that several packages' tests share."""

import os
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from hypothesis import settings

import grokinterp as gi

settings.register_profile("grokinterp", deadline=None)  # a busy machine is no bug
settings.load_profile("grokinterp")
if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_run() -> gi.Run:
    """A trained run with corrupted labels, a fraction of a second to make. Only read it."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3, seed=3),
        model=gi.MLPConfig(d_mlp=16),
        training=gi.TrainConfig(steps=40, eval_every=10, weight_decay=1.0),
        seed=5,
    )
    return gi.train(config, device="cpu", progress=False)


@pytest.fixture
def no_type_checker() -> Iterator[None]:
    """What a user meets, who has no import hook: the code's own checks must refuse bad input."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
