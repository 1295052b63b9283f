"""What a process does that is killed while it saves."""

import itertools
import json
from pathlib import Path
from typing import Any

from grokinterp.runs.folder import CHECKPOINT, FILES, filling


def save(folder: Path, kind: str, *, checkpoint: bool) -> None:
    """Save what has the files of a run, each with the text ``kind``."""
    names = [*FILES, *([CHECKPOINT.format("late")] if checkpoint else [])]
    with filling(folder, overwrite=True) as fresh:
        for name in names:
            (fresh / name).write_text(kind)
        about = {"kind": kind, "sha256": dict.fromkeys(names, "")}
        (fresh / "run.json").write_text(json.dumps(about))


def forever(folder: str, ready: Any) -> None:
    """Replace one run by another, and back, and so on."""
    for kind in itertools.cycle(("old", "new")):
        save(Path(folder), kind, checkpoint=kind == "old")
        ready.set()
