"""What a GPU makes of grokinterp: parity with the CPU, speed, and two experiments at full size.

    python -m tests.benchmarks.gpu OUT                          on one CUDA device, in 8 minutes
    python -m tests.benchmarks.gpu OUT --size toy --device cpu  whether the script works

OUT receives ``gpu.json``, written anew after every result, and netCDF files of the experiments.
Each stage has its share of the time, and the last one what the others left; an experiment that uses
it up stores what is finished.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings
from analyses.efficiency.grokking_across.runs import wanted
from analyses.phase_diagrams import presets, sweep_phases
from analyses.phase_diagrams.measures import MEASURES
from grokinterp.runs import provenance
from grokinterp.session import own_session
from grokinterp.sweeps.collect import Named
from grokinterp.team import Team
from grokinterp.tracking import Callback
from grokinterp.training.resources import PRECISIONS, Resources
from grokinterp.training.stack import Stack
from grokinterp.training.trainer import train_each
from tests.gpu.parity import KINDS, Gap, runs_of, trained, trained_on_cpu

BUDGET = {"parity": 50, "timings": 35, "paper2": 272, "fig3a": 115}  # seconds
RUNS = {"full": 64, "toy": 4}  # in the timed stack
DEFAULT = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
TOY = {"data.p": 11, "model.d_mlp": 16}
PRESET_SIZE = {"full": "full", "toy": "tiny"}
PAPER2_SIZE = {"full": "published", "toy": "tiny"}
ROUNDS = 20


class Stage:
    """A stage: its device, its size, where its results go, and the time that it has."""

    def __init__(self, args: argparse.Namespace, end: float) -> None:
        self.device, self.size, self.out, self._end = args.device, args.size, args.out, end

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    def save(self, data: xr.Dataset, name: str) -> None:
        """Write numbers small enough to be committed."""
        numbers = {key: data[key].astype("float32") for key in data if data[key].dtype == "float64"}
        packed = {key: {"zlib": True} for key in data if data[key].dtype.kind in "fiu"}
        data.assign(numbers).to_netcdf(self.out / name, engine="h5netcdf", encoding=packed)


def parity(stage: Stage) -> Iterable[tuple[str, Any]]:
    """Gaps from float64 on the CPU: of the device and, for comparison, of the CPU itself."""
    precisions = ["float64", "float32", "bfloat16"] + ["tf32"] * (stage.device != "cpu")
    for kind in KINDS:
        steps = 200 if stage.size == "full" else 20
        exact = trained_on_cpu(kind, "float64", steps)
        for precision in precisions:
            if stage.left < 0:
                return
            gap = Gap.between(trained(runs_of(kind, steps), stage.device, precision), exact)
            yield f"{kind}, {precision}", asdict(gap)
            if precision in ("float32", "bfloat16"):
                own = Gap.between(trained_on_cpu(kind, precision, steps), exact)
                yield f"{kind}, {precision} on the CPU", asdict(own)


def timings(stage: Stage) -> Iterable[tuple[str, Any]]:
    """Milliseconds of a step: medians of rounds in which everything is timed in turn."""
    runs = RUNS[stage.size]
    config = DEFAULT.replace(TOY if stage.size == "toy" else {})
    configs = [config.replace({"seed": seed, "data.seed": seed}) for seed in range(runs)]
    for precision in ("float32", "tf32", "bfloat16", "float64"):
        if precision == "tf32" and stage.device == "cpu":
            continue
        stacks = _stacks(configs, stage.device, precision)
        others = {
            "products": _products(config, runs, stage.device, precision),
            "plain loop of one run, float32": _plain_loop(config, stage.device),
        }
        yield f"stack of {runs}, {precision}", _time({**stacks, **others}, precision, stage)
    for network in settings.NETWORKS:
        named = _of_paper2(network, stage.size, seeds=3)
        configs = [one.config for one in named if one.config.data.train_fraction == 0.5]
        stacks = _stacks(configs, stage.device, "float32")
        yield f"{network} of the second paper, stack of 3", _time(stacks, "float32", stage)


def fig3a(stage: Stage) -> Iterable[tuple[str, Any]]:
    """The phase diagram of the first paper's Fig. 3a, one seed after another."""
    preset, size = presets.get("fig3a"), PRESET_SIZE[stage.size]
    done: list[xr.Dataset] = []
    took = 0.0
    for seed in range(3):
        started = time.monotonic()
        if done and stage.left < 1.1 * took:
            return
        with contextlib.suppress(_OutOfTime):
            gi.sweep(
                preset.config(size),
                preset.axes(size),
                seeds=[seed],
                measure=MEASURES,
                store=stage.out / f"fig3a-{seed}",
                device=stage.device,
                precision="bfloat16",
                callbacks=[_TimeLimit(stage)],
                progress=False,
            )
        took = time.monotonic() - started
        done.append(gi.open_sweep(stage.out / f"fig3a-{seed}").load())
        whole = xr.concat(done, "seed", combine_attrs="drop_conflicts")
        found = sweep_phases.compute(whole)
        kept = xr.merge(
            [
                whole[["final_accuracy", "diverged_at", "mean_ipr", "dead_share", "done"]],
                found[["phase"]],
            ]
        )
        kept.attrs = {}
        stage.save(kept, "fig3a.nc")
        yield (
            f"seed {seed}",
            {
                "runs": int(whole.done.sum()),
                "seconds": took,
                "phases": {
                    str(name): int((found.phase == name).sum()) for name in sweep_phases.NAMES
                },
            },
        )


