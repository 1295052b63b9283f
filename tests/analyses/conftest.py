"""Runs that the analyses are asked about. They are shared: only read them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import grokking
from tests.analyses.shell import invoke

CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3, seed=3),
    model=gi.MLPConfig(d_mlp=24),
    training=gi.TrainConfig(steps=200, weight_decay=1.0),
    seed=5,
)
N_PERIODIC, N_NOISE = 130, 30


def train(config: gi.RunConfig, **options: object) -> gi.Run:
    return gi.train(config, device="cpu", progress=False, **options)  # pyright: ignore[reportArgumentType]


@pytest.fixture(autouse=True)
def small_tensors(one_thread: None) -> None:
    """One thread for every test here."""


@pytest.fixture(scope="session")
def command() -> Callable[..., Any]:
    """:func:`tests.analyses.shell.invoke`."""
    return invoke


@pytest.fixture(scope="session")
def corrupted_run() -> gi.Run:
    """Three tenths of the labels redrawn; IPR measured while training."""
    return train(CONFIG, probes=grokking.PROBES)


@pytest.fixture(scope="session")
def clean_run() -> gi.Run:
    """No label changed, no IPR measured."""
    return train(CONFIG.replace({"data.corruption": 0.0, "training.steps": 60}))


@pytest.fixture(scope="session")
def half_solved_run() -> gi.Run:
    """The analytic solution (neurons 0..129) with 30 loud neurons of noise behind it."""
    p, width = 13, N_PERIODIC + N_NOISE
    config = CONFIG.replace({"data.p": p, "model.d_mlp": width, "training.steps": 1})
    model = gi.build_model(config)
    assert isinstance(model, gi.HookedMLP)
    solution = gi.closed_form_mlp(p=p, d_mlp=N_PERIODIC)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.W_E.normal_(0.0, 0.5, generator=rng)
        model.W_U.normal_(0.0, 0.5, generator=rng)
        model.W_E[..., :N_PERIODIC] = solution.W_E
        model.W_U[:N_PERIODIC] = solution.W_U
    return dataclasses.replace(train(config), model=model)


@pytest.fixture(scope="session")
def axis_titles() -> Callable[[go.Figure], set[str]]:
    """The titles on a figure's axes, "" for an axis without one; lines are joined."""

    def read(figure: go.Figure) -> set[str]:
        layout = figure.to_dict()["layout"]
        axes = [layout[key] for key in layout if key[:5] in ("xaxis", "yaxis")]
        return {axis.get("title", {}).get("text", "").replace("<br>", " ") for axis in axes}

    return read
