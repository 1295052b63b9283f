"""Random cases: settings of every field of every config, and of the calls that train them."""

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import grokinterp as gi
from grokinterp.models.registry import MODELS

Fields = dict[str, Any]

# Values that make sense, small enough for a run of a fraction of a second.
DATA: dict[str, list[Any]] = {
    "operation": [
        "addition", "subtraction", "multiplication", "division", "a**2 + a*b + b**2", "a^3 - 2*b",
        "-a", "b*(a - 4)**7", "a + b + 10**30", "table", "function",
    ],
    "p": [2, 3, 4, 5, 6, 7, 9, 11, 13],
    "train_fraction": [0.05, 0.3, 0.5, 0.6, 0.81, 0.99],
    "corruption": [0.0, 0, 0.1, 0.35, 1.0, 1],
    "corruption_kind": ["symmetric", "derangement", "pair_flip", "second_rule"],
    "second_operation": [None, "multiplication", "a - b", "table", "function"],
    "protocol": ["independent", "published", "nanda2023"],
    "seed": [0, 1, 7, 2**32],
}  # fmt: skip
PROMPTS = ["a b", "a b =", "a + b =", "eos a + b =", "b a", "= a b x", "a b = =", "a p+b ="]
MODEL: dict[str, dict[str, list[Any]]] = {
    "mlp": {
        "d_mlp": [1, 2, 8, 20],
        "n_layers": [1, 1, 2, 3],
        "act": ["square", "relu", "gelu"],
        "init": ["paper", "standard", "lazy"],
        "norm": [None, None, "batch", "layer"],
    },
    "embedding_mlp": {
        "d_embed": [1, 5, 12],
        "hidden": [(6,), (1,), (8, 8), (12, 5, 3), [7, 7]],
        "combine": ["concat", "sum"],
        "act": ["square", "relu", "gelu"],
        "biases": [True, False],
        "unembed_bias": [True, False],
        "norm": [None, None, "batch", "layer"],
        "prompt": PROMPTS,
        "d_vocab": [None, None, 27, 30],
        "d_vocab_out": [None, None, 17, 20],
        "init": ["torch", "zhong"],
    },
    "transformer": {
        "n_layers": [1, 1, 2],
        "d_model": [4, 8, 12],
        "n_heads": [1, 2, 4],
        "d_head": [None, None, 1, 3],
        "d_mlp": [None, 1, 10],
        "act_fn": ["relu", "gelu", "square"],
        "attn_only": [False, False, True],
        "normalization_type": [None, "LN", "LNPre"],
        "norm_position": ["pre", "post"],
        "eps": [1e-5, 0, 1e-3],
        "attention_dir": ["causal", "bidirectional"],
        "positional_embedding_type": ["standard", "sinusoidal"],
        "use_attn_scale": [True, False],
        "attn_scale": [None, 0.5, 3],
        "attn_rate": [1.0, 0.0, 0.3],
        "mup": [None, 0, 1.0, -0.5],
        "tie_embedding": [False, True],
        "biases": [True, False, "mlp"],
        "n_ctx": [None, 5, 9],
        "d_vocab": [None, None, 27, 30],
        "d_vocab_out": [None, None, 17],
        "prompt": PROMPTS,
        "init": ["gpt2", "nanda", "paper1", "paper2", "zhong"],
    },
    "lstm": {
        "n_layers": [1, 2, 3],
        "d_embed": [1, 6],
        "d_hidden": [1, 5, 9],
        "prompt": PROMPTS,
        "d_vocab": [None, None, 27, 30],
        "d_vocab_out": [None, None, 17, 20],
        "init": ["torch"],
    },
}
TRAINING: dict[str, list[Any]] = {
    "steps": [1, 2, 5, 9, 12],
    "lr": [1e-2, 1e-3, 0.3, 1],
    "warmup_steps": [0, 0, 4, 50],
    "batch_size": [None, None, 1, 3, 8, 1000],
    "optimizer": ["adamw", "adam", "sgd"],
    "weight_decay": [0.0, 0, 1.0, 30.0],
    "decay": [None, "decoupled_zero", "decoupled_init", "jiggle", "l2"],
    "momentum": [0.0, 0.9],
    "betas": [(0.9, 0.98), (0.0, 0.0), [0.5, 0.999], (0, 0.9)],
    "eps": [1e-8, 1e-3, 1],
    "loss": ["mse", "cross_entropy", "mse_softmax", "cross_entropy_float64"],
    "eval_every": [10, 1, 3, 100, "log"],
    "dropout": [0.0, 0.0, 0.2, 0.9],
    "dropout_at": ["pre", "post", "embed", "attention", "residual", "mlp_out", "between",
                   "pre+post", "embed+pre"],
    "weight_noise": [0.0, 0.0, 0.05],
    "update_noise": [0.0, 0.0, 0.1],
}  # fmt: skip
CALL: dict[str, list[Any]] = {
    "precision": ["float32", "float32", "float64", "bfloat16"],
    "threads": [None, 1, 2],
    "device": [None, "cpu"],
    "memory_limit": [None, "1 GiB", 2**30],
    "probes": [None, "size"],
    "checkpoints": [None, "rules"],
    "start": [None],
}
SEEDS = [0, 1, 12, 2**40]

