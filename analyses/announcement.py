"""What a command prints before it starts: how much there is to train, and how long it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grokinterp.runs.folder import holds_run
from grokinterp.sweeps.collect import Named
from grokinterp.sweeps.estimate import estimate, in_words


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """The work of a command, over all its stages."""

    seconds: float  # estimated total time
    runs: int = 0  # left to train
    all_runs: int = 0  # trained ones included; 0 for a simulation, which trains nothing
    steps: int = 0  # updates of the runs that are left
    stored: str = ""  # a sentence on where runs are stored

    @classmethod
    def of(
        cls, out: Path, wanted: Sequence[Named], *, afterwards: float = 0.0, chunk: int = 12
    ) -> "Announcement":
        """The announcement of runs that :func:`~grokinterp.sweeps.collect.collect` will train.

        Args:
            out: as for ``collect``.
            wanted: all runs that the command needs, later stages included. ``start`` is ignored,
                so runs whose starting checkpoint is not known yet can be listed without it.
            afterwards: seconds of the work after training, if they matter.
            chunk: as for ``collect``.
        """
        missing = [named.config for named in wanted if not holds_run(out / named.folder)]
        left = estimate(missing, per_block=chunk)
        return cls(
            seconds=left.seconds + afterwards,
            runs=left.runs,
            all_runs=len(wanted),
            steps=left.steps,
            stored=f"Runs are saved to {out} as soon as they are trained",
        )

    def __str__(self) -> str:
        total = f"time in all: {in_words(self.seconds)}"
        if not self.all_runs:
            return total
        if not self.runs:
            return f"nothing is left to train; {total}"
        counted = f"{self.runs:,} of {self.all_runs:,} runs to train, {self.steps:,} steps"
        return f"{counted}; {total}. {self.stored}"
