"""What the stages found, in a file that is written anew whenever a task begins or ends."""

import json
from pathlib import Path
from typing import Any

from grokinterp.files import replacing


class Results:
    """The results by stage and task, and which task is running.

    Args:
        path: the file, read if it exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    @property
    def running(self) -> dict[str, Any] | None:
        """The running task's "stage" and "key", and when it must have ended: "until", a time."""
        return self.found.get("running")

    @property
    def worked(self) -> int:
        """How many tasks gave a result, and not an error."""
        stages = [self.found[name] for name in self.found if name not in ("about", "error")]
        values = [value for stage in stages for value in stage.values()]
        return sum("error" not in value for value in values if isinstance(value, dict))

    def stage(self, name: str) -> dict[str, Any]:
        """What the tasks of a stage gave."""
        return self.found.setdefault(name, {})

    def begin(self, stage: str, key: str, until: float) -> None:
        """Note that a task begins."""
        self.found["running"] = {"stage": stage, "key": key, "until": until}
        self.write()

    def end(self, value: Any = None) -> None:
        """Keep what the running task gave; None: it did nothing."""
        task = self.found.pop("running")
        if value is not None:
            self.stage(task["stage"])[task["key"]] = value
        self.write()

    def fail(self, why: str) -> None:
        """Keep why nothing more was done."""
        self.found["error"] = why
        self.write()

    def write(self) -> None:
        """Replace the file."""
        with replacing(self._path) as file:
            file.write_text(json.dumps(self.found, indent=1) + "\n")
