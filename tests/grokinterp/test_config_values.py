"""Every field of every config, given every kind of value: it works, or the refusal names it."""

import dataclasses
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import grokinterp as gi
from analyses.efficiency.mixing.mixture import MixtureConfig
from analyses.one_run.phases import Thresholds
from analyses.phase_diagrams.refine import Refinement
from grokinterp.models.hooked_module import HookedModuleConfig
from grokinterp.models.registry import MODELS, model_class

pytestmark = pytest.mark.usefixtures("no_type_checker")  # a user has none

SMALL = {
    "data": gi.DataConfig(p=5),
    "training": gi.TrainConfig(steps=10),
    "mlp": gi.MLPConfig(d_mlp=4),
    "embedding_mlp": gi.EmbeddingMLPConfig(d_embed=4, hidden=(4,)),
    "transformer": gi.TransformerConfig(d_model=4, n_heads=2),
    "lstm": gi.LSTMConfig(d_embed=4, d_hidden=4),
    "run": gi.RunConfig(data=gi.DataConfig(p=5), model=gi.MLPConfig(d_mlp=4)),
    "hooked_module": HookedModuleConfig(),
    "mixture": MixtureConfig(),
    "thresholds": Thresholds(),
    "refinement": Refinement(),
}
FIELDS = [
    (name, field.name) for name, config in SMALL.items() for field in dataclasses.fields(config)
]
VALUES: list[Any] = [
    True, None, "", "x", "x" * 100_000, "a " * 100_000, b"x", 1j, object(), {}, {"a": 1}, set(),
    [], [1, 2], [0.5, 0.5], ["mse", "x"], [10**9, 10**9], [1] * 100_000, (), (0.5, np.float32(0.5)),
    np.array(["mse", "x"]), np.array([1, 2]), np.array(3), np.zeros((100, 100)),
    torch.tensor([1.0, 2.0]), torch.tensor(3), torch.zeros(100, 100),
    math.nan, math.inf, -math.inf, -0.0, 0, 1, -1, 0.5, 1e300, 1e-320, -1e-9,
    10**400, -(10**400), 10**5000, 2**64, 2**31, 10**9, 100_003,
    np.float32(0.5), np.int64(3), np.bool_(True), np.str_("square"), np.float64("nan"),
    np.datetime64("2020"), gi.TrainConfig(),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_any_value_works_or_is_refused_by_name(name: str, field: str) -> None:
    for value in VALUES:
        try:
            config = dataclasses.replace(SMALL[name], **{field: value})
            run = config if name == "run" else in_run(name, config)
        except (TypeError, ValueError) as error:
            message = str(error)
            assert field in message, (type(value), message)
            assert len(message) < 600, message
        else:
            check_usable(config)
            if run is not None:
                check_usable(run)
                plain = json.loads(json.dumps(run.to_dict(), allow_nan=False))
                assert gi.RunConfig.from_dict(plain) == run
                gi.build_model(run)


def in_run(name: str, config: Any) -> gi.RunConfig | None:
    """A run with this config as a section; None for configs that are not one."""
    if name in MODELS:
        return dataclasses.replace(SMALL["run"], model=config)
    if name in ("data", "training"):
        return dataclasses.replace(SMALL["run"], **{name: config})
    return None


def check_usable(config: Any) -> None:
    assert len(repr(config)) < 600
    assert "\n" not in repr(config)
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert hash(again) == hash(config)


@pytest.mark.parametrize(
    ("config", "typo", "near"),
    [
        (gi.TrainConfig, "weigth_decay", "weight_decay"),
        (gi.DataConfig, "train_frac", "train_fraction"),
        (gi.MLPConfig, "d_mpl", "d_mlp"),
        (gi.EmbeddingMLPConfig, "hiden", "hidden"),
        (gi.TransformerConfig, "n_layer", "n_layers"),
        (gi.LSTMConfig, "d_hiden", "d_hidden"),
        (gi.RunConfig, "trainig", "training"),
        (gi.RunConfig, "lr", r"training=TrainConfig\(lr=...\)"),
        (gi.RunConfig, "p", r"data=DataConfig\(p=...\)"),
        (MixtureConfig, "decayof", "decay_of"),
        (Thresholds, "learnt", "learned"),
        (Refinement, "strides", "stride"),
    ],
)
def test_a_misspelt_field_is_answered_with_the_nearest(config: Any, typo: str, near: str) -> None:
    with pytest.raises(TypeError, match=rf"has no field '{typo}'\. Did you mean '?{near}"):
        config(**{typo: 1})
    with pytest.raises(TypeError, match=near):
        dataclasses.replace(config(), **{typo: 1})


def test_fields_are_given_by_name() -> None:
    config: Any = gi.TrainConfig
    with pytest.raises(TypeError, match=r"TrainConfig takes keyword arguments only: steps="):
        config(100)


def test_equal_configs_have_one_json() -> None:
    """A sweep's store and a run folder compare what is written."""
    one = gi.RunConfig(training=gi.TrainConfig(weight_decay=5, lr=1, momentum=0.0))
    other = gi.RunConfig(training=gi.TrainConfig(weight_decay=5.0, lr=np.float64(1), momentum=-0.0))
    assert one == other
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_a_repr_holds_what_is_not_the_default() -> None:
    assert repr(gi.RunConfig()) == "RunConfig()"
    config = gi.RunConfig(data=gi.DataConfig(p=5, operation=max), seed=2)
    assert repr(config.data.operation) == "Table(name='max', p=5, labels=(0, 1, 2, 3, 4, 1, ...))"
    table = "Table(name='max', p=5, labels=(...))"
    assert repr(config) == f"RunConfig(data=DataConfig(operation={table}, p=5), seed=2)"


@pytest.mark.parametrize("name", ["lr", "eps"])
def test_what_would_be_zero_in_training_is_refused(name: str) -> None:
    fields: Any = {name: 1e-60}
    with pytest.raises(ValueError, match=f"{name} must be at least 1e-38 .* 1e-60"):
        gi.TrainConfig(**fields)
    fields[name] = 1.2e-38
    assert np.float32(getattr(gi.TrainConfig(**fields), name)) > 0


@pytest.mark.parametrize(
    ("data", "training"),
    [({"train_fraction": 0.05}, {}), ({}, {"batch_size": 1})],
)
def test_batch_norm_needs_two_examples(data: dict[str, Any], training: dict[str, Any]) -> None:
    parts: dict[str, Any] = {
        "data": gi.DataConfig(p=5, **data),
        "training": gi.TrainConfig(**training),
    }
    gi.RunConfig(model=gi.MLPConfig(norm="layer"), **parts)
    with pytest.raises(ValueError, match="norm='batch' needs at least 2 examples per batch"):
        gi.RunConfig(model=gi.MLPConfig(norm="batch"), **parts)


@pytest.mark.parametrize(
    "model",
    [
        gi.MLPConfig(d_mlp=7),
        gi.MLPConfig(d_mlp=7, n_layers=3, norm="batch"),
        gi.EmbeddingMLPConfig(d_embed=3, hidden=(7, 5), norm="layer"),
        gi.EmbeddingMLPConfig(
            d_embed=3,
            hidden=(7,),
            combine="sum",
            biases=False,
            unembed_bias=False,
            d_vocab=17,
            d_vocab_out=13,
            prompt="a + b",
        ),
        gi.LSTMConfig(d_embed=3, d_hidden=5, n_layers=1),
        gi.LSTMConfig(d_embed=3, d_hidden=5, n_layers=3, d_vocab=17, d_vocab_out=13),
        gi.TransformerConfig(d_model=6, n_heads=2, n_layers=2),
        gi.TransformerConfig(d_model=6, n_heads=2, d_head=5, d_mlp=7, normalization_type="LN"),
        gi.TransformerConfig(d_model=6, n_heads=2, normalization_type="LNPre", attn_only=True),
        gi.TransformerConfig(d_model=6, n_heads=2, normalization_type="LN", norm_position="post"),
        gi.TransformerConfig(d_model=6, n_heads=2, tie_embedding=True, n_ctx=9, d_vocab=17),
        gi.TransformerConfig.paper1(d_model=8),
        gi.TransformerConfig.paper2(d_model=8),
        gi.TransformerConfig.nanda2023(d_model=8, n_layers=2),
        gi.TransformerConfig.zhong2023(d_model=8, prompt="a p+b"),
        gi.EmbeddingMLPConfig(d_embed=3, hidden=(7,), prompt="a p+b ="),
        gi.LSTMConfig(d_embed=3, d_hidden=5, prompt="a p+b ="),
    ],
)
def test_parameters_are_counted_without_building_the_network(model: Any) -> None:
    config = gi.RunConfig(data=gi.DataConfig(p=11), model=model)
    network = gi.build_model(config)
    built = sum(weight.numel() for weight in network.parameters())
    if isinstance(network, gi.HookedTransformer) and (
        model.positional_embedding_type == "sinusoidal"
    ):
        built += network.W_pos.numel()
    assert model_class(config.model).parameter_count(model, 11) == built


def test_a_network_of_a_file_is_refused_before_it_is_built() -> None:
    with pytest.raises(ValueError, match=r"d_mlp=1000000000\) with p=5 has 1.5e\+10 parameters"):
        gi.HookedMLP(gi.MLPConfig(d_mlp=10**9), p=5)
    with pytest.raises(ValueError, match=r"d_model=1000000, .* has .* parameters"):
        gi.HookedTransformer(gi.TransformerConfig(d_model=10**6, n_ctx=3, d_vocab=5))
