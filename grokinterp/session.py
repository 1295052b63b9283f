"""Keep torch's global settings of the user's session and those of a training apart.

Some settings that affect results belong to the thread (gradient mode, autocast, default device,
flushing of denormal numbers), others to the process (precision of float32 products, default dtype).
This module sets what a training needs and restores the user's settings afterwards. The default
dtype stays, because all threads share it; code that creates a float tensor names its dtype instead.
"""

import functools
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from grokinterp.team import available_threads, use_threads


@contextmanager
def own_session(products: str = "highest") -> Iterator[None]:
    """Torch's settings for the thread that runs the training loop, restored on exit.

    Args:
        products: how exact float32 products are: "highest", or "high" for TF32 on CUDA.
    """
    with unaffected(), torch.no_grad(), float32_products(products), flushed_denormals():
        yield


@contextmanager
def unaffected() -> Iterator[None]:
    """Context manager that suspends the thread's inference mode, autocast and default device.

    Inside it, new tensors are ordinary CPU tensors and products keep their dtype. Whether gradients
    are recorded does not change.
    """
    with ExitStack() as stack:
        has_gradients = torch.is_grad_enabled()
        stack.enter_context(torch.inference_mode(False))  # also enables gradients
        stack.enter_context(torch.set_grad_enabled(has_gradients))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Context manager in which this thread treats denormal numbers (below 1e-38 in float32) as 0.

    Strong weight decay leaves such numbers everywhere, and many CPUs are very slow on them. Torch
    can flush them on x86 with SSE3 and on AArch64. On other CPUs nothing changes: results are as
    good, but late steps may be slow, of which :class:`~grokinterp.team.Team` warns. CUDA needs no
    such mode.

    Operations use a single thread here: torch's intra-op threads (of OpenMP) keep the settings that
    the thread which started them had then, and these cannot be changed from outside.
    """
    before, threads = _flushes(), available_threads()
    torch.set_flush_denormal(True)
    use_threads(1)
    try:
        yield
    finally:
        use_threads(threads)
        torch.set_flush_denormal(before)


@contextmanager
def quick_on(weights: Iterable[Tensor]) -> Iterator[None]:
    """:func:`flushed_denormals` if products of these weights may be denormal, and slow.

    Weights so small that a product of three underflows are those of dying units, in long runs with
    weight decay. Other networks are computed on all threads, as are all networks on a CPU that is
    quick on denormals.
    """
    if not _flushes() and _slow_on_denormals() and any(map(_are_dying, weights)):
        with flushed_denormals():
            yield
    else:
        yield


def _flushes() -> bool:
    """Whether this thread flushes denormals. Torch has no getter, but Python's floats follow."""
    return sys.float_info.min / 2 == 0.0


def _are_dying(weights: Tensor) -> bool:
    if weights.device.type != "cpu" or weights.dtype not in (torch.float32, torch.float64):
        return False
    sizes = weights.detach().abs()
    return bool(((sizes > 0) & (sizes < torch.finfo(weights.dtype).tiny ** (1 / 3))).any())


@functools.cache  # one measurement per process, of a millisecond
def _slow_on_denormals() -> bool:
    """Whether this CPU takes several times as long to multiply numbers to denormal ones."""

    def seconds(size: float) -> float:
        numbers = torch.full((4096,), size, dtype=torch.float32, device="cpu")
        out, laps = torch.empty_like(numbers), []
        for _ in range(20):
            began = time.perf_counter()
            torch.mul(numbers, numbers, out=out)
            laps.append(time.perf_counter() - began)
        return min(laps)

    return seconds(1e-20) > 4 * seconds(1.0)


class _Float32Products:
    """Sets the precision of float32 products, which torch has only once per process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: list[int] = []  # thread ids of the trainings that use the precision
        self._precision = ""  # the precision of these trainings
        self._session: tuple[str, list[str]] = ("", [])  # the user's settings, to restore

    @contextmanager
    def __call__(self, precision: str) -> Iterator[None]:
        """Context manager that sets ``precision``, as for ``torch.set_float32_matmul_precision``.

        Trainings with the same precision may run at the same time; others wait. When the last one
        ends, the user's setting is restored.

        Raises:
            RuntimeError: this thread is already training in another precision, so it would wait
                for itself.
        """
        thread = threading.get_ident()
        with self._changed:
            if precision != self._precision and thread in self._users:
                raise RuntimeError(
                    "a training with precision='tf32' and one without it cannot run inside each "
                    "other, because torch has one precision of float32 products per process; use "
                    "the same precision, or train after the other has ended"
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
        except RuntimeError:  # the user has set the backends to different values
            return "highest", backends

    @staticmethod
    def _write(precision: str, backends: list[str]) -> None:
        torch.set_float32_matmul_precision(precision)
        for backend, value in zip(_backends(), backends, strict=True):
            backend.fp32_precision = "none"  # follow the global setting
            if backend.fp32_precision != value:
                backend.fp32_precision = value


def _backends() -> list[Any]:
    """The backends with a precision setting of their own; torch has them from version 2.9 on."""
    backends = [getattr(torch.backends.mkldnn, "matmul", None), torch.backends.cuda.matmul]
    return [backend for backend in backends if hasattr(backend, "fp32_precision")]


float32_products = _Float32Products()