def paper2(stage: Stage) -> Iterable[tuple[str, Any]]:
    """The transformer of the second paper's Fig. 1 at its published length, all runs as a stack."""
    end = time.monotonic() + stage.left
    for seeds in (3, 1):  # as many as there is time for
        named = _of_paper2("transformer", stage.size, seeds)
        configs = [one.config for one in named]
        steps = configs[0].training.steps
        step_ms = _time(_stacks(configs, stage.device, "float32"), "float32", stage)["stack"]
        yield f"step of {len(configs)} runs, ms", step_ms
        if 1.1 * step_ms * steps / 1e3 < stage.left:
            break
    started = time.monotonic()
    resources = Resources(device=stage.device)
    runs = dict(train_each(configs, resources, stop=lambda: time.monotonic() > end))
    rows = ["train_accuracy", "test_accuracy", "train_loss", "test_loss"]
    curves = [
        runs[i].history[rows].expand_dims(run=[one.folder])
        for i, one in enumerate(named)
        if i in runs
    ]
    stage.save(xr.concat(curves, "run", join="outer"), "paper2.nc")
    accuracies = [[round(float(run[-1]), 4) for run in curve.test_accuracy] for curve in curves]
    yield (
        "transformer",
        {
            "runs": len(runs),
            "steps": min(run.interrupted_at or steps for run in runs.values()),
            "of": steps,
            "seconds": time.monotonic() - started,
            "test accuracy": {
                one.folder: last for one, [last] in zip(named, accuracies, strict=True)
            },
        },
    )


STAGES: dict[str, Callable[[Stage], Iterable[tuple[str, Any]]]] = {
    "parity": parity,
    "timings": timings,
    "paper2": paper2,
    "fig3a": fig3a,
}


def _of_paper2(network: str, size: str, seeds: int) -> list[Named]:
    model = settings.network(network, PAPER2_SIZE[size]).model
    return [one for one in wanted(PAPER2_SIZE[size], seeds) if one.config.model == model]


class _OutOfTime(Exception):
    pass


