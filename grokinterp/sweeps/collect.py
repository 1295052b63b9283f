"""Load the runs that an analysis needs, one folder per run; train those that are missing."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from grokinterp.checkpoints import Checkpoint
from grokinterp.config import RunConfig
from grokinterp.json_files import differences
from grokinterp.runs import Run, RunFolderError
from grokinterp.runs.folder import check_free, holds_run
from grokinterp.short_text import short_repr
from grokinterp.training.interrupt import TrainingInterrupted
from grokinterp.training.plan import plan
from grokinterp.training.resources import Resources
from grokinterp.training.rules import Rule
from grokinterp.training.trainer import train_many


@short_repr
@dataclasses.dataclass(frozen=True, eq=False)
class Named:
    """A wanted run and the name of its folder."""

    folder: str
    config: RunConfig
    start: Checkpoint | None = None  # None: initial weights are drawn from the config's seed


def folder_name(*words: object) -> str:
    """Make a folder name from words and numbers: "mlp", 0.5, "seed 1" -> "mlp-0.5-seed-1"."""
    return re.sub(r"[^\w.]+", "-", " ".join(str(word) for word in words)).strip("-")


def collect(
    out: Path,
    wanted: Sequence[Named],
    *,
    checkpoints: Mapping[str, Rule] | None = None,
    chunk: int = 12,
    progress: bool = True,
) -> list[Run]:
    """Return the wanted runs in order; train and save, stack by stack, those missing from ``out``.

    If the process is killed, calling this again continues with the runs that are still missing.

    Args:
        out: folder that holds one folder per run.
        wanted: the runs and their folder names, which must differ.
        checkpoints: as for ``train_many``; applies to newly trained runs. A run loaded from disk
            keeps the checkpoints it was trained with.
        chunk: most runs to train together, and most runs that a crash can lose.
        progress: show a progress bar per stack.

    Raises:
        RunFolderError: a folder holds a different run, an unfinished run or something else, or it
            cannot be written.
    """
    if twice := {
        n.folder for i, n in enumerate(wanted) for m in wanted[:i] if m.folder == n.folder
    }:
        raise ValueError(f"wanted has the folder {sorted(twice)[0]!r} twice; give each run its own")
    runs: dict[str, Run] = {}
    missing: list[Named] = []
    for named in wanted:  # check all folders before training for minutes
        if holds_run(out / named.folder):
            runs[named.folder] = _load(out, named)
        else:
            check_free(out / named.folder, overwrite=False)
            missing.append(named)
    if missing:
        out.mkdir(parents=True, exist_ok=True)
    for stack in _stacks(missing, chunk):
        stopped = None
        try:
            trained = train_many(
                [named.config for named in stack],
                checkpoints=checkpoints,
                start=[named.start for named in stack],
                progress=progress,
            )
        except TrainingInterrupted as interrupted:
            trained, stopped = interrupted.runs, interrupted
        for named, run in zip(stack, trained, strict=True):
            if run is not None and run.interrupted_at is None:
                run.save(out / named.folder)
                runs[named.folder] = run
        if stopped is not None:
            raise stopped
    return [runs[named.folder] for named in wanted]


def _load(out: Path, named: Named) -> Run:
    run = Run.load(out / named.folder)
    if run.interrupted_at is not None:
        raise RunFolderError(
            f"{out / named.folder} is {run.ending}; remove it or choose another folder"
        )
    start = None if named.start is None else named.start.digest
    if run.config != named.config or (run.provenance.get("start") or {}).get("sha256") != start:
        what = "with other settings" if run.config != named.config else "from another start"
        raise RunFolderError(
            f"{out / named.folder} was trained {what}: "
            f"{', '.join(differences(run.config.to_dict(), named.config.to_dict())) or 'weights'} "
            "differ; move it or choose another folder"
        )
    return run


def _stacks(missing: Sequence[Named], chunk: int) -> list[list[Named]]:
    """Groups of at most ``chunk`` runs that can train as one stack."""
    configs = [named.config for named in missing]
    together = plan(configs, Resources())
    return [
        [missing[i] for i in members[first : first + chunk]]
        for members in together
        for first in range(0, len(members), chunk)
    ]
