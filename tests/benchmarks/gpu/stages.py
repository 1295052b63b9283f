"""The four stages, each a list of tasks: parity, timings, and two experiments at full size."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.grokking_across.runs import wanted
from analyses.phase_diagrams import presets, sweep_phases
from analyses.phase_diagrams.measures import MEASURES
from grokinterp.session import own_session
from grokinterp.sweeps.collect import Named
from grokinterp.team import Team
from grokinterp.tracking import Callback
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack
from grokinterp.training.trainer import train_each
from tests.benchmarks.gpu import timing
from tests.benchmarks.gpu.stage import OutOfTime, Stage, Task
from tests.gpu.parity import KINDS, ON_CPU, Gap, runs_of, trained, trained_on_cpu

DEFAULT = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
TOY = {"data.p": 11, "model.d_mlp": 16}
RUNS = {"full": 64, "toy": 4}  # in the timed stack
ROUNDS = {"full": 20, "toy": 2}
PARITY_STEPS = {"full": 200, "toy": 5}
SEEDS = {"full": 3, "toy": 2}  # at most, of the phase diagram
PRESET_SIZE = {"full": "full", "toy": "tiny"}
PAPER2_SIZE = {"full": "published", "toy": "tiny"}
SHORT: dict[str, dict[str, int]] = {"full": {}, "toy": {"training.steps": 20}}  # experiments


def parity(stage: Stage) -> Iterator[tuple[str, Task]]:
    """Gaps from float64 on the CPU, and which steps are replayed; the most telling first."""
    low = ["bfloat16"] + ["tf32"] * (stage.device != "cpu")
    for kind in KINDS:
        for precision in ("float64", "float32"):
            yield f"{kind}, {precision}", partial(_gap, kind, precision, stage)
    for kind in KINDS:
        yield f"{kind}, graph", partial(_graph, kind, stage)
    for precision, kind in product(low, KINDS):
        yield f"{kind}, {precision}", partial(_gap, kind, precision, stage)


def _gap(kind: str, precision: str, stage: Stage) -> dict[str, Any]:
    """Of the device; for comparison, of the CPU itself in the nearest precision that it has.

    "too large" names the gaps that the tests of a device do not accept.
    """
    steps = PARITY_STEPS[stage.size]
    exact, on_cpu = trained_on_cpu(kind, "float64", steps), None
    gap = Gap.between(trained(runs_of(kind, steps), stage.device, precision), exact)
    found: dict[str, Any] = asdict(gap)
    if precision in ON_CPU:
        on_cpu = Gap.between(trained_on_cpu(kind, ON_CPU[precision], steps), exact)
        found |= {f"on the CPU in {ON_CPU[precision]}": asdict(on_cpu)}
    return found | {"too large": gap.excess(precision, on_cpu)}


def _graph(kind: str, stage: Stage) -> dict[str, Any]:
    """Whether the step becomes a CUDA graph, and if not, why."""
    with own_session(), Team(1) as team:
        stack = Stack(runs_of(kind), Resources(device=stage.device, threads=1), team)
        for _ in range(4):
            stack.step()
    if stack.replay is None:
        return {"replayed": False, "refusal": "not tried"}
    return {"replayed": stack.replay.replays, "refusal": stack.replay.refusal}


def timings(stage: Stage) -> Iterator[tuple[str, Task]]:
    """Milliseconds of a step."""
    for precision in ("float32", "tf32", "bfloat16", "float64"):
        if precision != "tf32" or stage.device != "cpu":
            key = f"stack of {RUNS[stage.size]}, {precision}"
            yield key, partial(_time_of_mlps, precision, stage)
    for network in settings.NETWORKS:
        key = f"{network} of the second paper, stack of 3"
        yield key, partial(_time_of_paper2, network, stage)


def _time_of_mlps(precision: str, stage: Stage) -> dict[str, float]:
    runs = RUNS[stage.size]
    config = DEFAULT.replace(TOY if stage.size == "toy" else {})
    configs = [config.replace({"seed": seed, "data.seed": seed}) for seed in range(runs)]
    subjects = {
        **timing.stacks(configs, stage.device, precision),
        "products": timing.products(config, runs, stage.device, precision),
        "plain loop of one run, float32": timing.plain_loop(config, stage.device),
    }
    return timing.milliseconds(subjects, precision, stage, rounds=ROUNDS[stage.size])


def _time_of_paper2(network: str, stage: Stage) -> dict[str, float]:
    named = _of_paper2(network, stage.size, seeds=3)
    configs = [one.config for one in named if one.config.data.train_fraction == 0.5]
    subjects = timing.stacks(configs, stage.device, "float32")
    return timing.milliseconds(subjects, "float32", stage, rounds=ROUNDS[stage.size], burst=5)


def paper2(stage: Stage) -> Iterator[tuple[str, Task]]:
    """The transformer of the second paper's Fig. 1 at its published length, all runs as a stack."""
    for seeds in (3, 1):  # as many as there is time for
        named = _of_paper2("transformer", stage.size, seeds)
        key = f"step of {len(named)} runs, ms"
        yield key, partial(_step_ms, named, stage)
        step_ms, steps = stage.found.get(key), named[0].config.training.steps
        if isinstance(step_ms, float) and 1.1 * step_ms * steps / 1e3 < stage.left:
            break
    yield "transformer", partial(_train, named, stage)


