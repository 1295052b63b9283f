"""Log runs to Weights & Biases."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from grokinterp.short_text import short
from grokinterp.tracking.base import RunTracker

_OURS = ("config", "name", "reinit")


class WandbCallback(RunTracker):
    """Makes one W&B run per training run: config, curves over the training step, summary.

    The config is flat, keyed by dotted path (``run.config["data.train_fraction"]``). Non-finite
    numbers are gaps in the curves and empty in the summary. An unfinished run is sent as far as it
    got, tagged "unfinished" and with a failed state.

    Online, W&B takes seconds to open and close a run. For hundreds of runs use ``mode="offline"``
    and ``wandb sync`` afterwards, so that training does not wait. W&B prints messages about its
    runs only if there are at most ``live`` runs.

    Args:
        project: the W&B project.
        mode: "online", "offline" or "disabled"; None: the environment variable WANDB_MODE decides.
        group: the W&B group of all runs, for instance the name of a sweep.
        dir: folder for W&B's files, made if missing; None: WANDB_DIR, or ``wandb/`` in the current
            folder.
        tags: tags of every run.
        live: most runs to send while they train; the others are sent when they finish.
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
                f"tags must be a list of strings, got {short(tags)}; pass [{short(tags)}]"
            )
        if taken := [name for name in _OURS if name in init]:
            raise ValueError(
                f"{taken[0]}={short(init[taken[0]])} is not allowed: WandbCallback sets {_OURS} "
                "itself, for every run; use group, tags or notes"
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
        """Open a new W&B run; other active runs stay open."""
        import wandb

        if where := self._init["dir"]:
            Path(where).mkdir(parents=True, exist_ok=True)  # W&B warns if it is missing
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
        # Uncommitted rows wait for the next row; the last one would then overwrite the summary.
        log.log(dict(row), step=step, commit=True)

    def close(self, log: Any, summary: Mapping[str, float] | None) -> None:
        """Set the summary and finish the run."""
        if summary is None:
            log.tags = (*(log.tags or ()), "unfinished")
        else:
            # None, as W&B would otherwise show the last number logged under that name.
            finite = {name: v if math.isfinite(v) else None for name, v in summary.items()}
            log.summary.update(finite)
        log.finish(exit_code=int(summary is None))
