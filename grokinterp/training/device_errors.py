"""What training does when a device runs out of memory, or fails."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from grokinterp.config import RunConfig
from grokinterp.tracking import Callback
from grokinterp.training.memory import free_memory
from grokinterp.training.plan import bytes_per_run
from grokinterp.training.resources import Resources

# From torch 2.8 on, a failed CUDA call raises an error with a type of its own.
_FAILED: type[Exception] = getattr(torch, "AcceleratorError", RuntimeError)


class Told:
    """Tells an observer each step and row once, also of runs that are trained again."""

    def __init__(self, observer: Callback) -> None:
        self._observer = observer
        self._steps: dict[int, int] = {}  # per run: updates told so far
        self._rows: dict[int, int] = {}  # per run: step of the last row told

    def steps(self, runs: Sequence[int], step: int) -> None:
        """Runs of one stack have taken ``step`` updates."""
        new = step - self._steps.get(runs[0], 0)  # the same for all runs of a stack
        if new > 0:
            self._steps |= dict.fromkeys(runs, step)
            self._observer.on_step(new * len(runs))

    def row(self, step: int, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """(run, scores) pairs of the runs alive after ``step`` updates."""
        for run, metrics in rows:
            if self._rows.get(run, -1) < step:
                self._rows[run] = step
                self._observer.on_evaluation(run, step, metrics)


def halved(stacks: Sequence[Sequence[int]]) -> list[list[int]]:
    """The stacks in pieces of at most half of the first one."""
    most = -(-len(stacks[0]) // 2)
    return [
        [*stack[start : start + most]] for stack in stacks for start in range(0, len(stack), most)
    ]


def too_little_memory(config: RunConfig, resources: Resources) -> MemoryError:
    """The error for a run that alone does not fit onto its device."""
    place = resources.place
    torch.cuda.empty_cache()
    return MemoryError(
        f"a single run of p={config.data.p} and {config.model} does not fit onto {place}: it "
        f"needs about {bytes_per_run(config, resources) / 2**20:.0f} MiB, and "
        f"{free_memory(place) / 2**20:.0f} MiB are free; train a smaller network, free the "
        "device's memory, or use device='cpu'"
    )


@contextmanager
def named_device_errors(place: torch.device) -> Iterator[None]:
    """Context manager in which what a device cannot do becomes an error that says so."""
    try:
        yield
    except RuntimeError as error:
        if place.type == "cpu" and "could not create a primitive" in str(error):
            raise RuntimeError(
                "this CPU cannot train such a network in this precision: LSTMs need bfloat16 "
                "instructions for precision='bfloat16'; use precision='float32'"
            ) from error
        if not isinstance(error, _FAILED) or place.type != "cuda" or "CUDA" not in str(error):
            raise
        raise RuntimeError(
            f"device {str(place)!r} failed in training and cannot be used again by this process: "
            f"{str(error).partition(chr(10))[0]}. Train in a new process, or with device='cpu'; a "
            "sweep with a store continues where it was"
        ) from error
