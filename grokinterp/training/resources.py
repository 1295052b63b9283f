"""The resources of a training: device, precision, memory and threads, checked once."""

import functools
from dataclasses import dataclass

import torch

from grokinterp.checks import check_choice, check_int, warn_user
from grokinterp.limits import MAX_THREADS
from grokinterp.short_text import short
from grokinterp.team import available_threads, usable_cores
from grokinterp.training.memory import parse_bytes

# Name -> dtype of weights, gradients and losses, and dtype of the operands of matrix products.
PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
    "tf32": (torch.float32, torch.float32),  # only on CUDA, by a global switch of torch
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where and how to train; the fields are arguments of :func:`~grokinterp.train_many`.

    Raises:
        ValueError: the device or precision is unavailable, or the memory or threads are invalid.

    Warns:
        RuntimeWarning: ``threads`` is more than the cores that this process may use, or (once per
            process) ``precision`` is "bfloat16" on a CPU without bfloat16 instructions.
    """

    device: str | torch.device | None = None  # None: CUDA if available in the process that trains
    precision: str = "float32"
    memory_limit: int | str | None = (
        None  # bytes, or such as "4 GiB"; None: half of the free memory
    )
    threads: int | None = None  # None: as many as torch uses

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        place = self.place
        if self.precision == "tf32" and place.type != "cuda":
            raise ValueError(
                f"precision='tf32' needs a CUDA device, got device={str(place)!r}; use 'float32', "
                "or 'bfloat16' for speed"
            )
        if self.memory_limit is not None:
            parse_bytes(self.memory_limit)
        if self.threads is not None:
            check_int("threads", self.threads, minimum=1, maximum=MAX_THREADS)
            if place.type == "cpu" and self.threads > usable_cores():
                warn_user(
                    f"threads={self.threads} is more than the {usable_cores()} cores that this "
                    "process may use; training gives the same results, but not sooner than with "
                    "one thread per core",
                    RuntimeWarning,
                )
        if self.precision == "bfloat16" and place.type == "cpu":
            _warn_of_slow_bfloat16()

    @property
    def place(self) -> torch.device:
        """The torch device that ``device`` stands for on this machine."""
        return _device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of weights, gradients, the optimiser's moments and losses."""
        return PRECISIONS[self.precision][0]

    @property
    def matmul_dtype(self) -> torch.dtype:
        """The dtype of the operands of matrix products, and of what the passes keep like them.

        Those of an MLP keep everything from the first layer to the logits, those of a transformer
        the neurons, those of an embedding MLP nothing. Other networks are computed under
        ``torch.autocast``.
        """
        return PRECISIONS[self.precision][1]

    @property
    def exact_products(self) -> bool:
        """Whether matrix products are as exact as other arithmetic, so not on matrix units."""
        return self.precision in ("float32", "float64")

    @property
    def workers(self) -> int:
        """Number of threads that train at the same time."""
        return (self.threads or available_threads()) if self.place.type == "cpu" else 1


@functools.cache  # one warning per process
def _warn_of_slow_bfloat16() -> None:
    """Warn if this CPU has no instructions for products of bfloat16 numbers."""
    if not _has_bfloat16():
        warn_user(
            "this CPU has no bfloat16 instructions: precision='bfloat16' works, but is slower than "
            "'float32'",
            RuntimeWarning,
        )


def _has_bfloat16() -> bool:
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if found.get("architecture") == "x86_64":
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    # Not used on x86, where it is also true of AVX-512 alone, which only emulates bfloat16.
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError):  # torch's messages can be long
        raise ValueError(f"device={short(device)} is not a device; use 'cpu' or 'cuda'") from None
    if place.type == "mps":
        raise ValueError(
            f"device={str(device)!r} cannot train: it has no float64, in which losses and "
            "learning rates are computed; use 'cpu' or 'cuda'"
        )
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device={str(device)!r} cannot train; use 'cpu' or 'cuda'")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} is not available: torch sees no CUDA device; "
            "use device='cpu' or install a CUDA build of torch"
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} is not available: torch sees {torch.cuda.device_count()} CUDA "
            "devices; use a number from 0"
        )
    return place
