"""The config fields that two runs must have in common to share a stack: their program."""

from collections.abc import Hashable

from grokinterp.config import RunConfig, field_value

# Runs that differ in one of these fields need different programs and cannot share a stack.
_TRAINING = ("loss", "steps", "eval_every", "optimizer", "batch_size")
PROGRAM = ("model", "data.p", *(f"training.{name}" for name in _TRAINING))


def program(config: RunConfig) -> tuple[Hashable, ...]:
    """The values of the fields in ``PROGRAM``; equal for two runs that can share a stack."""
    return tuple(field_value(config, path) for path in PROGRAM)


def decides_program(path: str) -> bool:
    """Whether setting a config path (of a field or a section) may change the program."""
    return any(f"{path}.".startswith(f"{own}.") or own.startswith(f"{path}.") for own in PROGRAM)