# Values that few fields can take, one of every kind of thing that users pass by mistake.
ODD: list[Callable[[], Any]] = [
    lambda: None, lambda: "", lambda: "x" * 50, lambda: "none", lambda: "1", lambda: True,
    lambda: -1, lambda: 0, lambda: 1.5, lambda: math.nan, lambda: math.inf, lambda: -math.inf,
    lambda: 1e300, lambda: 1e-320, lambda: 10**400, lambda: 2**63, lambda: 2**64, lambda: 10**9,
    lambda: 100_003, lambda: -0.0, lambda: 1j, lambda: b"mse", lambda: [], lambda: [1], lambda: (),
    lambda: {}, lambda: {"a": 1}, lambda: {1}, lambda: object(), lambda: int, lambda: len,
    lambda: np.array([1.0, 2.0]), lambda: np.array(["mse", "x"]), lambda: np.float32(0.5),
    lambda: np.int64(3), lambda: np.str_("mse"), lambda: torch.tensor(2), lambda: torch.ones(3),
    lambda: "a**0x" + "f" * 20_000, lambda: "a" + "+a" * 3000, lambda: "a b = " * 3,
    lambda: "\ud800", lambda: "a\x00b", lambda: (lambda a, b: a / 2), lambda: (lambda: 1),
]  # fmt: skip


@dataclass
class Case:
    """One set of settings; what is left out has its default."""

    number: int
    kind: str  # of network, as in ``MODELS``
    data: Fields
    model: Fields
    training: Fields
    seed: Any
    call: Fields  # arguments of ``train_many``
    odd: list[str] = field(default_factory=list)  # the fields that were given an odd value
    axes: dict[str, list[Any]] | None = None  # of a sweep, if the case has one


def check_complete() -> None:
    """Raise unless every field of every config has values to draw from."""
    known = {"data": (gi.DataConfig, DATA), "training": (gi.TrainConfig, TRAINING)}
    known |= {kind: (MODELS[kind].config_class, MODEL.get(kind, {})) for kind in MODELS}
    for name, (config, values) in known.items():
        if missing := {f.name for f in dataclasses.fields(config)} ^ values.keys():
            raise SystemExit(f"draw.py and the config of {name} disagree on {sorted(missing)}")


