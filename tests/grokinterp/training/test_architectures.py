"""Every architecture trains alone, in a stack and vectorised, with dropout, to the same result."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.models.registry import MODELS
from grokinterp.training import trainer
from grokinterp.training.dropout import dropout_mask, multiply_by
from grokinterp.training.passes.vectorised import VectorisedPasses
from grokinterp.training.stack import Stack
from probes import subset_scores

SMALL: dict[str, Any] = {
    "mlp": gi.MLPConfig(d_mlp=8, n_layers=2, norm="layer"),
    "embedding_mlp": gi.EmbeddingMLPConfig(d_embed=6, hidden=(8, 7), prompt="a b ="),
    "transformer": gi.TransformerConfig(d_model=8, n_heads=2, n_layers=2, normalization_type="LN"),
    "lstm": gi.LSTMConfig(d_embed=6, d_hidden=7),
}
BASE = gi.RunConfig(
    data=gi.DataConfig(p=7, train_fraction=0.6, corruption=0.2),
    training=gi.TrainConfig(steps=6, lr=1e-2, eval_every=3, loss="cross_entropy"),
)


def configs(kind: str, **changes: Any) -> list[gi.RunConfig]:
    model = SMALL.get(kind, gi.MLPConfig(d_mlp=8, n_layers=2, act="relu"))
    base = BASE.replace({"model": model} | changes)
    return [base.replace({"seed": s, "training.weight_decay": float(s)}) for s in range(3)]


def train(configs: list[gi.RunConfig]) -> list[gi.Run]:
    return gi.train_many(configs, precision="float64", progress=False)


def assert_same(one: gi.Run, other: gi.Run) -> None:
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(
            other.model.state_dict()[name], value, rtol=1e-7, atol=1e-9, msg=name
        )


def test_all_are_here() -> None:
    assert SMALL.keys() == MODELS.keys() - {"wrapped"}  # is trained elsewhere


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("kind", SMALL)
def test_alone_in_a_stack_and_vectorised(
    kind: str, batch_size: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    several = configs(kind, **{"training.batch_size": batch_size})
    together = train(several)
    assert_same(train([several[1]])[0], together[1])
    monkeypatch.setattr(trainer, "Stack", functools.partial(Stack, passes=VectorisedPasses))
    for one, other in zip(together, train(several), strict=True):
        assert_same(one, other)
    again = gi.Run.load(together[0].save(tmp_path / "run"))
    assert torch.equal(again.model(again.dataset.tokens), together[0].model(again.dataset.tokens))
    assert {"norm", "test_accuracy"} <= set(together[0].history)


@pytest.mark.parametrize(
    ("kind", "place"),
    [(k, place) for k in SMALL for place in MODELS[k].dropout_places]
    + [("plain mlp", "pre"), ("plain mlp", "post"), ("plain mlp", "pre+post")],
)
def test_one_step_with_dropout_is_the_hooked_models(kind: str, place: str) -> None:
    config = configs(
        kind,
        **{
            "training.dropout": 0.4,
            "training.dropout_at": place,
            "training.steps": 1,
            "training.optimizer": "sgd",
            "training.lr": 1.0,
        },
    )[0]
    model, data = gi.build_model(config).double(), gi.make_dataset(config.data)
    hooks: list[Any] = [
        (hook, multiply_by(dropout_mask(config, step=0, hook=hook, dtype=torch.float64)))
        for hook in type(model).dropout_points(config.model, place)
    ]
    logits = model.run_with_hooks(data.tokens[data.is_train], fwd_hooks=hooks)
    LOSSES["cross_entropy"].per_example(logits, data.labels[data.is_train]).mean().backward()
    trained = train([config])[0].model
    for (name, before), after in zip(model.named_parameters(), trained.parameters(), strict=True):
        assert before.grad is not None
        want = (before - before.grad).detach()
        torch.testing.assert_close(after.detach(), want, rtol=1e-9, atol=1e-12, msg=name)


def test_dropout_is_drawn_for_each_run_of_a_vectorised_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    several = configs("transformer", **{"training.dropout": 0.3, "training.dropout_at": "residual"})
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "Stack", functools.partial(Stack, passes=VectorisedPasses))
        together = train(several)
    for alone, one in zip(several, together, strict=True):
        assert_same(train([alone])[0], one)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig:
    width: int = 6


class Own(gi.HookedModel):
    """A bilinear network, as a user would write it."""

    config_class = OwnConfig

    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        rng = torch.Generator().manual_seed(seed)
        self.W_E = nn.Parameter(torch.randn(p, config.width, generator=rng))
        self.W_U = nn.Parameter(torch.randn(config.width, p, generator=rng))
        self.dropout = nn.Dropout(0.0)
        self.hook_product = HookPoint()
        self.setup()

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        a, b = self.W_E[tokens[:, 0]], self.W_E[tokens[:, 1]]
        return self.hook_product(self.dropout(a * b)) @ self.W_U


class Tied(Own):
    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p, seed=seed)
        self.again = self.W_E


class Dropping(Own):
    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p, seed=seed)
        self.dropout.p = 0.5


class Unseeded(Own):
    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p, seed=seed)
        self.W_U = nn.Parameter(torch.randn(config.width, p))


def register(monkeypatch: pytest.MonkeyPatch, model: type[gi.HookedModel]) -> gi.RunConfig:
    monkeypatch.setitem(MODELS, "own", model)  # taken out again when the test is over
    gi.register_model("own", model)
    return BASE.replace({"model": OwnConfig()})


def test_a_network_of_ones_own_is_trained_and_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = register(monkeypatch, Own)
    run = train([config])[0]
    again = gi.Run.load(run.save(tmp_path / "own"))
    assert isinstance(again.model, Own)
    scored = subset_scores(again.model, run.dataset, kind="cross_entropy")
    assert scored["test"]["loss"] == pytest.approx(float(run.history.test_loss[-1]))
    assert float(run.history.train_loss[-1]) < float(run.history.train_loss[0])


def test_what_would_be_trained_to_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="Tied holds one parameter under several names: again"):
        train([register(monkeypatch, Tied)])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="dropout of Dropping uses torch's global random"):
        train([register(monkeypatch, Dropping)])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="Unseeded has different weights each time it is built"):
        train([register(monkeypatch, Unseeded)])


def test_registrations_that_would_be_mistaken_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Own)
    with pytest.raises(ValueError, match="Tied has the config_class of Own"):
        gi.register_model("tied", Tied)
    with pytest.raises(ValueError, match="kind='own' is taken by Own"):
        gi.register_model("own", Tied)

    @dataclasses.dataclass
    class Loose:
        width: int = 3

    monkeypatch.setattr(Tied, "config_class", Loose)
    with pytest.raises(TypeError, match="must be a frozen dataclass"):
        gi.register_model("tied", Tied)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wider(gi.MLPConfig):
        pass

    with pytest.raises(TypeError, match="model must be of type MLPConfig or"):
        BASE.replace({"model": Wider()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": gi.LSTMConfig(n_layers=1), "training.dropout_at": "between"},
            "does not exist in",
        ),
        ({"model": gi.TransformerConfig(attn_only=True)}, "attn_only|no MLP"),
        (
            {"model": gi.MLPConfig(norm="batch"), "training.batch_size": 1},
            "needs at least 2 examples",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_by_the_config(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        BASE.replace({"training.dropout": 0.1} | changes)
