"""The run config: dotted paths, JSON, hashing and refusals."""

import dataclasses
import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grokinterp import (
    DataConfig,
    MLPConfig,
    RunConfig,
    Table,
    TrainConfig,
    build_model,
)
from grokinterp.config.training import OPTIMIZERS
from grokinterp.data import CORRUPTIONS
from grokinterp.limits import MAX_ROWS, MAX_STEPS
from grokinterp.losses import LOSSES
from grokinterp.models.activations import ACTIVATIONS
from grokinterp.models.mlp import INITS
from grokinterp.models.norms import NORMS

# The suite's type checker looks at a random item of a table's labels while a strategy makes them.
checked_while_drawn = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside")

POLYNOMIALS = ("a**2 + a*b + b**2", "a*b - 3", "b^3")


@st.composite
def operations(draw: st.DrawFn, p: int) -> str | Table:
    named = ["addition", "subtraction", "multiplication"] + ["division"] * (p != 4)
    if draw(st.booleans()):
        return draw(st.sampled_from([*named, *POLYNOMIALS]))
    labels = st.lists(st.integers(0, p - 1), min_size=p * p, max_size=p * p)
    return Table(draw(st.text(max_size=8)), p, tuple(draw(labels)))


@st.composite
def run_configs(draw: st.DrawFn) -> RunConfig:
    p = draw(st.integers(2, 5))
    kind = draw(st.sampled_from(CORRUPTIONS))
    protocol = draw(st.sampled_from(["independent", "published"]))
    free = kind != "symmetric" or protocol == "independent"
    positive = st.floats(2e-38, 1e38)
    beta = st.floats(0.0, 1.0, exclude_max=True)
    optimizer = draw(st.sampled_from(sorted(OPTIMIZERS)))
    steps = draw(st.integers(1, MAX_STEPS))
    fewest = -(-steps // MAX_ROWS)
    return RunConfig(
        data=DataConfig(
            operation=draw(operations(p)),
            p=p,
            train_fraction=draw(st.floats(2.01 / p**2, 1.0, exclude_max=True)),
            corruption=draw(st.floats(0.0, 1.0)),
            corruption_kind=kind,
            second_operation=draw(operations(p)) if kind == "second_rule" else None,
            protocol="independent" if free else "published",
            seed=draw(st.integers(0, 2**70)) if free else 0,
        ),
        model=MLPConfig(
            d_mlp=draw(st.integers(1, 10**4)),
            n_layers=draw(st.integers(1, 9)),
            act=draw(st.sampled_from(sorted(ACTIVATIONS))),
            init=draw(st.sampled_from(INITS)),
            norm=draw(st.sampled_from([None, *NORMS])),
        ),
        training=TrainConfig(
            steps=steps,
            lr=draw(positive),
            weight_decay=draw(st.floats(0.0, 1e38)),
            optimizer=optimizer,
            decay=draw(st.sampled_from([None, *OPTIMIZERS[optimizer]])),
            momentum=draw(beta) if optimizer == "sgd" else 0.0,
            batch_size=draw(st.none() | st.integers(2, 10**6)),
            warmup_steps=draw(st.integers(0, 10**6)),
            betas=(draw(beta), draw(beta)),
            eps=draw(positive),
            loss=draw(st.sampled_from(sorted(LOSSES))),
            eval_every=draw(st.just("log") | st.integers(fewest, MAX_STEPS)),
            dropout=draw(st.floats(0.0, 1.0, exclude_max=True)),
            dropout_at=draw(st.sampled_from(["pre", "post", "pre+post"])),
            weight_noise=draw(st.floats(0.0, 1e38)),
            update_noise=draw(st.floats(0.0, 1e38)),
        ),
        seed=draw(st.integers(0, 2**70)),
    )


@checked_while_drawn
@given(run_configs())
def test_json_round_trip(config: RunConfig) -> None:
    text = json.dumps(config.to_dict(), allow_nan=False)
    again = RunConfig.from_dict(json.loads(text))
    assert again == config
    assert hash(again) == hash(config)
    assert json.dumps(again.to_dict()) == text


def test_json_of_the_default_config_holds_plain_values() -> None:
    """What a stored run of today says; a change here needs a new format number."""
    assert json.loads(json.dumps(RunConfig().to_dict())) == {
        "data": {
            "operation": "addition",
            "p": 97,
            "train_fraction": 0.5,
            "corruption": 0.0,
            "corruption_kind": "symmetric",
            "second_operation": None,
            "protocol": "independent",
            "seed": 0,
        },
        "model": {
            "kind": "mlp",
            "d_mlp": 500,
            "n_layers": 1,
            "act": "square",
            "init": "paper",
            "norm": None,
        },
        "training": {
            "steps": 2000,
            "lr": 0.01,
            "warmup_steps": 0,
            "batch_size": None,
            "optimizer": "adamw",
            "weight_decay": 0.0,
            "decay": None,
            "momentum": 0.0,
            "betas": [0.9, 0.98],
            "eps": 1e-8,
            "loss": "mse",
            "eval_every": 10,
            "dropout": 0.0,
            "dropout_at": "pre",
            "weight_noise": 0.0,
            "update_noise": 0.0,
        },
        "seed": 0,
    }


def test_from_dict_reads_only() -> None:
    config = RunConfig(data=DataConfig(p=3, operation=Table("zero", 3, (0,) * 9)))
    plain = json.loads(json.dumps(config.to_dict()))
    kept = json.dumps(plain)
    RunConfig.from_dict(plain)
    assert json.dumps(plain) == kept


def test_replace_changes_the_named_fields_only() -> None:
    config = RunConfig(model=MLPConfig(d_mlp=32, act="relu"), seed=7)
    other = config.replace({"training.weight_decay": 5.0, "data.p": 13, "data.seed": 2, "seed": 1})
    assert other == RunConfig(
        data=DataConfig(p=13, seed=2),
        model=MLPConfig(d_mlp=32, act="relu"),
        training=TrainConfig(weight_decay=5.0),
        seed=1,
    )
    assert config == RunConfig(model=MLPConfig(d_mlp=32, act="relu"), seed=7)
    assert config.replace({}) == config


@checked_while_drawn
@given(run_configs(), st.data())
def test_every_field_can_be_replaced_by_its_path(config: RunConfig, draw: st.DataObject) -> None:
    """A config is reached from any other by naming all of its fields."""
    start = draw.draw(run_configs())
    changes = {
        f"{section}.{field.name}": getattr(getattr(config, section), field.name)
        for section in ("data", "model", "training")
        for field in dataclasses.fields(getattr(config, section))
    }
    assert start.replace(changes | {"seed": config.seed}) == config


def test_replace_takes_a_whole_section_and_then_its_fields() -> None:
    config = RunConfig().replace({"data.corruption": 0.2, "data": DataConfig(p=13, seed=4)})
    assert config.data == DataConfig(p=13, seed=4, corruption=0.2)


def test_fields_of_a_section_are_checked_together() -> None:
    """Neither change is valid without the other, in whichever order they are named."""
    changes = [("data.p", 12), ("data.operation", "multiplication")]
    config = RunConfig(data=DataConfig(operation="division", p=97))
    for order in (changes, changes[::-1]):
        data = config.replace(dict(order)).data
        assert (data.p, data.operation) == (12, "multiplication")


def test_replaced_values_are_checked() -> None:
    with pytest.raises(TypeError, match=r"must be a mapping .*table\.to_dict\('records'\)"):
        RunConfig().replace("seed")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"lr must lie in .* got -1"):
        RunConfig().replace({"training.lr": -1.0})
    with pytest.raises(ValueError, match="needs a prime p, got p=96"):
        RunConfig(data=DataConfig(operation="division")).replace({"data.p": 96})


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("training.weigth_decay", "training.weight_decay"),
        ("weight_decay", "training.weight_decay"),
        ("data.alpha", None),
        ("train_fraction", "data.train_fraction"),
        ("trainig.lr", "training.lr"),
        ("model.width", None),
        ("sed", "seed"),
        ("data.p.q", "data.p"),
        ("training.", "training"),
        (".seed", "seed"),
        ("", None),
        ("model.kind", None),
    ],
)
def test_unknown_path_names_near_matches_and_all_paths(path: str, near: str | None) -> None:
    with pytest.raises(ValueError, match="is not a field of a RunConfig") as caught:
        RunConfig().replace({path: 1})
    message = str(caught.value)
    assert message.startswith(repr(path))
    matches, known = message.split("; all: ")
    if near is not None:
        assert near in matches.partition("Near matches: ")[2].split(", ")
    for name in ("data.train_fraction", "model.d_mlp", "training.lr", "seed"):
        assert name in known.split(", ")


