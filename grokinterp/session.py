"""What a session has set in torch must not change a training, nor a training the session.

Torch keeps much of what decides a result beside its tensors: in the thread (gradient modes,
autocast, the default device, what happens to denormal numbers) or in the process (the precision of
float32 products, the default dtype). Here is what a training sets while it runs. The default dtype
is not: it belongs to all threads at once, so whatever makes a tensor of floats names its dtype.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from grokinterp.team import available_threads, use_threads


@contextmanager
def own_session() -> Iterator[None]:
    """For the thread that leads a training: torch as the training needs it, then as it was.

    Each operation takes one thread, because torch has no way to reach its other threads: they begin
    with the settings of whoever needed them first, and would keep those of the training.
    """
    threads = available_threads()
    with torch.inference_mode(False), torch.no_grad(), flushed_denormals():
        use_threads(1)
        try:
            yield
        finally:
            use_threads(threads)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let this thread take numbers below the smallest normal one (1e-38 in float32) as zero.

    Strong weight decay leaves such numbers everywhere, and they cost a CPU twenty times the time of
    others.
    """
    before = sys.float_info.min / 2 == 0.0  # torch cannot be asked; Python's floats obey as well
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
