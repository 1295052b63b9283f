"""What a step costs on a CPU, and how the cost grows.

    python -m tests.benchmarks.cost OUT              on an otherwise idle machine, in 10 minutes
    python -m tests.benchmarks.cost OUT --size toy   whether the script works

OUT receives ``cost.json``, written anew after every stage: peak speeds of the machine, the step of
the default run against them, steps at other sizes, and sweeps with several workers. The times of
many workers are simulated from these.
"""

import argparse
import heapq
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

import grokinterp as gi
from analyses.phase_diagrams import presets
from grokinterp.session import own_session
from grokinterp.team import Team, usable_cores
from grokinterp.training.resources import PRECISIONS, Resources
from grokinterp.training.stack import Stack
from tests.benchmarks.in_turn import milliseconds, torch_threads
from tests.benchmarks.machine import machine

ROUNDS = {"full": 20, "toy": 2}
DEFAULT = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
TOY = {"data.p": 11, "model.d_mlp": 16}
# The default run, with one setting changed at a time.
SIZES: dict[str, Sequence[float]] = {
    "data.p": (31, 47, 59, 97, 113, 149),
    "model.d_mlp": (64, 125, 250, 500, 1000, 2000),
    "data.train_fraction": (0.1, 0.3, 0.5, 0.7, 0.9),
}
SWEPT = gi.RunConfig().replace({"data.p": 31, "model.d_mlp": 64, "training.steps": 200})
NODES, CORES = (1, 4, 16, 64), 16  # of the simulated cluster, and of each of its nodes


def peaks(size: str) -> dict[str, Any]:
    """Speed of large matrix products (GFLOP/s), and of copies (GB/s, read and written)."""
    n = 2048 if size == "full" else 64
    found: dict[str, Any] = {}
    for threads in _threads():
        for precision in ("float32", "bfloat16"):
            a, b, out = (torch.ones(n, n, dtype=PRECISIONS[precision][1]) for _ in range(3))
            ms = _ms(partial(torch.mm, a, b, out=out), size, threads)
            found[f"{precision}, {threads} threads, GFLOP/s"] = 2 * n**3 / ms / 1e6
        source, target = torch.ones(n * n * 8), torch.empty(n * n * 8)
        ms = _ms(partial(target.copy_, source), size, threads)
        found[f"copy, {threads} threads, GB/s"] = 2 * source.nbytes / ms / 1e6
    return found


def steps(size: str) -> dict[str, Any]:
    """Milliseconds of a step per run: at other sizes, in stacks, with several threads."""
    found: dict[str, Any] = {}
    base = DEFAULT if size == "full" else DEFAULT.replace(TOY)
    for precision in ("float32", "bfloat16"):
        for path, values in SIZES.items():
            configs = {f"{value:g}": base.replace({path: value}) for value in values}
            if size == "toy":
                configs = dict([*configs.items()][:2])
            with Team(max(_threads())) as team:
                found[f"{precision}, {path}"] = _time_steps(configs, precision, team, size)
            if path == "data.train_fraction":
                with Team(1) as team:
                    alone = _time_steps(configs, precision, team, size)
                found[f"{precision}, {path}, 1 thread"] = alone
        for name, config in {"default": base, "small": SWEPT}.items():
            for threads in _threads():
                with Team(threads) as team:
                    counts = (1, 4, 16, 64) if name == "small" else (1, 4, 16)
                    subjects = {
                        f"{runs}": _step(_seeds(config, runs), precision, team) for runs in counts
                    }
                    ms = milliseconds(subjects, ROUNDS[size])
                found[f"{precision}, {name}, runs in a stack, {threads} threads"] = {
                    runs: taken / int(runs) for runs, taken in ms.items()
                }
    return found


def workers(size: str) -> dict[str, Any]:
    """Seconds of a sweep with several workers, and what a block costs beside its training."""
    runs = 64 if size == "full" else 4
    long, short = SWEPT, SWEPT.replace({"training.steps": 1})
    found: dict[str, Any] = {"runs": runs, "chunk": 8, "steps": long.training.steps}
    kinds = [("this process, 1 thread", None), *((f"{n} processes", n) for n in _threads())]
    for name, count in kinds:
        with _pool(count) as pool:
            _sweep(short, 4, 1, pool)  # starts the workers
            found[f"sweep, {name}, s"] = _sweep(long, runs, 8, pool)
            found[f"block of one run of one step, {name}, s"] = _sweep(short, runs, 1, pool) / runs
    with _dask(max(_threads())) as pool:
        _sweep(short, 4, 1, pool)
        found[f"sweep, Dask, {max(_threads())} workers, s"] = _sweep(long, runs, 8, pool)
        found[f"block of one run of one step, Dask, {max(_threads())} workers, s"] = (
            _sweep(short, runs, 1, pool) / runs
        )
    return found


