"""What a command says before its first step: how long it will take."""

from collections.abc import Sequence
from pathlib import Path

import typer

from grokinterp.runs.folder import holds_run
from grokinterp.sweeps.collect import Named
from grokinterp.sweeps.estimate import estimate, in_words


def announce(
    out: Path,
    wanted: Sequence[Named],
    *,
    afterwards: float = 0.0,
    only: bool = False,
    chunk: int = 12,
) -> None:
    """Print how long a command will take, once, before its first step.

    Args:
        out: as for :func:`~grokinterp.sweeps.collect.collect`.
        wanted: all runs that the command needs, those of later stages too; ``start`` is not looked
            at, so it may be left out of what is not known yet.
        afterwards: seconds for what follows the training, if that is not little.
        only: leave the command then (``--estimate-only``).
        chunk: as for :func:`~grokinterp.sweeps.collect.collect`.
    """
    missing = [named.config for named in wanted if not holds_run(out / named.folder)]
    left = estimate(missing, per_block=chunk)
    total = in_words(left.seconds + afterwards)
    if missing:
        typer.echo(
            f"{len(missing)} of {len(wanted)} runs to train, {left.steps} steps; time in all: "
            f"{total}. Each run is saved to {out} when its stack is done"
        )
    else:
        typer.echo(f"nothing is left to train; time in all: {total}")
    if only:
        raise typer.Exit
