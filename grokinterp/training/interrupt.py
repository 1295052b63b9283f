"""Handling of Ctrl-C in training: finish the current step and return the runs so far."""

import signal
import threading
from collections.abc import Sequence
from types import FrameType

from grokinterp.runs import Run


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C, or by the interrupt button of a notebook.

    ``runs`` has one entry per config, in order: a finished run; an unfinished run, which stopped
    after ``run.interrupted_at`` updates; or None if there is nothing to return. In a notebook, they
    are in ``sys.last_value.runs`` after the error.

    Examples:
        >>> import signal
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 500})
        >>> def ctrl_c(rows):  # a checkpoint rule that presses Ctrl-C after 100 steps
        ...     if rows[-1]["step"] == 100:
        ...         signal.raise_signal(signal.SIGINT)
        ...     return False
        >>> try:
        ...     run = gi.train(config, checkpoints={"never": ctrl_c})
        ... except gi.TrainingInterrupted as interrupted:
        ...     print(interrupted.runs[0].ending)
        unfinished: interrupted after 101 of 500 steps
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
    """Context manager that records the first Ctrl-C, so that training can stop between two steps.

    ``asked`` says whether Ctrl-C was pressed. A second one raises KeyboardInterrupt at once. If the
    caller has installed a handler, or outside the main thread, Ctrl-C is left alone.
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

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.asked = True
