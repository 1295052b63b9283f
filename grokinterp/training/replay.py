"""Repeat the operations of a training step on a CUDA device with one launch, as a CUDA graph.

A step of many small operations is bound by the time that the host takes to launch them. A graph is
captured once and replayed, which takes microseconds. It repeats the same operations on the same
memory, so what differs between steps must lie in that memory: the number of updates taken, the
mini-batches.
"""

import threading
import warnings
from collections.abc import Callable

import torch

from grokinterp.checks import warn_user

_capturing = threading.Lock()  # torch's debug mode below belongs to the process


class Replay:
    """Calls a function; from the third time on, replays what it did on the device instead.

    The first call lets libraries set themselves up. The second one is watched: a function that
    waits for the device cannot be captured, so it is called every time; ``refusal`` says so.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._calls, self._graph = 0, None
        self.refusal = ""  # why the function is not replayed; empty: it is, or will be

    @property
    def replays(self) -> bool:
        """Whether the function has been captured, so that it is replayed from now on."""
        return self._graph is not None

    def __call__(self, function: Callable[[], None]) -> None:
        """Do what the function does, once.

        It must be the same one at each call (it is not kept, since it may hold this object), and do
        the same operations on the same memory.
        """
        if self._graph is not None:
            self._graph.replay()
            return
        self._calls += 1
        if self._calls == 2:
            self._watch(function)
        elif self._calls == 3 and not self.refusal:
            self._capture(function)
            (function if self._graph is None else self._graph.replay)()
        else:
            function()

    def _watch(self, function: Callable[[], None]) -> None:
        with _capturing, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")  # torch's, that the mode may miss some operations
            mode = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("warn")
            warnings.simplefilter("always")
            try:
                function()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        for warning in caught:
            if "synchronizing CUDA operation" in str(warning.message):
                self.refusal = "an operation of the step waits for the device"
            else:
                warnings.warn(warning.message, warning.category, stacklevel=2)

    def _capture(self, function: Callable[[], None]) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                _capturing,
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                function()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:  # nothing has been computed, so training can go on without
            self.refusal = str(error).partition("\n")[0]
            warn_user(
                f"the training step could not be captured as a CUDA graph ({self.refusal}); "
                "training goes on without, more slowly",
                RuntimeWarning,
            )
            return
        self._graph = graph