def cluster(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Simulated: the whole grid of Fig. 3a on nodes like this machine's cores, one thread a run.

    Blocks of as many runs as a sweep chooses go to the next free worker. The scheduler hands them
    out one by one, each in the time that this machine took for a block of one run of one step: that
    includes storing it, which the driver does, and the step itself.
    """
    preset = presets.get("fig3a")
    config, axes = preset.config("full"), preset.axes("full")
    fractions = np.array([*axes["data.train_fraction"]])
    cells = np.prod([len([*axis]) for axis in axes.values()]) / len(fractions)
    by_fraction = measured["steps"]["bfloat16, data.train_fraction, 1 thread"]
    known = np.array([float(key) for key in by_fraction])
    run_s = np.interp(fractions, known, [*by_fraction.values()]) * config.training.steps / 1e3
    costs = np.repeat(run_s, int(cells))
    [per_block] = [
        seconds
        for name, seconds in measured["workers"].items()
        if name.startswith("block") and "Dask" in name
    ]
    costs = np.sort(costs)[::-1]
    found: dict[str, Any] = {"runs": len(costs), "core hours": float(costs.sum()) / 3600}
    for nodes in NODES:
        chunk = max(1, min(8, len(costs) // (4 * nodes * CORES)))  # as in sweeps.chunks
        blocks = [float(costs[i : i + chunk].sum()) for i in range(0, len(costs), chunk)]
        seconds = _simulated(blocks, nodes * CORES, per_block)
        found[f"{nodes} nodes of {CORES} cores, s"] = seconds
        found[f"{nodes} nodes of {CORES} cores, efficiency"] = (
            float(costs.sum()) / nodes / CORES / seconds
        )
    return found


def _simulated(blocks: Iterable[float], workers: int, per_block: float) -> float:
    """Seconds until the last of these blocks is done."""
    free = [0.0] * workers
    handed_out = 0.0
    for seconds in blocks:
        handed_out = max(handed_out + per_block, free[0])
        heapq.heapreplace(free, handed_out + seconds)
    return max(free)


def _threads() -> list[int]:
    """1, 2, 4 ... up to the number of cores."""
    return [2**k for k in range(usable_cores().bit_length())]


def _ms(subject: Callable[[], object], size: str, threads: int) -> float:
    return milliseconds({"": subject}, ROUNDS[size], threads=threads)[""]


def _seeds(config: gi.RunConfig, runs: int) -> list[gi.RunConfig]:
    return [config.replace({"seed": seed, "data.seed": seed}) for seed in range(runs)]


def _step(configs: Sequence[gi.RunConfig], precision: str, team: Team) -> Callable[[], object]:
    resources = Resources(device="cpu", precision=precision, threads=team.size)
    with own_session():
        return Stack(configs, resources, team).step


def _time_steps(
    configs: Mapping[str, gi.RunConfig], precision: str, team: Team, size: str
) -> dict[str, float]:
    steps_of = {key: _step([one], precision, team) for key, one in configs.items()}
    return milliseconds(steps_of, ROUNDS[size])


def _sweep(config: gi.RunConfig, runs: int, chunk: int, executor: Executor | None) -> float:
    """Seconds, with one thread a worker."""
    with tempfile.TemporaryDirectory() as folder, torch_threads(1):
        started = time.perf_counter()
        gi.sweep(
            config,
            {"data.corruption": [0.0, 0.2]},
            seeds=runs // 2,
            store=Path(folder) / "sweep",
            executor=executor,
            chunk=chunk,
            device="cpu",
            progress=False,
        )
        return time.perf_counter() - started


@contextmanager
def _pool(count: int | None) -> Iterator[Executor | None]:
    if count is None:
        yield None
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield pool


@contextmanager
def _dask(count: int) -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=""
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


def main() -> None:
    """Run the stages and write what they give."""
    parser = argparse.ArgumentParser(description="What a step costs on this CPU")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=ROUNDS, default="full")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"about": machine()}
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "peaks": lambda: peaks(args.size),
        "steps": lambda: steps(args.size),
        "workers": lambda: workers(args.size),
        "cluster": lambda: cluster(results),
    }
    for name, stage in stages.items():
        results[name] = stage()
        print(name, json.dumps(results[name], indent=1), flush=True)
        (args.out / "cost.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
