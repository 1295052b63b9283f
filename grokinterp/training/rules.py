"""Rules for keeping checkpoints during training, and checks of checkpoints to start from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grokinterp.checkpoints import Checkpoint, check_names
from grokinterp.checks import check_choice, check_int, check_number
from grokinterp.config import RunConfig, build_model
from grokinterp.models.base import HookedModel, check_state
from grokinterp.short_text import short, short_repr
from grokinterp.training.evaluation import METRICS

Row = Mapping[str, int | float]  # "step" and the metrics: one row of a history
Rule = Callable[[Sequence[Row]], bool]  # function of all rows so far, oldest first


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
    """A checkpoint rule: keep the first evaluated step at which all metrics meet their bounds.

    ``reached(train_accuracy=0.99, below={"test_accuracy": 0.05})`` keeps a network that has
    memorised but not generalised.

    Args:
        rows: number of consecutive evaluated steps that must meet the bounds; the last is kept.
        below: metric -> upper bound (inclusive).
        at_least: metric -> lower bound (inclusive).

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 100})
        >>> memorised = gi.reached(train_accuracy=0.99, below={"test_accuracy": 0.5})
        >>> run = gi.train(config, checkpoints={"memorised": memorised})
        >>> metrics = run.checkpoints["memorised"].metrics
        >>> metrics["train_accuracy"] >= 0.99, metrics["test_accuracy"] <= 0.5
        (True, True)
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
    """A checkpoint rule: keep the first evaluated step from ``step`` on.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 20})
        >>> rules = {"start": gi.at_step(0), "later": gi.at_step(12)}  # a row every 10 steps
        >>> run = gi.train(config, checkpoints=rules)
        >>> {name: checkpoint.step for name, checkpoint in run.checkpoints.items()}
        {'start': 0, 'later': 20}
    """
    check_int("step", step, minimum=0)
    return _AtStep(step)


@short_repr
@dataclass(eq=False)
class Keeper:
    """Keeps the checkpoints of one run: for every rule, the first time it is true.

    Args:
        rules: name -> rule.
        take: function (step, metrics) -> checkpoint of the run's current state.
    """

    rules: Mapping[str, Rule]
    take: Callable[[int, Row], Checkpoint]
    kept: dict[str, Checkpoint] = field(default_factory=dict)
    _rows: list[Row] = field(default_factory=list)

    def see(self, step: int, metrics: Row) -> None:
        """Add the run's next row, and keep a checkpoint if a rule has become true."""
        self._rows.append({"step": step, **metrics})
        new = [n for n, rule in self.rules.items() if n not in self.kept and rule(self._rows)]
        if new:
            checkpoint = self.take(step, metrics)
            self.kept |= dict.fromkeys(new, checkpoint)


def check_rules(rules: Mapping[str, Rule] | None) -> dict[str, Rule]:
    """Raise unless ``checkpoints`` maps filename-safe names to rules."""
    if rules is not None and not isinstance(rules, Mapping):
        raise TypeError(
            f"checkpoints must map names to rules such as at_step(100), got {short(rules)}"
        )
    check_names(rules or {})
    for name, rule in (rules or {}).items():
        if not callable(rule):
            raise TypeError(
                f"checkpoint {short(name)} needs a rule such as at_step(100), got {short(rule)}"
            )
    return dict(rules or {})


def check_starts(
    start: Sequence[Checkpoint | None] | None, configs: Sequence[RunConfig]
) -> list[Checkpoint | None]:
    """Raise unless ``start`` holds, for every config, None or a checkpoint that fits it."""
    if start is None:
        return [None] * len(configs)
    if not isinstance(start, list | tuple) or len(start) != len(configs):
        given = len(start) if isinstance(start, list | tuple) else short(start)
        count = f"{given} for {len(configs)} configs"
        raise ValueError(f"start must hold one checkpoint or None per config, got {count}")
    models: dict[tuple[object, int], HookedModel] = {}
    for config, checkpoint in zip(configs, start, strict=True):
        if checkpoint is None:
            continue
        if not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"start must hold checkpoints, got {short(checkpoint)}; for a finished run, pass "
                "run.checkpoint()"
            )
        key = config.model, config.data.p
        if key not in models:
            models[key] = build_model(config)
        ours = models[key].state_dict()
        network = f"{type(models[key]).__name__} with p={config.data.p}"
        check_state(network, ours, dict(checkpoint.state))
        moments = checkpoint.moments
        if moments is not None and (moments.second is None) != (config.training.optimizer == "sgd"):
            raise ValueError(
                f"training.optimizer={config.training.optimizer!r} cannot use the moments of "
                "another optimiser; start from checkpoint.fresh()"
            )
    return list(start)