def _step_ms(named: list[Named], stage: Stage) -> float:
    configs = [one.config for one in named]
    with own_session():
        stack = Stack(configs, Resources(device=stage.device, threads=1), Team(1))
    return timing.milliseconds({"step": stack.step}, "float32", stage, rounds=3)["step"]


def _train(named: list[Named], stage: Stage) -> dict[str, Any]:
    started, configs = time.time(), [one.config for one in named]
    steps = configs[0].training.steps
    each = train_each(configs, Resources(device=stage.device), stop=lambda: stage.left < 0)
    runs = {named[i].folder: run for i, run in each}
    if not runs:
        raise OutOfTime
    rows = ["train_accuracy", "test_accuracy", "train_loss", "test_loss"]
    curves = [run.history[rows].expand_dims(run=[name]) for name, run in runs.items()]
    stage.save(xr.concat(curves, "run", join="outer"), "paper2.nc")
    return {
        "runs": len(runs),
        "steps": min(
            steps if run.interrupted_at is None else run.interrupted_at for run in runs.values()
        ),
        "of": steps,
        "seconds": time.time() - started,
        "test accuracy": {
            name: round(float(run.history.test_accuracy[-1]), 4) for name, run in runs.items()
        },
    }


def fig3a(stage: Stage) -> Iterator[tuple[str, Task]]:
    """The phase diagram of the first paper's Fig. 3a, one seed after another."""
    for seed in range(SEEDS[stage.size]):
        yield f"seed {seed}", partial(_diagram, seed, stage)


def _diagram(seed: int, stage: Stage) -> dict[str, Any]:
    """One seed; the file has those before it, too, and of the last one what there was time for."""
    preset, size, started = presets.get("fig3a"), PRESET_SIZE[stage.size], time.time()
    stores = [stage.out / "work" / f"fig3a-{each}" for each in range(seed + 1)]
    if seed and stage.left < 1.1 * stage.found.get("seed 0", {}).get("seconds", 0.0):
        raise OutOfTime
    error = {}
    try:
        gi.sweep(
            preset.config(size).replace(SHORT[stage.size]),
            preset.axes(size),
            seeds=[seed],
            measure=MEASURES,
            store=stores[-1],
            device=stage.device,
            precision="bfloat16",
            callbacks=[_TimeLimit(stage)],
            progress=False,
        )
    except OutOfTime:
        pass
    except Exception as failed:  # what is finished is stored all the same
        traceback.print_exc()
        error = {"error": f"{type(failed).__name__}: {failed}"}
        if not stores[-1].exists():
            return error
    took = time.time() - started
    sweeps = [gi.open_sweep(store).load() for store in stores if store.exists()]
    if not sweeps[-1].done.any():  # it failed in the first block
        return error
    whole = xr.concat(sweeps, "seed", combine_attrs="drop_conflicts")
    phase = sweep_phases.compute(whole).phase
    kept = whole[["final_accuracy", "diverged_at", "mean_ipr", "dead_share", "done"]]
    stage.save(xr.merge([kept, phase]).drop_attrs(), "fig3a.nc")
    ours = sweeps[-1].done
    counts = {str(name): int((phase.isel(seed=-1) == name).sum()) for name in sweep_phases.NAMES}
    return {"runs": int(ours.sum()), "of": ours.size, "seconds": took, "phases": counts} | error


STAGES: dict[str, Callable[[Stage], Iterator[tuple[str, Task]]]] = {
    "parity": parity,
    "timings": timings,
    "paper2": paper2,
    "fig3a": fig3a,
}


def _of_paper2(network: str, size: str, seeds: int) -> list[Named]:
    model = settings.network(network, PAPER2_SIZE[size]).model
    return [
        Named(one.folder, one.config.replace(SHORT[size]))
        for one in wanted(PAPER2_SIZE[size], seeds)
        if one.config.model == model
    ]


class _TimeLimit(Callback):
    """Ends a sweep after a block if there is no time for another one."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._left = stage, stage.left

    def on_step(self, updates: int) -> None:
        before, self._left = self._left, self._stage.left
        if self._left < before - self._left:  # what the block took
            raise OutOfTime
