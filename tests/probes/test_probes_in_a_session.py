"""What a session has set in torch, or in the model, changes no probe's numbers."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import grokinterp as gi
import probes
from tests.settings import chosen

P = 5
CONFIG = {"n_layers": 1, "d_model": 4, "d_head": 4, "n_ctx": 3, "normalization_type": None}
CONFIG |= {"d_vocab": P + 1, "d_vocab_out": P}
DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.3, train_fraction=0.6, seed=1))
MODELS: dict[str, gi.HookedModel] = {
    "MLP": gi.HookedMLP(gi.MLPConfig(d_mlp=8), p=P),
    "batch norm": gi.HookedEmbeddingMLP(
        gi.EmbeddingMLPConfig(d_embed=6, hidden=(8,), norm="batch"), p=P
    ),
    "transformer": gi.HookedTransformer(
        gi.TransformerConfig(d_model=8, n_heads=2, d_mlp=8, init="paper1"), p=P
    ),
    "LSTM": gi.HookedLSTM(gi.LSTMConfig(d_embed=6, d_hidden=8), p=P),
}
for built in MODELS.values():
    built.operation = "addition"  # so that the embedding's frequencies are units


def asked(model: gi.HookedModel) -> dict[str, Callable[[], Any]]:
    """Every probe that this network is taken by."""
    found: dict[str, Callable[[], Any]] = {}
    for name in probes.__all__:
        probe = getattr(probes, name)
        names = list(inspect.signature(probe).parameters) if inspect.isfunction(probe) else []
        if names[:2] == ["model", "operation"]:
            found[name] = lambda probe=probe: probe(model, "addition")
        elif names[:4] == ["model", "tokens", "labels", "target"]:
            found[name] = lambda probe=probe: probe(model, DATA.tokens, DATA.labels, 1.0)
        elif names[:3] == ["model", "tokens", "labels"]:
            found[name] = lambda probe=probe: probe(model, DATA.tokens, DATA.labels)
        elif names[:2] == ["model", "dataset"] and "order" not in names:
            found[name] = lambda probe=probe: probe(model, DATA)
    for name in ("parameter_norm", "norms_by_layer", "weight_norms"):
        found[name] = lambda name=name: getattr(probes, name)(model)
    found["halves"] = lambda: [
        list(half.parameters()) for half in probes.halves(model, 0.2).values()
    ]
    found["logit_parts"] = lambda: probes.logit_parts(model, DATA.tokens, low=0.2, high=0.5)
    found["pruning_curve"] = lambda: probes.pruning_curve(model, DATA, ORDER)  # pyright: ignore[reportArgumentType]
    found["gradient_symmetricity"] = lambda: probes.gradient_symmetricity(model, triples=TRIPLES)
    return found


ORDER = torch.arange(8)
TRIPLES = torch.randint(P, (9, 3), generator=torch.Generator().manual_seed(0))


def numbers(result: Any) -> list[float]:
    """All numbers in a probe's result, which it also gives as plain tensors on the CPU."""
    if isinstance(result, Tensor):
        assert isinstance(result, nn.Parameter) or not result.requires_grad
        assert not result.is_inference()
        assert result.device.type == "cpu"
        return result.double().flatten().tolist()
    if isinstance(result, dict):
        return [n for value in result.values() for n in numbers(value)]
    if isinstance(result, list | tuple):
        return [n for value in result for n in numbers(value)]
    if hasattr(result, "__dict__"):
        return numbers(vars(result))
    return [] if isinstance(result, str | None) else [float(result)]


def outcome(ask: Callable[[], Any]) -> list[float] | str:
    try:
        return numbers(ask())
    except (TypeError, ValueError) as refusal:  # the same one everywhere
        return str(refusal)


@contextmanager
def training() -> Iterator[None]:
    """All networks in training mode, which no probe changes."""
    modules = [module for model in MODELS.values() for module in model.modules()]
    for module in modules:
        module.train()
    yield
    assert all(module.training for module in modules)
    for module in modules:
        module.eval()


STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default device": lambda: chosen(torch.set_default_device, "meta", None),
    "training mode": training,
}


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", MODELS)
def test_no_probe_follows_the_session(name: str, state: str) -> None:
    model = MODELS[name].eval()
    for probe, ask in asked(model).items():
        expected = outcome(ask)
        with STATES[state]():
            got = outcome(ask)
        if isinstance(expected, str) or isinstance(got, str):
            assert got == expected, probe
        else:
            assert got == pytest.approx(expected, nan_ok=True, rel=1e-6, abs=1e-9), probe
    assert all(weight.grad is None for weight in model.parameters())


def test_gradients_of_a_network_made_in_inference_mode() -> None:
    """Its weights let no gradient pass, which is told; those of the loaders are like any others."""
    with torch.inference_mode():
        made = gi.HookedTransformer(gi.TransformerConfig(d_model=4, n_heads=1), p=P)
        loaded = gi.from_transformer_lens(made.state_dict(), CONFIG, p=P)
        solved = gi.closed_form_mlp(P, 8)
    with pytest.raises(
        ValueError, match=r"weights of HookedTransformer were made under torch\.inf"
    ):
        probes.gradient_symmetricity(made, triples=TRIPLES)
    assert probes.gradient_symmetricity(loaded, triples=TRIPLES).n_triples == len(TRIPLES)
    assert not any(weight.is_inference() for weight in solved.parameters())


@pytest.mark.parametrize("mode", ["zero", "mean", "resample"])
def test_hooks_under_autocast(mode: str) -> None:
    """Activations are bfloat16 there, references and factors float32."""
    reference = torch.rand(3, 8, generator=torch.Generator().manual_seed(1))
    hooks = gi.ablate([0, 1], mode, reference=reference) + gi.scale([2], 3.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for model in (MODELS["MLP"], MODELS["batch norm"], MODELS["transformer"]):
            given = hooks if model is not MODELS["transformer"] else gi.ablate([0], mode)
            assert model.run_with_hooks(DATA.tokens, fwd_hooks=given).isfinite().all()