def test_equal_configs_are_one_key() -> None:
    table = Table("zero", 3, (0,) * 9)
    cells = {RunConfig(data=DataConfig(p=3, operation=table), seed=s % 2): s for s in range(4)}
    assert sorted(cells.values()) == [2, 3]


def test_list_of_betas_is_a_pair_like_any_other() -> None:
    from_list: Any = [0.9, 0.98]
    assert hash(TrainConfig(betas=from_list)) == hash(TrainConfig(betas=(0.9, 0.98)))


def test_configs_are_frozen() -> None:
    config: Any = RunConfig()
    for section, field in [(config, "seed"), (config.data, "p"), (config.model, "act")]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(section, field, 3)


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("data", TrainConfig(), "data must be of type DataConfig, got TrainConfig"),
        ("model", {"d_mlp": 5}, "model must be of type MLPConfig or .*, got {'d_mlp': 5}"),
        ("training", None, "training must be of type TrainConfig, got None"),
    ],
)
def test_sections_of_another_type_are_refused(section: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        RunConfig(**{section: value})
    with pytest.raises(TypeError, match=message):
        RunConfig().replace({section: value})


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, "seed must be at least 0, got -1"),
        (0.0, TypeError, r"seed must be an integer, got 0.0 \(float\)"),
        (True, TypeError, r"seed must be an integer, got True \(bool\)"),
    ],
)
def test_bad_seeds_are_refused(seed: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RunConfig(seed=seed)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"d_mlp": 0}, ValueError, "d_mlp must be at least 1, got 0"),
        ({"d_mlp": 8.0}, TypeError, r"d_mlp must be an integer, got 8.0 \(float\)"),
        ({"n_layers": 0}, ValueError, "n_layers must be at least 1, got 0"),
        ({"act": "sqare"}, ValueError, "act='sqare' is unknown. Did you mean 'square'"),
        ({"act": "tanh"}, ValueError, "act='tanh' is unknown.* Known: gelu, relu, square"),
        ({"init": "papers"}, ValueError, "init='papers' is unknown. Did you mean 'paper'"),
    ],
)
def test_bad_architectures_are_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MLPConfig(**fields)


