"""What a command says before its first step: how much there is to train, and how long it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grokinterp.runs.folder import holds_run
from grokinterp.sweeps.collect import Named
from grokinterp.sweeps.estimate import estimate, in_words


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """The work ahead of a command, all its stages together."""

    seconds: float  # in all, training and what follows it
    runs: int = 0  # left to train
    all_runs: int = 0  # with those that are there; 0: nothing is trained, as in simulations
    steps: int = 0  # updates of the runs that are left
    stored: str = ""  # a sentence: where runs are stored meanwhile

    @classmethod
    def of(
        cls, out: Path, wanted: Sequence[Named], *, afterwards: float = 0.0, chunk: int = 12
    ) -> "Announcement":
        """Of runs that :func:`~grokinterp.sweeps.collect.collect` will train.

        Args:
            out: as for ``collect``.
            wanted: all runs that the command needs, those of later stages too; ``start`` is not
                looked at, so it may be left out of what is not known yet.
            afterwards: seconds for what follows the training, if that is not little.
            chunk: as for ``collect``.
        """
        missing = [named.config for named in wanted if not holds_run(out / named.folder)]
        left = estimate(missing, per_block=chunk)
        return cls(
            seconds=left.seconds + afterwards,
            runs=left.runs,
            all_runs=len(wanted),
            steps=left.steps,
            stored=f"Each run is saved to {out} when its stack is done",
        )

    def __str__(self) -> str:
        total = f"time in all: {in_words(self.seconds)}"
        if not self.all_runs:
            return total
        if not self.runs:
            return f"nothing is left to train; {total}"
        counted = f"{self.runs} of {self.all_runs} runs to train, {self.steps} steps"
        return f"{counted}; {total}. {self.stored}"
