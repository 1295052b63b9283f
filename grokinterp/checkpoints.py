"""Checkpoints: networks saved during training, from which a training can start."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from grokinterp.short_text import short, short_repr

_LONGEST = 200  # most bytes in a checkpoint's name; a file name, which is longer, may have 255


@short_repr
@dataclass(frozen=True, eq=False)
class Moments:
    """The state of an optimiser: Adam's two moments, or SGD's momentum, by parameter name."""

    updates: int  # number of updates accumulated in the moments
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor] | None = None  # None for SGD


@short_repr
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network saved after ``step`` updates, from which a training can start.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 20})
        >>> run = gi.train(config, checkpoints={"early": gi.at_step(10)})
        >>> early = run.checkpoints["early"]
        >>> early.step, sorted(early.state)
        (10, ['W_E', 'W_U'])
        >>> longer = gi.train(config, start=early)
        >>> longer.provenance["start"]["step"]
        10
    """

    step: int
    metrics: Mapping[str, float]  # the history's row at this step
    state: Mapping[str, Tensor]  # the model's state_dict, on the CPU
    moments: Moments | None = None  # None: training starts with a fresh optimiser

    def fresh(self) -> "Checkpoint":
        """The same network without the optimiser's moments.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 20})
            >>> run = gi.train(config, checkpoints={"early": gi.at_step(10)})
            >>> early = run.checkpoints["early"]
            >>> early.moments.updates, early.fresh().moments
            (10, None)
        """
        return replace(self, moments=None)

    @property
    def digest(self) -> str:
        """SHA-256 of all tensors; equal for two checkpoints from which training is the same."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
        if self.moments is not None:
            digest.update(str(self.moments.updates).encode())
        return digest.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors with unique names such as "state/W_E", to be written to a file.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 20})
            >>> tensors = gi.train(config).checkpoint().tensors()
            >>> {name: tuple(tensor.shape) for name, tensor in tensors.items()}
            {'state/W_E': (2, 11, 500), 'state/W_U': (500, 11)}
        """
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
        """The inverse of :meth:`tensors`; ``updates`` is None if there are no moments.

        Examples:
            >>> import grokinterp as gi
            >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 20})
            >>> last = gi.train(config).checkpoint()
            >>> tensors = last.tensors()
            >>> again = gi.Checkpoint.from_tensors(tensors, step=20, metrics={}, updates=None)
            >>> again.digest == last.digest
            True
        """
        parts: dict[str, dict[str, Tensor]] = {"state": {}, "first": {}, "second": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = tensor
        moments = None
        if updates is not None:
            moments = Moments(updates, parts["first"], parts["second"] or None)
        return cls(step, metrics, parts["state"], moments)


def check_names(names: Iterable[object]) -> None:
    """Raise unless every checkpoint name can be part of a file name."""
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise ValueError(
                f"checkpoints has {short(name)}, which cannot name a file; use letters, digits, - "
                "and _"
            )
        if len(name.encode()) > _LONGEST:
            raise ValueError(
                f"checkpoints has {name[:20] + '...'!r} of {len(name.encode())} bytes, too long "
                f"for a file name; use at most {_LONGEST}"
            )


def to_json(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON data, with None in place of NaN."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}


def from_json(plain: Mapping[str, float | None]) -> dict[str, float]:
    """The inverse of :func:`to_json`."""
    return {name: math.nan if value is None else value for name, value in plain.items()}
