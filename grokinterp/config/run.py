"""The configuration of a run, changed by dotted paths and converted to and from JSON."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from grokinterp.checks import check_choice, check_int, check_text, check_type
from grokinterp.config.training import TrainConfig
from grokinterp.data import DataConfig
from grokinterp.frozen import frozen_config
from grokinterp.models.base import HookedModel
from grokinterp.models.mlp import MLPConfig
from grokinterp.models.registry import MODELS, model_class, model_kind
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short
from grokinterp.tasks import Table


@frozen_config
class RunConfig:
    """Everything that determines a run. Hashable, so it can identify a cell of a sweep.

    ``seed`` determines the initial weights and any training noise; ``data.seed`` determines the
    train/test split and the corruption of labels.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.RunConfig(
        ...     data=gi.DataConfig(p=13, corruption=0.2),
        ...     model=gi.MLPConfig(d_mlp=40),
        ...     training=gi.TrainConfig(steps=100, weight_decay=5.0),
        ... )
        >>> config.data.n_train, config.training.loss, config == config.replace({"seed": 1})
        (84, 'mse', False)
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: Any = field(default_factory=MLPConfig)  # config of an architecture in ``MODELS``
    training: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kinds in _sections().items():
            check_type(name, getattr(self, name), *kinds)
        check_int("seed", self.seed, minimum=0)
        model_class(self.model).check_size(self.model, self.data.p)
        if self.training.dropout:
            model, at = model_class(self.model), self.training.dropout_at
            for place in at.split("+"):
                check_choice(
                    f"dropout_at of a {type(self.model).__name__}", place, model.dropout_places
                )
            if not model.dropout_points(self.model, at):
                raise ValueError(
                    f"dropout_at={at!r} does not exist in {self.model}; choose another place, or "
                    "dropout=0"
                )
        examples = min(self.training.batch_size or self.data.n_train, self.data.n_train)
        if examples == 1 and getattr(self.model, "norm", None) == "batch":
            raise ValueError(
                f"norm='batch' needs at least 2 examples per batch, got batch_size="
                f"{self.training.batch_size} and {self.data.n_train} training pairs; increase both "
                "to 2 or more, or use norm='layer'"
            )

    @classmethod
    def nanda2023(cls, *, p: int = 113, seed: int = 0) -> "RunConfig":
        """The main run of Nanda et al. 2023, from the paper (arXiv:2301.05217) and its code.

        The split is theirs, bit for bit, for their seed. Initial weights have their distribution,
        but are drawn by our generator. The p + 1 classes include "=".

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig.nanda2023()
            >>> config.data.p, config.data.train_fraction, config.training.weight_decay
            (113, 0.3, 1.0)
        """
        return cls(
            data=DataConfig(p=p, train_fraction=0.3, protocol="nanda2023", seed=seed),
            model=TransformerConfig.nanda2023(d_vocab_out=p + 1),
            training=_nanda_training(steps=40_000, weight_decay=1.0),
            seed=seed,
        )

    @classmethod
    def zhong2023(cls, *, attn_rate: float = 1.0, p: int = 59, seed: int = 0) -> "RunConfig":
        """The transformers of Zhong et al. 2023, from their code (arXiv:2306.17844).

        Their splits were not seeded, so ours differ. Their MLPs have
        ``model=EmbeddingMLPConfig.zhong2023()``, ``warmup_steps=0`` and ``betas=(0.9, 0.999)``.

        Args:
            attn_rate: 0 as in Model A (Pizza), 1 as in Model B (Clock), or in between.
            p: the modulus.
            seed: of the split and of the initial weights.

        Examples:
            >>> import grokinterp as gi
            >>> pizza = gi.RunConfig.zhong2023(attn_rate=0.0)
            >>> pizza.data.p, pizza.data.train_fraction, pizza.model.attn_rate
            (59, 0.8, 0.0)
        """
        return cls(
            data=DataConfig(p=p, train_fraction=0.8, seed=seed),
            model=TransformerConfig.zhong2023(attn_rate=attn_rate),
            training=_nanda_training(steps=20_000, weight_decay=2.0),
            seed=seed,
        )

    def replace(self, changes: Mapping[str, object]) -> "RunConfig":
        """A copy with some fields changed, named by dotted path: ``{"training.lr": 1e-3}``.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 13, "model.d_mlp": 40, "seed": 1})
            >>> config.data.p, config.model.d_mlp, config.seed, gi.RunConfig().data.p
            (13, 40, 1, 97)
        """
        fresh: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {}
        for path, value in _fields(changes, "changes").items():
            check_path(self, path)
            section, _, name = path.partition(".")
            if name:
                inner.setdefault(section, {})[name] = value
            else:
                fresh[section] = value
        for section, fields in inner.items():
            base = fresh.get(section, getattr(self, section))
            if type(base) in _sections().get(section, ()):  # otherwise __post_init__ raises
                fresh[section] = dataclasses.replace(base, **fields)
        return dataclasses.replace(self, **fresh)

    def to_dict(self) -> dict[str, Any]:
        """The config as plain data for JSON; :meth:`from_dict` converts it back.

        Examples:
            >>> import grokinterp as gi
            >>> plain = gi.RunConfig().to_dict()
            >>> list(plain), plain["model"]["d_mlp"]
            (['data', 'model', 'training', 'seed'], 500)
        """
        plain = dataclasses.asdict(self)
        return plain | {"model": {"kind": model_kind(self.model)} | plain["model"]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "RunConfig":
        """The config from plain data. Unknown names raise; missing fields take their defaults.

        Examples:
            >>> import json
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 13})
            >>> gi.RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
            True
        """
        top = dict(plain)
        data, model, training = (_fields(top.pop(name, {}), name) for name in _sections())
        for name in ("operation", "second_operation"):
            if isinstance(data.get(name), Mapping):
                table = _fields(data[name], f"data.{name}")
                if missing := {"name", "p", "labels"} - table.keys():
                    raise ValueError(f"data.{name} lacks {', '.join(sorted(missing))}")
                if isinstance(table["labels"], list):  # otherwise Table raises
                    table["labels"] = tuple(table["labels"])
                data[name] = _build(Table, f"data.{name}", table)
        kind = model.pop("kind", "mlp")
        check_choice("model.kind", kind, MODELS)
        return cls(
            data=_build(DataConfig, "data", data),
            model=_build(MODELS[kind].config_class, "model", model),
            training=_build(TrainConfig, "training", training),
            **_known(cls, "", top),
        )


def _nanda_training(*, steps: int, weight_decay: float) -> TrainConfig:
    """Full-batch AdamW with ten steps of warm-up, and the loss in float64."""
    return TrainConfig(
        steps=steps,
        lr=1e-3,
        warmup_steps=10,
        weight_decay=weight_decay,
        betas=(0.9, 0.98),
        loss="cross_entropy_float64",
        eval_every=100,
    )


def _sections() -> dict[str, tuple[type, ...]]:
    return {
        "data": (DataConfig,),
        "model": tuple(model.config_class for model in MODELS.values()),
        "training": (TrainConfig,),
    }


def config_paths(config: RunConfig) -> list[str]:
    """All field paths of a config: the sections, then their fields, such as "training.lr"."""
    paths = [f.name for f in dataclasses.fields(config)]
    for section in _sections():
        paths += [f"{section}.{f.name}" for f in dataclasses.fields(getattr(config, section))]
    return paths


def field_value(config: RunConfig, path: str) -> Any:
    """The value at a dotted path: of a field such as "training.lr", or a whole section."""
    section, _, name = path.partition(".")
    value = getattr(config, section)
    return getattr(value, name) if name else value


def check_path(config: RunConfig, path: str) -> None:
    """Raise unless ``path`` names a field; the message suggests similar names."""
    known = config_paths(config)
    check_text("the path of a RunConfig's field", path, example="data.p")
    if path not in known:
        tail = path.rpartition(".")[2]
        near = difflib.get_close_matches(path, known, n=3) or [
            p for p in known if difflib.get_close_matches(tail, [p.rpartition(".")[2]])
        ]
        raise ValueError(
            f"{short(path)} is not a field of a RunConfig. Near matches: "
            f"{', '.join(near) or 'none'}; all: {', '.join(known)}"
        )


@unaffected()
def build_model(config: RunConfig) -> HookedModel:
    """The untrained network of a config, with weights drawn from ``config.seed``.

    Like any new ``nn.Module`` it is in training mode.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> config = gi.RunConfig().replace({"data.p": 13, "model.d_mlp": 40})
        >>> model, same = gi.build_model(config), gi.build_model(config)
        >>> torch.equal(model.W_E, same.W_E)
        True
        >>> other = gi.build_model(config.replace({"seed": 1}))
        >>> torch.equal(model.W_E, other.W_E)
        False
    """
    kind: Any = model_class(config.model)
    model = kind(config.model, p=config.data.p, seed=config.seed)
    model.operation = config.data.operation
    return model


def _fields(plain: object, name: str) -> dict[str, Any]:
    if not isinstance(plain, Mapping):
        raise TypeError(
            f"{name} must be a mapping of field names to values, got {short(plain)}; the rows of a "
            "pandas table are mappings in table.to_dict('records')"
        )
    return dict(plain)


def _build(kind: type, section: str, fields: dict[str, Any]) -> Any:
    return kind(**_known(kind, f"{section}.", fields))


def _known(kind: type, prefix: str, fields: dict[str, Any]) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(kind)]
    for name in fields:
        check_choice("config field", prefix + name, [prefix + known for known in names])
    return fields