class _TimeLimit(Callback):
    """Ends a sweep after the block in which the stage's time was up."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def on_step(self, updates: int) -> None:
        if self._stage.left < 0:
            raise _OutOfTime


def _stacks(
    configs: Sequence[gi.RunConfig], device: str, precision: str
) -> dict[str, Callable[[], object]]:
    """The step of a stack; on CUDA also without its graph."""
    resources = Resources(device=device, precision=precision, threads=1)
    team = Team(1)
    with own_session():
        stacks = {"stack": Stack(configs, resources, team)}
        if device != "cpu":
            stacks["stack without graph"] = Stack(configs, resources, team, replayed=False)
    return {name: stack.step for name, stack in stacks.items()}


def _products(config: gi.RunConfig, runs: int, device: str, precision: str) -> Callable[[], object]:
    """Forward, and backward to the output weights and to the activations, of all runs."""
    n, width, p = config.data.n_train, config.model.d_mlp, config.data.p
    rng = torch.Generator(device).manual_seed(0)
    post, logits, W_U = (
        torch.randn(runs, *shape, generator=rng, device=device).to(PRECISIONS[precision][1])
        for shape in ((n, width), (n, p), (width, p))
    )
    out, grad_W, grad_post = (torch.empty_like(x) for x in (logits, W_U, post))

    def three() -> None:
        torch.bmm(post, W_U, out=out)
        torch.bmm(post.mT, logits, out=grad_W)
        torch.bmm(logits, W_U.mT, out=grad_post)

    return three


def _plain_loop(config: gi.RunConfig, device: str) -> Callable[[], object]:
    """One run as everyone writes it, in float32."""
    data, p, width = gi.make_dataset(config.data), config.data.p, config.model.d_mlp
    one_hot = F.one_hot(data.tokens[data.is_train], p).flatten(1).float().to(device)
    target = F.one_hot(data.labels[data.is_train], p).float().to(device)
    first = torch.nn.Linear(2 * p, width, bias=False, device=device)
    second = torch.nn.Linear(width, p, bias=False, device=device)
    weights = [*first.parameters(), *second.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.98), weight_decay=0.0)

    def step() -> None:
        with torch.enable_grad():
            optimizer.zero_grad()
            F.mse_loss(second(first(one_hot) ** 2), target).backward()
            optimizer.step()

    return step


def _time(
    subjects: Mapping[str, Callable[[], object]], precision: str, stage: Stage, burst: int = 10
) -> dict[str, float]:
    wait = torch.cuda.synchronize if stage.device != "cpu" else (lambda: None)
    times: dict[str, list[float]] = {name: [] for name in subjects}
    with own_session("high" if precision == "tf32" else "highest"):
        for round_, (name, subject) in itertools.product(range(ROUNDS + 1), subjects.items()):
            if stage.left < 0:
                break
            wait()
            started = time.perf_counter()
            for _ in range(burst):
                subject()
            wait()
            if round_:  # the first is for warming up
                times[name].append((time.perf_counter() - started) / burst * 1e3)
    return {name: statistics.median(taken) for name, taken in times.items() if taken}


def _about(args: argparse.Namespace) -> dict[str, Any]:
    made = provenance(device=args.device, precision="", wall_time_s=0.0, stack_size=0)
    about: dict[str, Any] = {"device": args.device}
    if args.device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        about = {"device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
    about |= {"cuda": torch.version.cuda, "size": args.size}
    return about | {name: made[name] for name in ("created", "versions")}


def main() -> None:
    """Run the stages and write what they give."""
    parser = argparse.ArgumentParser(description="Parity, speed and two experiments on a GPU")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=RUNS, default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES])
    parser.add_argument("--time", type=float, default=1.0, help="factor on every stage's time")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"about": _about(args)}
    end = time.monotonic()
    for name in args.stages:
        end += BUDGET[name] * args.time  # what one stage leaves is the next one's
        started, found = time.monotonic(), results.setdefault(name, {})
        own = started + BUDGET[name] * args.time
        stage = Stage(args, end if name == args.stages[-1] else own)

        def write(found: dict[str, Any], started: float) -> None:
            found["seconds"] = round(time.monotonic() - started, 1)
            (args.out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")

        try:
            for key, value in STAGES[name](stage):
                found[key] = value
                print(f"{name}: {key}: {value}", flush=True)
                write(found, started)
        except Exception as error:  # the other stages may still give something
            found["error"] = f"{type(error).__name__}: {error}"
            print(f"{name}: {found['error']}", flush=True)
        write(found, started)


if __name__ == "__main__":
    main()
