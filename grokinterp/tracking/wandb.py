"""Runs on Weights & Biases."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from grokinterp._short import short
from grokinterp.tracking.base import RunTracker

_OURS = ("config", "name", "reinit")


class WandbCallback(RunTracker):
    """One W&B run per training run: config, curves over the training step, summary.

    The config is flat, by dotted path (``run.config["data.train_fraction"]``). Numbers that are not
    finite are gaps in the curves and empty in the summary. A run that never finished is sent as far
    as it came, tagged "unfinished" and with a failed state.

    Every run costs W&B a moment to open and close, online seconds: for hundreds of runs
    ``mode="offline"`` and ``wandb sync`` afterwards do not hold up training. W&B prints about its
    runs only when there are at most ``live`` of them.

    Args:
        project: the W&B project.
        mode: "online", "offline" or "disabled"; None leaves it to WANDB_MODE.
        group: shown together in W&B; for instance the name of a sweep.
        dir: where W&B keeps its files, made if missing; None leaves it to WANDB_DIR, or ``wandb/``
            here.
        tags: of every run.
        live: how many runs at most are shown while they train; others are sent when they finish.
        init: further arguments of ``wandb.init``, such as ``entity`` or ``notes``.

    Raises:
        ImportError: wandb is missing.
    """

    def __init__(
        self,
        project: str,
        *,
        mode: str | None = None,
        group: str | None = None,
        dir: str | PathLike[str] | None = None,
        tags: Sequence[str] = (),
        live: int = 4,
        **init: Any,
    ) -> None:
        super().__init__(live)
        if isinstance(tags, str):
            raise TypeError(
                f"tags must be a list of strings, got {short(tags)}; use [{short(tags)}]"
            )
        if taken := [name for name in _OURS if name in init]:
            raise ValueError(
                f"{taken[0]}={short(init[taken[0]])} cannot be chosen: WandbCallback sets {_OURS} "
                "for every run itself; use group, tags or notes"
            )
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "WandbCallback needs the package wandb: pip install 'grokinterp[wandb]'"
            ) from error
        self._init = init | {"project": project, "mode": mode, "group": group, "tags": list(tags)}
        self._init["dir"] = None if dir is None else str(dir)

    def open(self, run: int) -> Any:
        """A new W&B run, next to any other that is active."""
        import wandb

        if where := self._init["dir"]:
            Path(where).mkdir(parents=True, exist_ok=True)  # or wandb complains of a missing folder
        arguments: dict[str, Any] = dict(self._init)
        if len(self.names) > self.live:
            arguments.setdefault("settings", {"silent": True, "console": "off"})
        return wandb.init(
            **arguments,
            name=self.names[run],
            config=self.settings[run],
            reinit="create_new",
        )

    def write(self, log: Any, step: int, row: Mapping[str, float]) -> None:
        """Log a row at its training step."""
        # A row that is not committed waits for the next, and the last row would then arrive after
        # the summary and overwrite it.
        log.log(dict(row), step=step, commit=True)

    def close(self, log: Any, summary: Mapping[str, float] | None) -> None:
        """Set the summary and finish the run."""
        if summary is None:
            log.tags = (*(log.tags or ()), "unfinished")
        else:
            # None, not left out: W&B would go on showing the last number logged under that name.
            finite = {name: v if math.isfinite(v) else None for name, v in summary.items()}
            log.summary.update(finite)
        log.finish(exit_code=int(summary is None))
