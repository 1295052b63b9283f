"""What may share a stack: runs of one program."""

from collections.abc import Hashable

from grokinterp.config import RunConfig

# The fields that decide which program trains a run; runs that differ in one cannot share a stack.
PROGRAM = (
    "model", "data.p", "training.loss", "training.steps", "training.eval_every",
    "training.optimizer", "training.batch_size",
)  # fmt: skip


def program(config: RunConfig) -> tuple[Hashable, ...]:
    """The values of ``PROGRAM``: equal for two runs that can share a stack."""
    return tuple(_value(config, path) for path in PROGRAM)


def decides_program(path: str) -> bool:
    """Whether setting a dotted config path, of a field or a section, may change the program."""
    return any(f"{path}.".startswith(f"{own}.") or own.startswith(f"{path}.") for own in PROGRAM)


def _value(config: RunConfig, path: str) -> Hashable:
    section, _, name = path.partition(".")
    value = getattr(config, section)
    return getattr(value, name) if name else value
