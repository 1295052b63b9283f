"""Where and how runs are trained: device, precision, memory and threads, checked once."""

from dataclasses import dataclass

import torch

from grokinterp._checks import check_choice, check_int
from grokinterp._limits import MAX_THREADS
from grokinterp._short import short
from grokinterp.team import available_threads
from grokinterp.training.memory import parse_bytes

# Precision of weights and activations, and of the matrix products' operands.
PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
    "tf32": (torch.float32, torch.float32),  # CUDA only, by a switch that the trainer sets
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The arguments of :func:`~grokinterp.train_many` of these names, which explains them.

    Raises:
        ValueError: there is no such device or precision here, or a bad amount of memory or threads.
    """

    device: str | torch.device | None = None  # None: CUDA if there is one, looked up where it runs
    precision: str = "float32"
    memory_limit: int | str | None = None  # bytes or text; None: half of what is free
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

    @property
    def place(self) -> torch.device:
        """The device that ``device`` means on this machine."""
        return _device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return PRECISIONS[self.precision][0]

    @property
    def matmul_dtype(self) -> torch.dtype:
        """Of the operands of matrix products."""
        return PRECISIONS[self.precision][1]

    @property
    def workers(self) -> int:
        """Threads that train at the same time."""
        return (self.threads or available_threads()) if self.place.type == "cpu" else 1


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError):  # whose texts can be long
        raise ValueError(f"device={short(device)} is not a device; use 'cpu' or 'cuda'") from None
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device={str(device)!r} cannot train; use 'cpu' or 'cuda'")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} was asked for but torch sees no CUDA device; "
            "use device='cpu' or install a CUDA build of torch"
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} was asked for but torch sees {torch.cuda.device_count()} CUDA "
            "devices, numbered from 0"
        )
    return place
