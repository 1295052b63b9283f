"""Whatever a user prints is a short line: configs, runs, results of probes and analyses."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import analyses
import grokinterp as gi
import probes
from grokinterp.short_text import short

LONGEST = 500


def modules(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(m.name) for m in found if not m.name.endswith("__main__")]


HOLDS_MANY = re.compile(
    r"^(?!.*Callable).*(Tensor|ndarray|Mapping|Sequence|dict|list|Dataset|Figure|Any)"
)


def results() -> list[Any]:
    """Every public dataclass or NamedTuple that can hold a lot; configs are shown in full."""
    members: list[Any] = [
        value
        for package in (gi, probes, analyses)
        for module in modules(package)
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ]
    return [
        cls
        for cls in members
        if (hasattr(cls, "__dataclass_fields__") or hasattr(cls, "_fields"))
        and any(HOLDS_MANY.search(str(kind)) for kind in inspect.get_annotations(cls).values())
        and not cls.__name__.endswith("Config")
    ]


@pytest.mark.parametrize("cls", results(), ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(100, 100),
        np.zeros(1000),
        {str(i): torch.zeros(9, 9) for i in range(1000)},
        ["long text " * 100] * 100,
    ],
    ids=["tensor", "array", "mapping", "texts"],
)
def test_large_contents_make_no_long_repr(cls: Any, content: Any) -> None:
    """Of an object whose every field is large, made without its constructor's checks."""
    names = getattr(cls, "_fields", None) or [field.name for field in dataclasses.fields(cls)]
    if issubclass(cls, tuple):
        result = cls(*[content] * len(names))
    else:
        result = object.__new__(cls)
        for name in names:
            object.__setattr__(result, name, content)
    assert repr(result).startswith(f"{cls.__qualname__}({names[0]}=")
    assert "\n" not in repr(result)
    assert len(repr(result)) <= max(LONGEST, 60 * len(names))


def test_a_run_and_its_parts(tiny_run: gi.Run) -> None:
    moments = gi.train(
        tiny_run.config, checkpoints={"begin": gi.at_step(0), "mid": gi.at_step(20)}, progress=False
    )
    printed = [tiny_run, moments, moments.dataset, moments.checkpoint(), moments.checkpoints["mid"]]
    for value in printed:
        assert "\n" not in repr(value)
        assert len(repr(value)) < LONGEST
    assert "corruption=0.3" in repr(tiny_run)
    assert "HookedMLP(528 parameters)" in repr(tiny_run)
    assert "is_train=Tensor[121]" in repr(moments.dataset)
    assert "moments=Moments(updates=20" in repr(moments.checkpoints["mid"])


def test_results_of_probes(tiny_run: gi.Run) -> None:
    model = tiny_run.model
    found = [
        probes.model_neuron_ipr(model),
        probes.neuron_weights(model),
        probes.logit_attribution(model, tiny_run.dataset.tokens, tiny_run.dataset.labels),
        probes.model_neuron_spectra(model, "addition")["layers.0.hook_post"],
        probes.model_logit_spectrum(model, "addition"),
        probes.task_basis("addition", 11),
    ]
    for result in found:
        assert len(repr(result)) < LONGEST
        assert "\n" not in repr(result)


def test_numbers_are_shown_and_arrays_are_named() -> None:
    assert short(0.1 + 0.2) == "0.30000000000000004"
    assert short(np.float64(0.5)) == "0.5"
    assert short(torch.tensor([1.0, 2.0])) == "Tensor([1.0, 2.0])"
    assert short(np.zeros((3, 4))) == "ndarray[3, 4]"
    assert short(10**5000) == "an integer of 5000 digits"
    assert short("a\n" * 100).count("\n") == 0
    assert short(torch.nn.Linear(3, 2)) == "Linear(8 parameters)"
