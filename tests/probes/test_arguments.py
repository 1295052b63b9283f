"""No probe lets a wrong argument reach torch: each is refused by its name, its value and type."""

import inspect
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from grokinterp.tasks import Operation

P = 7
SIZES = {"p": P, "residue": P, "pair": P * P, "example": P * P, "2": 2}  # other axes: 4
DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.3, train_fraction=0.6))
BASIS = probes.task_basis("addition", P)
LOGITS = torch.randn(P * P, P, generator=torch.Generator().manual_seed(0))
MODEL, NORMED = (
    gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P), model=gi.MLPConfig(d_mlp=8, norm=norm)))
    for norm in (None, "layer")
)
OWN = tuple(str(Path(package.__file__ or "").parent) for package in (gi, probes))

WRONG: dict[str, object] = {
    "None": None,
    "text": "x",
    "number": 3,
    "object": object(),
    "list": [1.0, 2.0],
    "integers": torch.zeros(P * P, P, dtype=torch.int64),
    "empty": torch.zeros(0),
    "no columns": torch.zeros(P * P, 0),
    "no axes": torch.tensor(1.0),
    "booleans": torch.zeros(5, P, dtype=torch.bool),
    "complex": torch.zeros(5, P, dtype=torch.complex64),
    "other sizes": torch.zeros(5, 3),
    "array": np.zeros((5, P), dtype=np.float32),
}


def right(function: str, name: str, annotation: Any) -> Any:
    """A value that the probe takes, by the argument's name, its axes or its class."""
    model, cache = NORMED if "gamma" in function else MODEL, {"a": torch.ones(2)}
    by_name: dict[str, Any] = {"model": model, "cache": cache, "order": torch.arange(8)}
    by_name |= {"frequencies": [1], "keep": True, "names": ["a"]}
    by_name |= {"sender": ("neurons.0", 0), "receiver": None, "generalising": torch.arange(8) < 3}
    if name in by_name:
        return by_name[name]
    if getattr(annotation, "array_type", None) is Tensor:
        shape = [SIZES.get(axis, 4) for axis in annotation.dim_str.split()]
        held = next(kind for kind in ("float32", "int64", "bool") if kind in annotation.dtypes)
        value = 0 if name == "source" else 1  # path patching wants other examples than its pairs
        return torch.full(shape, value, dtype=getattr(torch, held))
    by_class: dict[Any, Any] = {probes.Basis: BASIS, type(DATA): DATA, int: P, float: 0.5}
    by_class[probes.LogitSpectrum] = probes.logit_spectrum(LOGITS, BASIS)
    return "addition" if annotation is Operation else by_class[annotation]


def public_functions() -> dict[str, Callable[..., Any]]:
    found = {name: getattr(probes, name) for name in probes.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


FUNCTIONS = {**public_functions(), "filter_frequencies": gi.filter_frequencies, "patch": gi.patch}
CASES = [
    (name, argument)
    for name in FUNCTIONS
    for argument in inspect.signature(FUNCTIONS[name]).parameters
]


def refusal_or_none(function: Callable[..., Any], arguments: dict[str, Any]) -> Exception | None:
    try:
        function(**arguments)
    except Exception as error:
        return error
    return None


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(("function", "argument"), CASES)
def test_wrong_arguments_are_refused_by_name(function: str, argument: str) -> None:
    probe = FUNCTIONS[function]
    parameters = inspect.signature(probe).parameters
    needed = [each for each in parameters.values() if each.default is each.empty]
    given = {each.name: right(function, each.name, each.annotation) for each in needed}
    assert refusal_or_none(probe, given) is None
    annotation = parameters[argument].annotation
    kinds = (annotation, *get_args(annotation))
    is_tensor = any(getattr(kind, "array_type", None) is Tensor for kind in kinds)
    for case, value in WRONG.items():
        error = refusal_or_none(probe, given | {argument: value})
        if error is None:
            assert not (is_tensor and case in ("text", "array", "object", "list", "complex")), case
            continue
        told = f"{case}: {type(error).__name__}: {error}"
        assert isinstance(error, TypeError | ValueError), told
        assert argument in str(error) or type(value).__name__ in str(error), told
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        assert raised_in.startswith(OWN), told


@pytest.mark.usefixtures("no_type_checker")
def test_what_a_refusal_says() -> None:
    weights = np.ones((2, P))
    with pytest.raises(
        TypeError,
        match=r"^weights must be a tensor of floating-point numbers \[\*rows, p\], got ndarray"
        r"\[2, 7\] \(ndarray\); pass torch\.as_tensor\(weights\)$",
    ):
        probes.ipr(weights)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"got torch\.int64 \[2, 7\]; .* pass values\.double\(\)"):
        probes.gini(torch.ones(2, P, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"W \[5, 7\] and U \[4, 7\] must .* axis 'neuron'"):
        probes.neuron_norms(torch.ones(4, P), torch.ones(4, P), torch.ones(5, P))
    with pytest.raises(ValueError, match=r"weights must be .* and not empty, got \[3, 0\]"):
        probes.power_spectrum(torch.ones(3, 0))
    with pytest.raises(TypeError, match=r"r must be a number, got 'x' \(str\)"):
        probes.ipr(torch.ones(2, P), r="x")  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("no_type_checker")
def test_a_mask_of_numbers_and_labels_of_bytes_are_refused() -> None:
    """Both would index: rows 0 and 1 by the mask, and by bytes the rows where they are not 0."""
    logits, labels = torch.eye(P), torch.arange(P)
    with pytest.raises(TypeError, match=r"mask must be a tensor of booleans \[example\]"):
        probes.accuracy(logits, labels, torch.ones(P, dtype=torch.int64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"labels must be a tensor of integers \[example\]"):
        probes.neuron_attribution(logits, logits, labels.to(torch.uint8))


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("label", [-1, P])
def test_labels_that_are_no_classes_are_refused(label: int) -> None:
    """The label -1 would read the last class."""
    logits, labels = torch.eye(P), torch.full((P,), label)
    for ask in (
        lambda: probes.accuracy(logits, labels),
        lambda: probes.loss(logits, labels),
        lambda: probes.neuron_attribution(logits, logits, labels),
        lambda: probes.logit_attribution(MODEL, DATA.tokens[:P], labels),
    ):
        with pytest.raises(ValueError, match=r"labels must lie in 0\.\.6"):
            ask()


@pytest.mark.usefixtures("no_type_checker")
def test_fewer_labels_than_logits_are_refused() -> None:
    """The loss gathered by label took the first examples only: 0 instead of a refusal."""
    with pytest.raises(ValueError, match=r"labels \[2\] and logits \[7, 7\] must have the same"):
        probes.loss(torch.eye(P), torch.arange(2))


def test_what_was_taken_is_taken() -> None:
    """No examples at all have the score NaN; float16 and float64 are floating-point numbers."""
    assert math.isnan(probes.accuracy(torch.ones(0, P), torch.ones(0, dtype=torch.int64)))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert probes.ipr(torch.ones(2, P, dtype=dtype)).tolist() == pytest.approx([1, 1])