def draw(seed: int, number: int) -> Case:
    """The case of this number, the same at every call."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(list(MODEL))
    case = Case(
        number=number,
        kind=kind,
        data=_some(rng, DATA, always=("p",)),
        model=_some(rng, MODEL[kind], always=("d_mlp", "d_embed", "hidden", "d_model", "d_hidden")),
        training=_some(rng, TRAINING, always=("steps",)),
        seed=rng.choice(SEEDS),
        call=_some(rng, CALL, always=()),
    )
    if rng.random() < 0.9:
        _make_coherent(rng, case)
    _fill_in_operations(case)
    if rng.random() < 0.15:
        case.axes = _axes(rng, case)
    if rng.random() < 0.4:
        for _ in range(rng.choice([1, 1, 2])):
            _spoil(rng, case)
    return case


def _some(rng: random.Random, values: dict[str, list[Any]], always: tuple[str, ...]) -> Fields:
    share = rng.choice([0.2, 0.5, 1.0])
    return {
        name: rng.choice(choice)
        for name, choice in values.items()
        if name in always or rng.random() < share
    }


def _make_coherent(rng: random.Random, case: Case) -> None:
    """Change fields that contradict each other."""
    data, model, training = case.data, case.model, case.training
    if data.get("protocol") == "published":
        data.pop("corruption_kind", None)
        data.pop("seed", None)
    second = data.get("corruption_kind") == "second_rule"
    data["second_operation"] = rng.choice(DATA["second_operation"][1:]) if second else None
    if data.get("operation") == "division" and data["p"] in (4, 6, 9):
        data["operation"] = "multiplication"
    if training.get("optimizer") != "sgd":
        training.pop("momentum", None)
    training.pop("decay", None) if rng.random() < 0.6 else None
    if training.get("optimizer") == "adam":
        training.pop("decay", None)
    elif training.get("optimizer", "adamw") == "adamw" and training.get("decay") == "l2":
        training["decay"] = "decoupled_init"
    places = list(MODELS[case.kind].dropout_places)
    if case.kind == "lstm" and model.get("n_layers", 2) == 1:
        places.remove("between")
    if model.get("attn_only"):
        places = ["embed", "attention", "residual"]
    training["dropout_at"] = "+".join(rng.sample(places, rng.randint(1, min(2, len(places)))))
    if case.kind == "transformer":
        if model.get("normalization_type") is None:
            model.pop("norm_position", None)
        if model["d_model"] % model.get("n_heads", 4):
            model["d_head"] = 2
        if model.get("tie_embedding"):
            model["d_vocab_out"] = None
    if model.get("norm") == "batch" and training.get("batch_size") == 1:
        training["batch_size"] = 3


def _fill_in_operations(case: Case) -> None:
    p = case.data["p"]
    made = {
        "table": gi.Table("product", p, tuple(a * b % p for a in range(p) for b in range(p))),
        "function": lambda a, b: np.int64((a + 3 * b) % p),
    }
    for name in ("operation", "second_operation"):
        if case.data.get(name) in made:
            case.data[name] = made[case.data[name]]


def _axes(rng: random.Random, case: Case) -> dict[str, list[Any]]:
    tables = {"data": DATA, "model": MODEL[case.kind], "training": TRAINING}
    paths = [f"{section}.{name}" for section, table in tables.items() for name in table]
    axes = {}
    for path in rng.sample(paths, rng.choice([1, 1, 2])):
        section, _, name = path.partition(".")
        axes[path] = rng.sample(tables[section][name], min(2, len(tables[section][name])))
        if rng.random() < 0.1:
            axes[path].append(rng.choice(ODD)())
            case.odd.append(name)
    return axes


def _spoil(rng: random.Random, case: Case) -> None:
    """Give one field or argument an odd value, or misspell its name."""
    sections = {"data": DATA, "model": MODEL[case.kind], "training": TRAINING, "call": CALL}
    section = rng.choice([*sections, "seed"])
    if section == "seed":
        case.seed = rng.choice(ODD)()
        case.odd.append("seed")
        return
    name = rng.choice(list(sections[section]))
    if section != "call" and rng.random() < 0.05:
        getattr(case, section)[name + "s"] = 1
        case.odd.append(name + "s")
        return
    getattr(case, section)[name] = rng.choice(ODD)()
    case.odd.append(name)
