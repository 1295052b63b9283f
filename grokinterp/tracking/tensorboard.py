"""Runs as folders of TensorBoard event files."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from grokinterp.tracking.base import RunTracker


@dataclass
class _Log:
    writer: Any
    end: Any  # what tells the HPARAMS tab that the run succeeded
    step: int = 0  # the last one written


class TensorBoardCallback(RunTracker):
    """One folder of scalars per run, by training step, with its config for the HPARAMS tab.

    A folder is named by the run's number and the settings that differ between runs. Final numbers
    are the scalars ``summary/...`` at the run's last step. Numbers that are not finite are left
    out. In the HPARAMS tab a run that never finished lacks the status "success". Read with
    ``tensorboard --logdir LOG_DIR``.

    Args:
        log_dir: the folder of the runs' folders. Runs already there are kept: where a folder's name
            is taken, the new one is called ``NAME.2``, and so on.
        live: how many runs at most are shown while they train; others are written when they finish.

    Raises:
        ImportError: tensorboard is missing.
    """

    def __init__(self, log_dir: str | PathLike[str], *, live: int = 16) -> None:
        super().__init__(live)
        try:
            from torch.utils import tensorboard
            from torch.utils.tensorboard.summary import hparams
        except ImportError as error:
            raise ImportError(
                "TensorBoardCallback needs the package tensorboard: "
                "pip install 'grokinterp[tensorboard]'"
            ) from error
        self.log_dir = Path(log_dir)
        self._writer, self._hparams = tensorboard.SummaryWriter, hparams

    def open(self, run: int) -> _Log:
        """A writer in a new folder."""
        name = re.sub(r"[^\w.=+-]+", "_", self.names[run])[:120]
        names = itertools.chain([name], (f"{name}.{i}" for i in itertools.count(2)))
        folder = next(path for path in map(self.log_dir.joinpath, names) if not path.exists())
        writer: Any = self._writer(str(folder), flush_secs=10, max_queue=1000)
        # Without the "experiment" record, TensorBoard collects all runs' settings and scalars;
        # with one, it would show only what the first run happens to have.
        _, start, end = self._hparams(
            {
                path: value if isinstance(value, bool | int | float | str) else str(value)
                for path, value in self.settings[run].items()
            },
            {},
        )
        writer.file_writer.add_summary(start)
        return _Log(writer, end)

    def write(self, log: _Log, step: int, row: Mapping[str, float]) -> None:
        """Scalars of one step."""
        for name, value in row.items():
            log.writer.add_scalar(name, value, step)
        log.step = step

    def close(self, log: _Log, summary: Mapping[str, float] | None) -> None:
        """The summary, and the end of the session."""
        if summary is not None:
            finite = {f"summary/{name}": v for name, v in summary.items() if math.isfinite(v)}
            self.write(log, log.step, finite)
            log.writer.file_writer.add_summary(log.end)
        log.writer.close()
