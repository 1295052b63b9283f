"""Ctrl-C while training: the current step is finished and the runs so far are returned."""

import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType

from grokinterp.runs import Run


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C, or by the interrupt button of a notebook.

    ``runs`` has one entry per config, in order: finished runs; unfinished ones, whose
    ``run.interrupted_at`` says after how many updates they stopped; and None where there is
    nothing. In a notebook, after the error, they are in ``sys.last_value.runs``.
    """

    def __init__(self, runs: Sequence[Run | None]) -> None:
        self.runs = list(runs)
        kept = [run for run in self.runs if run is not None]
        stopped = [run for run in kept if run.interrupted_at is not None]
        parts = [f"{len(kept) - len(stopped)} of {len(self.runs)} runs are finished"]
        if stopped:
            steps = f"{stopped[0].interrupted_at} of {stopped[0].config.training.steps} steps"
            parts.append(f"{len(stopped)} stopped after {steps}")
        where = "; they are this exception's .runs (in a notebook: sys.last_value.runs)"
        super().__init__(f"training was interrupted: {', '.join(parts)}{where if kept else ''}")


class Interrupt:
    """Notes the first Ctrl-C instead of raising it, so that training can stop between two steps.

    A context manager; ``asked`` says whether Ctrl-C was pressed. A second one raises
    KeyboardInterrupt at once. Where the caller has installed a handler, or outside the main thread,
    nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> "Interrupt":
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.asked = True
