"""Networks kept from the middle of training, and training that starts from one."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from grokinterp._checks import check_choice, check_int, check_number
from grokinterp._short import short, short_repr
from grokinterp.config import RunConfig, build_model
from grokinterp.models.base import HookedModel, check_state
from grokinterp.training.evaluation import METRICS

Row = Mapping[str, float]  # "step" and the metrics of a history
Rule = Callable[[Sequence[Row]], bool]  # of all rows so far, the last one the newest

_LONGEST = 200  # bytes of a checkpoint's name; file systems allow 255 for a file's


@short_repr
@dataclass(frozen=True, eq=False)
class Moments:
    """What an optimiser remembers: Adam's two moments, or SGD's momentum, by parameter."""

    updates: int  # that went into them
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor] | None = None  # none for SGD


@short_repr
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network after some updates: what training can start from."""

    step: int  # updates before it
    metrics: Mapping[str, float]  # its row of the history
    state: Mapping[str, Tensor]  # the model's state_dict, on the CPU
    moments: Moments | None = None  # None: training starts with a fresh optimiser

    def fresh(self) -> "Checkpoint":
        """The same network without its optimiser's moments."""
        return replace(self, moments=None)

    @property
    def digest(self) -> str:
        """SHA-256 of every tensor: two checkpoints that train alike have the same."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
        if self.moments is not None:
            digest.update(str(self.moments.updates).encode())
        return digest.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors under one name each, for a file; see :meth:`from_tensors`."""
        parts = {"state": self.state}
        if self.moments is not None:
            parts |= {"first": self.moments.first, "second": self.moments.second or {}}
        return {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        *,
        step: int,
        metrics: Mapping[str, float],
        updates: int | None,
    ) -> "Checkpoint":
        """What :meth:`tensors` took apart; ``updates`` is None if there were no moments."""
        parts: dict[str, dict[str, Tensor]] = {"state": {}, "first": {}, "second": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = tensor
        moments = None
        if updates is not None:
            moments = Moments(updates, parts["first"], parts["second"] or None)
        return cls(step, metrics, parts["state"], moments)


@dataclass(frozen=True)
class _Reached:
    """See :func:`reached`."""

    at_least: tuple[tuple[str, float], ...]
    at_most: tuple[tuple[str, float], ...]
    rows: int

    def __call__(self, rows: Sequence[Row]) -> bool:
        return len(rows) >= self.rows and all(
            all(row[name] >= bound for name, bound in self.at_least)
            and all(row[name] <= bound for name, bound in self.at_most)
            for row in rows[-self.rows :]
        )


@dataclass(frozen=True)
class _AtStep:
    """See :func:`at_step`."""

    step: int

    def __call__(self, rows: Sequence[Row]) -> bool:
        return rows[-1]["step"] >= self.step


def reached(*, rows: int = 1, below: Mapping[str, float] | None = None, **at_least: float) -> Rule:
    """A rule: the first evaluated step at which metrics have reached their bounds.

    ``reached(train_accuracy=0.99, below={"test_accuracy": 0.05})`` keeps a network that has
    memorised and not generalised.

    Args:
        rows: evaluated steps in a row at which it has to hold; the last of them is kept.
        below: metric -> the value that it may not exceed.
        at_least: metric -> the value that it must reach.
    """
    check_int("rows", rows, minimum=1)
    at_most = dict(below or {})
    if not at_least and not at_most:
        raise ValueError("reached() needs a bound, such as train_accuracy=0.99")
    for name, bound in [*at_least.items(), *at_most.items()]:
        check_choice("metric", name, METRICS)
        check_number(name, bound)
    return _Reached(tuple(at_least.items()), tuple(at_most.items()), rows)


def at_step(step: int) -> Rule:
    """A rule: the first evaluated step that is ``step`` or later."""
    check_int("step", step, minimum=0)
    return _AtStep(step)


@short_repr
@dataclass(eq=False)
class Keeper:
    """Keeps checkpoints of one run while it trains: for every rule the first time it is true.

    Args:
        rules: name -> rule.
        take: the run's checkpoint at a row of its history.
    """

    rules: Mapping[str, Rule]
    take: Callable[[int, Row], Checkpoint]
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    _rows: list[Row] = field(default_factory=list)

    def see(self, step: int, metrics: Row) -> None:
        """The run's next row."""
        self._rows.append({"step": step, **metrics})
        new = [n for n, rule in self.rules.items() if n not in self.kept and rule(self._rows)]
        if new:
            checkpoint = self.take(step, metrics)
            self.kept |= dict.fromkeys(new, checkpoint)


def check_rules(rules: Mapping[str, Rule] | None) -> dict[str, Rule]:
    """Raise unless ``checkpoints`` maps names that can be files' to functions."""
    if rules is not None and not isinstance(rules, Mapping):
        raise TypeError(f"checkpoints must map names to rules such as at_step(100), got {rules!r}")
    for name, rule in (rules or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise ValueError(
                f"checkpoints has {name!r}, which cannot name a file; use letters, digits, - and _"
            )
        if len(name.encode()) > _LONGEST:
            raise ValueError(
                f"checkpoints has {name[:20] + '...'!r} of {len(name.encode())} bytes, too long "
                f"for the name of a file; use at most {_LONGEST}"
            )
        if not callable(rule):
            raise TypeError(f"checkpoint {name!r} needs a rule such as at_step(100), got {rule!r}")
    return dict(rules or {})


def check_starts(
    start: Sequence[Checkpoint | None] | None, configs: Sequence[RunConfig]
) -> list[Checkpoint | None]:
    """Raise unless ``start`` has for every config nothing, or a checkpoint that fits it."""
    if start is None:
        return [None] * len(configs)
    if not isinstance(start, list | tuple) or len(start) != len(configs):
        given = len(start) if isinstance(start, list | tuple) else short(start)
        raise ValueError(f"start must hold one checkpoint or None per config, got {given} for "
                         f"{len(configs)} configs")  # fmt: skip
    models: dict[tuple[object, int], HookedModel] = {}
    for config, checkpoint in zip(configs, start, strict=True):
        if checkpoint is None:
            continue
        if not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"start must hold checkpoints, got {checkpoint!r}; of a finished run, take "
                "run.checkpoint()"
            )
        key = config.model, config.data.p
        if key not in models:
            models[key] = build_model(config)
        ours = models[key].state_dict()
        check_state(f"{type(models[key]).__name__} with p={config.data.p}", ours,
                    dict(checkpoint.state))  # fmt: skip
        moments = checkpoint.moments
        if moments is not None and (moments.second is None) != (config.training.optimizer == "sgd"):
            raise ValueError(
                f"training.optimizer={config.training.optimizer!r} cannot go on with the moments "
                "of another one; start from checkpoint.fresh()"
            )
    return list(start)


def to_json(metrics: Row) -> dict[str, float | None]:
    """Metrics for JSON, which has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}


def from_json(plain: Mapping[str, float | None]) -> dict[str, float]:
    """What :func:`to_json` wrote."""
    return {name: math.nan if value is None else value for name, value in plain.items()}
