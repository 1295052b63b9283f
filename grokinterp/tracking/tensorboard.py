"""Log runs to TensorBoard."""

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
    end: Any  # record that marks the run as a success in the HPARAMS tab
    step: int = 0  # the last step written


class TensorBoardCallback(RunTracker):
    """Writes one folder per run: its scores at each evaluated step, and its config for HPARAMS.

    A folder is named by the run's number and the settings that differ between runs. Final scores
    are the scalars ``summary/...`` at the run's last step. Non-finite numbers are left out. In the
    HPARAMS tab an unfinished run lacks the status "success". View with
    ``tensorboard --logdir LOG_DIR``.

    Args:
        log_dir: parent of the runs' folders. Existing runs are kept: if a folder name already
            exists, the new one becomes ``NAME.2``, and so on.
        live: most runs to write while they train; the others are written when they finish.

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
        # No "experiment" record is written, so TensorBoard collects the settings and scalars of
        # all runs; with one it would show only those of the first run.
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
        """Write the scores of one step as scalars."""
        for name, value in row.items():
            log.writer.add_scalar(name, value, step)
        log.step = step

    def close(self, log: _Log, summary: Mapping[str, float] | None) -> None:
        """Write the summary and mark the run as a success, then close the writer."""
        if summary is not None:
            finite = {f"summary/{name}": v for name, v in summary.items() if math.isfinite(v)}
            self.write(log, log.step, finite)
            log.writer.file_writer.add_summary(log.end)
        log.writer.close()
