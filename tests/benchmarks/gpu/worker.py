"""The process that does the tasks, one after another: see ``__main__``."""

import gc
import os
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

import torch

from grokinterp.runs import provenance
from tests.benchmarks.gpu.__main__ import AGAIN, BUDGET, options
from tests.benchmarks.gpu.results import Results
from tests.benchmarks.gpu.stage import OutOfTime, Stage, Task
from tests.benchmarks.gpu.stages import STAGES


def main() -> None:
    """Do the tasks of all stages that are left."""
    gc.freeze()  # the collections after each task need not visit what the imports made
    started, words = float(sys.argv[1]), sys.argv[2:]
    args, end = options().parse_args(words), started
    results = Results(args.out / "gpu.json")
    results.found.setdefault("about", _about(args.device, args.size, args.commit))
    for name in args.stages:
        end += BUDGET[name] * args.time
        stage = Stage(name, args.device, args.size, args.out, end, results.stage(name))
        do(stage, results)


def do(stage: Stage, results: Results) -> None:
    """Do the tasks of a stage that have no result, and list those that there was no time for."""
    left_out: list[str] = []
    stage.found["not done"] = left_out
    try:
        for key, task in STAGES[stage.name](stage):
            if key in stage.found:
                continue
            results.begin(stage.name, key, stage.end)
            started, value = time.time(), _value(task, stage)
            if value is None:
                left_out.append(key)
            taken = time.time() - started
            stage.found["seconds"] = round(stage.found.get("seconds", 0) + taken, 1)
            print(f"{stage.name}: {key}: {value}", flush=True)
            results.end(value)
            failed = isinstance(value, dict) and "error" in value
            if failed and stage.device != "cpu" and _has_failed():
                os._exit(AGAIN)  # an ordinary end could wait for the device
    except Exception as error:  # between the tasks
        traceback.print_exc()
        stage.found["error"] = f"{type(error).__name__}: {error}"
        results.write()


def _value(task: Task, stage: Stage) -> Any:
    """What the task gives, or its error; None if there is no time for it."""
    try:
        return task() if stage.left > 0 else None
    except OutOfTime:
        return None
    except Exception as error:  # the other tasks may still give something
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        gc.collect()  # hooked models are reference cycles
        with suppress(RuntimeError):  # of a device that has failed
            torch.cuda.empty_cache()  # nothing without CUDA


def _has_failed() -> bool:
    """Whether the device cannot be used again by this process."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def _about(device: str, size: str, commit: str) -> dict[str, Any]:
    made = provenance(device=device, precision="", wall_time_s=0.0, stack_size=0)
    about: dict[str, Any] = {"device": device}
    if device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        about = {"device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
    about |= {"cuda": torch.version.cuda, "size": size, "commit": commit}
    return about | {name: made[name] for name in ("created", "versions")}


if __name__ == "__main__":
    main()
