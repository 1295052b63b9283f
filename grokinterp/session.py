"""Torch's global settings: those of the session do not change a training, nor the other way round.

Some settings that affect results belong to the thread (gradient mode, autocast, default device,
flushing of denormal numbers), some to the process (precision of float32 products, default dtype).
This module sets what a training needs and restores it afterwards. The default dtype is left alone,
because it is shared by all threads; code that creates a float tensor names its dtype instead.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from grokinterp.team import available_threads, use_threads


@contextmanager
def own_session(products: str = "highest") -> Iterator[None]:
    """Torch's settings for the thread that runs the training loop, restored on exit.

    Operations use a single thread here: torch's intra-op threads keep the settings of whichever
    thread started them, and these cannot be changed from outside.

    Args:
        products: how exact float32 products are: "highest", or "high" for TF32 on CUDA.
    """
    threads = available_threads()
    with unaffected(), torch.no_grad(), float32_products(products), flushed_denormals():
        use_threads(1)
        try:
            yield
        finally:
            use_threads(threads)


@contextmanager
def unaffected() -> Iterator[None]:
    """New tensors are on the CPU and no inference tensors, and products keep their dtype.

    What the thread has set otherwise is suspended for as long, but for whether gradients are
    recorded.
    """
    with ExitStack() as stack:
        has_gradients = torch.is_grad_enabled()
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(has_gradients))  # which the line above enables
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let this thread take numbers below the smallest normal one (1e-38 in float32) as zero.

    Strong weight decay leaves such numbers everywhere, and many CPUs take far longer over them.
    """
    before = sys.float_info.min / 2 == 0.0  # torch cannot be asked; Python's floats obey as well
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


class _Float32Products:
    """The precision of float32 products: one for the whole process, whoever computes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: list[int] = []  # the thread of every training that relies on it
        self._precision = ""  # theirs
        self._session: tuple[str, list[str]] = ("", [])  # what to give back

    @contextmanager
    def __call__(self, precision: str) -> Iterator[None]:
        """Let it be ``precision``, as ``torch.set_float32_matmul_precision`` takes it.

        Trainings that agree share it, others wait until it is free; the last gives it back.

        Raises:
            RuntimeError: this thread is training in another precision, so it would wait for itself.
        """
        thread = threading.get_ident()
        with self._changed:
            if precision != self._precision and thread in self._users:
                raise RuntimeError(
                    "a training with precision='tf32' and one without it cannot run inside each "
                    "other, because torch has one precision of float32 products for the whole "
                    "process; train in the same precision, or after the other has ended"
                )
            self._changed.wait_for(lambda: not self._users or precision == self._precision)
            if not self._users:
                self._session, self._precision = self._read(), precision
            self._users.append(thread)
            torch.set_float32_matmul_precision(precision)
        try:
            yield
        finally:
            with self._changed:
                self._users.remove(thread)
                if not self._users:
                    self._write(*self._session)
                    self._changed.notify_all()

    @staticmethod
    def _read() -> tuple[str, list[str]]:
        backends = [backend.fp32_precision for backend in _backends()]
        try:
            return torch.get_float32_matmul_precision(), backends
        except RuntimeError:  # the session has set the backends apart
            return "highest", backends

    @staticmethod
    def _write(precision: str, backends: list[str]) -> None:
        torch.set_float32_matmul_precision(precision)
        for backend, value in zip(_backends(), backends, strict=True):
            backend.fp32_precision = "none"  # follows what is set for all backends
            if backend.fp32_precision != value:
                backend.fp32_precision = value


def _backends() -> list[Any]:
    """Where torch keeps the precision by backend as well, from version 2.9 on."""
    backends = [getattr(torch.backends.mkldnn, "matmul", None), torch.backends.cuda.matmul]
    return [backend for backend in backends if hasattr(backend, "fp32_precision")]


float32_products = _Float32Products()
