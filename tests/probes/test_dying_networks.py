"""Probes flush denormal numbers if a network has dying units and the CPU is slow on them."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import grokinterp as gi
import probes
from grokinterp import session
from probes.probe import probe
from tests.settings import chosen

TINY = torch.finfo(torch.float32).tiny
P = 11
THREADS = 2


@pytest.fixture(autouse=True)
def slow_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if denormals were slow here; the session keeps them, and has several threads."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    torch.set_flush_denormal(False)
    monkeypatch.setattr(session, "_slow_on_denormals", lambda: True)
    with chosen(torch.set_num_threads, THREADS, torch.get_num_threads()):
        yield


def network(kind: str, size: float) -> Any:
    """A network whose first neuron or input dimension has weights of this size."""
    model = {
        "mlp": gi.MLPConfig(d_mlp=12),
        "transformer": gi.TransformerConfig(d_model=16, n_heads=2),
    }[kind]
    made: Any = gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P), model=model))
    with torch.no_grad():
        made.W_E[..., 0] *= size
        made.W_U[0] *= size
    return made


def share_flushed() -> float:
    """Of the parts of a large operation, which torch divides among its threads."""
    return float((torch.full((1 << 20,), TINY) / 2 == 0).double().mean())


@probe
def look(model: Any) -> float:
    return share_flushed()


def is_as_before() -> bool:
    return share_flushed() == 0.0 and torch.get_num_threads() == THREADS


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
@pytest.mark.parametrize(("size", "share"), [(1.0, 0.0), (0.0, 0.0), (1e-20, 1.0)])
def test_only_dying_units_make_a_probe_flush_and_then_everywhere(
    kind: str, size: float, share: float
) -> None:
    made = network(kind, size)
    pairs, seen = probes.network_on_pairs(made), list[float]()
    hook = "hook_post" if kind == "mlp" else "hook_embed"
    (name,) = [name for name in made.hook_dict if name.endswith(hook)][:1]
    assert (look(made), look(model=made), look(pairs)) == (share, share, share)
    pairs.run(pairs.pairs, [(name, lambda value, hook: seen.append(share_flushed()))])
    assert seen == [share]
    assert is_as_before()


def test_the_session_is_as_before_after_an_error() -> None:
    @probe
    def broken(model: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken(network("mlp", 1e-20))
    assert is_as_before()


def values(monkeypatch: pytest.MonkeyPatch, *, slow: bool) -> dict[str, torch.Tensor]:
    monkeypatch.setattr(session, "_slow_on_denormals", lambda: slow)
    mlp, transformer = network("mlp", 1e-20), network("transformer", 1e-20)
    data = gi.make_dataset(gi.DataConfig(p=P, corruption=0.3))
    return {
        "logits": probes.network_on_pairs(mlp).logits(),
        "pruning curve": torch.cat(probes.pruning_curve(mlp, data, torch.arange(12))),
        "exact effects": probes.exact_effects(mlp, data).loss["train"],
        "linear effects": probes.linear_effects(mlp, data)["neurons.0"]["train"],
        "spectra": probes.model_neuron_ipr(mlp).ipr,
        "symmetricity": probes.gradient_symmetricity(transformer, triples=300).cosines,
    }


def test_what_probes_measure_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    want, got = values(monkeypatch, slow=False), values(monkeypatch, slow=True)
    torch.testing.assert_close(got, want, equal_nan=True)