@pytest.mark.parametrize(
    ("section", "field", "message"),
    [
        (
            "data",
            "alpha",
            "'data.alpha' is unknown.* Known: data.corruption, .*data.train_fraction",
        ),
        ("model", "d_mpl", "'model.d_mpl' is unknown. Did you mean 'model.d_mlp'"),
        ("training", "stps", "'training.stps' is unknown. Did you mean 'training.steps'"),
        (None, "sed", "'sed' is unknown. Did you mean 'seed'. Known: data, model, seed, training"),
    ],
)
def test_unknown_fields_in_json_are_refused(section: str | None, field: str, message: str) -> None:
    plain = RunConfig().to_dict()
    (plain[section] if section else plain)[field] = 1
    with pytest.raises(ValueError, match=message):
        RunConfig.from_dict(plain)


@pytest.mark.parametrize("path", ["training", "training.lr", "data.p", "model.kind", "seed"])
def test_missing_fields_in_json_take_their_defaults(path: str) -> None:
    plain = RunConfig().to_dict()
    section, _, field = path.partition(".")
    if field:
        del plain[section][field]
    else:
        del plain[section]
    assert RunConfig.from_dict(plain) == RunConfig()


def test_unknown_model_kind_in_json_is_refused() -> None:
    plain = RunConfig().to_dict()
    plain["model"]["kind"] = "mpl"
    with pytest.raises(ValueError, match=r"model\.kind='mpl' is unknown\. Did you mean 'mlp'"):
        RunConfig.from_dict(plain)


def test_bad_values_in_json_are_refused() -> None:
    plain = RunConfig().to_dict()
    plain["data"]["operation"] = {"name": "zero", "p": 97, "labels": [0, 97]}
    with pytest.raises(ValueError, match=r"Table\.labels must hold p\*p = 9409 labels, got 2"):
        RunConfig.from_dict(plain)


@pytest.mark.usefixtures("no_type_checker")  # which draws from Python's global generator
def test_building_a_model_leaves_the_global_random_state_alone() -> None:
    python, torch_state = random.getstate(), torch.get_rng_state()
    build_model(RunConfig(data=DataConfig(p=7), model=MLPConfig(d_mlp=8)))
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.usefixtures("no_type_checker")
def test_numpy_scalars_become_plain_numbers() -> None:
    width: Any = np.int64(16)
    fraction: Any = np.linspace(0.1, 0.9, 17)[8]
    config = RunConfig(data=DataConfig(p=11, train_fraction=fraction), model=MLPConfig(d_mlp=width))
    assert type(config.data.train_fraction) is float
    assert type(config.model.d_mlp) is int
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
