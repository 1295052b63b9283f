"""An error quotes what it was given in a few words, however large that is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import grokinterp as gi
import probes

LONGEST = 1500  # characters: several quotations, and the names of all fields of a config
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4), training=gi.TrainConfig(steps=1)
)
TEXT = "a**0x" + "f" * 20_000 + "/"
HUGE = {"text": TEXT, "list": [TEXT] * 20_000, "tensor": torch.zeros(50, 50), "integer": 10**5_000}


def _train(**arguments: Any) -> Any:
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    return gi.train_many([CONFIG], **options | arguments)


def _sweep(**arguments: Any) -> Any:
    options: dict[str, Any] = {"axes": {"training.lr": [0.1]}, "device": "cpu", "progress": False}
    return gi.sweep(CONFIG, **options | arguments)


def _hooks(fwd_hooks: Any) -> Any:
    tokens = gi.make_dataset(CONFIG.data).tokens
    return gi.build_model(CONFIG).run_with_hooks(tokens, fwd_hooks=fwd_hooks)


def key(value: Any) -> Any:
    """The value where a name belongs: only what can be a key of a mapping is one."""
    return tuple(value) if isinstance(value, list) else value


COMMON = ("device", "precision", "callbacks")
ONLY_SWEEPS = ("axes", "measure", "refine", "executor", "worker_timeout", "chunk")
CALLS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    **{
        f"train {name}": (name, lambda v, name=name: _train(**{name: v}))
        for name in (*COMMON, "threads", "probes", "checkpoints", "start")
    },
    "train memory_limit": ("memory_limit", lambda v: _train(memory_limit=[v])),
    "train configs": ("configs", lambda v: gi.train_many([v], progress=False)),
    "train probe": ("probe", lambda v: _train(probes={"size": v})),
    "train probe's name": ("probes", lambda v: _train(probes={key(v): len})),
    "train rule": ("checkpoint", lambda v: _train(checkpoints={"mid": v})),
    "train rule's name": ("checkpoints", lambda v: _train(checkpoints={key(v): gi.at_step(1)})),
    **{
        f"sweep {name}": (name, lambda v, name=name: _sweep(**{name: v}))
        for name in (*COMMON, *ONLY_SWEEPS)
    },
    "sweep base": ("base", lambda v: gi.sweep(v, {"training.lr": [0.1]})),
    "sweep value": ("training.batch_size", lambda v: _sweep(axes={"training.batch_size": [v]})),
    "sweep values": ("data.p", lambda v: _sweep(axes={"data.p": [5, v]})),
    "sweep path": ("RunConfig", lambda v: _sweep(axes={key(v): [1]})),
    "sweep setting": ("setting", lambda v: _sweep(axes={"setting": {"a": v}})),
    "sweep label": ("setting", lambda v: _sweep(axes={"setting": {key(v): {"data.p": -1}}})),
    "sweep measure": ("measure", lambda v: _sweep(measure={"m": v})),
    "sweep measure's name": ("measure", lambda v: _sweep(measure={key(v): len})),
    "config value": ("operation", lambda v: gi.DataConfig(operation=v)),
    "config field": ("DataConfig", lambda v: gi.DataConfig(**{TEXT: v})),
    "config path": ("RunConfig", lambda v: CONFIG.replace({key(v): 1})),
    "config mapping": ("data", lambda v: gi.RunConfig.from_dict({"data": v})),
    "config kind": ("kind", lambda v: gi.RunConfig.from_dict({"model": {"kind": v}})),
    "model config": ("config", lambda v: gi.HookedMLP(v, p=5)),
    "neurons": ("neurons", lambda v: _hooks(gi.ablate(v))),
    "hook": ("hook", lambda v: _hooks(gi.ablate([0], hook=v))),
    "hook's name": ("hook", lambda v: _hooks([(v, lambda x, hook: x)])),
    "mode": ("mode", lambda v: gi.ablate([0], v)),
    "factor": ("factor", lambda v: _hooks(gi.scale([0], v, hook="layers.0.hook_post"))),
    "probe's hook": (
        "hook",
        lambda v: probes.network_on_pairs(gi.build_model(CONFIG)).activations(v),
    ),
    "triples": (
        "triples",
        lambda v: probes.gradient_symmetricity(gi.build_model(CONFIG), triples=v),
    ),
    "basis": ("operation", lambda v: probes.model_circularity(gi.build_model(CONFIG), v)),
}


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize("call", CALLS)
def test_a_message_is_short(
    call: str, huge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, use = CALLS[call]
    with pytest.raises((TypeError, ValueError, IndexError)) as caught:
        use(HUGE[huge])
    message = str(caught.value)
    assert name in message
    assert len(message) <= LONGEST, message[:3000]
