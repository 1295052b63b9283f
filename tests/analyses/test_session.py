"""What a session has set in torch changes no answer of an analysis."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import analyses
import grokinterp as gi
from analyses.efficiency.mixing import gradient_flow, landscape, mixture
from analyses.efficiency.mixing.tables import Tables
from tests.settings import chosen

DATA = gi.DataConfig(p=7, train_fraction=0.6, corruption=0.3, seed=3)
MODELS = {
    "MLP": gi.MLPConfig(d_mlp=8),
    "norms": gi.EmbeddingMLPConfig(d_embed=6, hidden=(8,), norm="layer"),
    "transformer": gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8),
}


STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "default device": lambda: chosen(torch.set_default_device, "meta", None),
    "default dtype": lambda: chosen(torch.set_default_dtype, torch.float64, torch.float32),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
}


def questions() -> dict[str, Callable[..., Any]]:
    """Every public function of analyses that is asked of a run, of runs or of a network."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.walk_packages(analyses.__path__, "analyses."):
        if "cli" in module.name or module.name.endswith("__main__"):
            continue
        for name, function in vars(importlib.import_module(module.name)).items():
            own = inspect.isfunction(function) and function.__module__ == module.name
            if own and not name.startswith(("_", "analysis", "collect", "write")):
                parameters = list(inspect.signature(function).parameters)
                # What fills the room of an explorer's page is asked as a part of the page.
                if "room" not in parameters and parameters[:1] in (["run"], ["runs"], ["model"]):
                    found[f"{module.name.removeprefix('analyses.')}.{name}"] = function
    return found


QUESTIONS = questions()
GIVEN = {"operation": "addition", "threshold": 0.4, "target": 1.0, "scale": 1.5}
LESS = {"random_draws": 2, "n_bootstrap": 10, "random_seeds": 1}  # than by default, to be quick


def arguments(function: Callable[..., Any], run: gi.Run) -> dict[str, Any]:
    """The run as it is asked for, and what else has no default or would take long."""
    known = GIVEN | {"run": run, "runs": [run], "model": run.model}
    known |= {"tokens": run.dataset.tokens, "labels": run.dataset.clean_labels}
    parameters = inspect.signature(function).parameters.values()
    needed = {p.name: known.get(p.name) for p in parameters if p.default is p.empty}
    return needed | {p.name: LESS[p.name] for p in parameters if p.name in LESS}


def numbers(result: Any) -> list[float]:
    """All that is told in numbers."""
    if isinstance(result, Tensor):
        return result.detach().double().flatten().tolist()
    if isinstance(result, gi.HookedModel):
        return [n for weight in result.parameters() for n in numbers(weight)]
    if isinstance(result, dict):
        return [n for value in result.values() for n in numbers(value)]
    if isinstance(result, xr.Dataset):
        return [n for value in result.values() for n in numbers(value.values)]
    if isinstance(result, np.ndarray):
        return result.astype(float).ravel().tolist() if result.dtype.kind in "biuf" else []
    if isinstance(result, list | tuple):
        return [n for value in result for n in numbers(value)]
    if hasattr(result, "__dict__"):
        return numbers(vars(result))
    return [] if isinstance(result, str | Enum | None) else [float(result)]


Asked = tuple[str, Callable[[], Any], list[float]]


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    """Every question that a network answers, with its answer in an undisturbed session."""
    training = gi.TrainConfig(steps=4, lr=1e-3, eval_every=2, loss="cross_entropy")
    configs = [gi.RunConfig(data=DATA, model=model, training=training) for model in MODELS.values()]
    found: list[Asked] = []
    for run in gi.train_many(configs, progress=False):
        for name, function in QUESTIONS.items():
            ask = partial(function, **arguments(function, run))
            with suppress(TypeError, ValueError, AttributeError):  # a question of other networks
                found.append((name, ask, numbers(ask())))
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("no_type_checker")
def test_no_analysis_follows_the_session(asked: list[Asked]) -> None:
    for name, ask, expected in asked:
        for state, entered in STATES.items():
            with entered():
                got = numbers(ask())
            # A solver stops at 1e-9 or so of the answer.
            told = f"{name}, {state}"
            assert got == pytest.approx(expected, nan_ok=True, rel=1e-7, abs=1e-9), told
    places = {place for name, _, _ in asked for place in name.split(".")[:-1]}
    assert places >= {"corrupted_logits", "grokking", "evaluate", "logit_split"}
    assert places >= {"norm_gain", "pruning", "row_ipr"}


@pytest.mark.slow
def test_no_mixture_follows_the_session() -> None:
    rng = torch.Generator().manual_seed(0)
    is_train = torch.arange(25) < 15
    tables = Tables(
        memorising=torch.randn(25, 5, generator=rng),
        generalising=torch.randn(25, 5, generator=rng),
        labels=torch.randint(5, (25,), generator=rng),
        is_train=is_train,
        is_test=~is_train,
        norms=(1.0, 1.0),
    )
    training = gi.TrainConfig(steps=4, lr=1e-3, batch_size=8, loss="mse_softmax")
    config = mixture.MixtureConfig(training=training)
    for ask in (
        lambda: mixture.compute(tables, config=config),
        lambda: gradient_flow.predict(tables, config=config),
        lambda: landscape.compute_landscape(tables),
    ):
        expected = numbers(ask())
        for state, entered in STATES.items():
            with entered():
                got = numbers(ask())
            assert got == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-12), state
