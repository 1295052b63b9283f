"""What must hold of a case at every stage, from its configs to its probes and hooks."""

import copy
import json
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

import grokinterp as gi
from analyses.one_run import phases
from grokinterp.losses import LOSSES
from grokinterp.models.registry import MODELS
from grokinterp.tracking import Callback
from tests.fuzz.draw import CALL, DATA, MODEL, TRAINING, Case
from tests.fuzz.readings import probe_everything, use_hooks
from tests.fuzz.units import use_units
from tests.tolerance import right_answers, rounding

NAMES = {"seed", "base", "axes", "model", "configs", *DATA, *TRAINING, *CALL}
NAMES |= {name for fields in MODEL.values() for name in fields}
OURS = ("/grokinterp/", "/probes/", "/analyses/")
LONGEST_MESSAGE = 2000


class Refused(Exception):
    """A stage refused the case as it should; nothing is left to do."""


@dataclass
class Report:
    """What a case came to."""

    outcome: str = "trained"
    reason: str = ""  # what a refusal said
    findings: list[str] = field(default_factory=list)

    def check(self, holds: object, text: str) -> None:
        """Note a finding unless something holds."""
        if not holds:
            self.findings.append(text)


class Watch(Callback):
    """Knows whether training has begun."""

    begun = False

    def on_evaluation(self, run: int, step: int, metrics: Any) -> None:
        """A row of the history exists."""
        self.begun = self.begun or step > 0


@contextmanager
def refusals(report: Report, stage: str, names: set[str]) -> Iterator[None]:
    """Let a stage refuse with a message that names one of ``names``; anything else is a finding.

    Warnings are findings, too, save the package's own.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            if problem := _problem(error, names):
                report.findings.append(f"{stage}: {problem}: {_short(error)}")
            report.outcome, report.reason = f"refused: {stage}", str(error)[:300]
            raise Refused from error
        finally:
            for warning in caught:
                if not warning.category.__module__.startswith(("grokinterp", "probes", "analyses")):
                    text = f"{warning.category.__name__} {warning.filename}:{warning.lineno}"
                    report.findings.append(f"{stage}: warning {text}: {warning.message}"[:600])


def _problem(error: Exception, names: set[str]) -> str | None:
    if type(error) not in (TypeError, ValueError, gi.SweepStoreError, gi.RunFolderError):
        return "raw error"
    message = str(error)
    if len(message) > LONGEST_MESSAGE:
        return f"message of {len(message)} characters"
    words = set(re.findall(r"\w+", message))
    if not words & names:
        return f"message names none of {sorted(names)[:5]}"
    misspelled = "unexpected keyword" in message
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    if not misspelled and not any(part in last for part in OURS):
        return f"raised in {last}"
    return None


def _short(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}: {str(error)[:300]}"


def examine(case: Case, folder: Path) -> Report:
    """Take a case through everything; ``folder`` is an empty one of its own."""
    report = Report()
    names = NAMES | set(case.odd)  # a misspelled name among them
    try:
        with refusals(report, "construct", names):
            config = construct(case, report)
        with refusals(report, "data", NAMES):
            check_data(gi.make_dataset(config.data), config, report)
        with refusals(report, "build", NAMES):
            check_network(gi.build_model(config), config, report)
        run = train(case, config, report)
        check_run(run, config, report)
        with refusals(report, "save and load", NAMES):
            check_disk(run, folder, report)
        check_starts(run, report)
        agree_in_company(case, run.config, report)
        probe_everything(run, report.findings)
        use_hooks(run, case.number, report.findings)
        use_units(run, case.number, report.findings)
        if case.axes:
            check_sweep(case, run.config, folder, report)
    except Refused:
        pass
    return report


def construct(case: Case, report: Report) -> gi.RunConfig:
    """The config, and that its other forms give it back."""
    config = gi.RunConfig(
        data=gi.DataConfig(**case.data),
        model=MODELS[case.kind].config_class(**case.model),
        training=gi.TrainConfig(**case.training),
        seed=case.seed,
    )
    again = gi.RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    report.check(again == config, f"JSON gives another config: {again}")
    report.check(hash(again) == hash(config), "equal configs have different hashes")
    report.check(config.replace({}) == config, "replace({}) changes the config")
    report.check(copy.deepcopy(config) == config, "a copy is another config")
    return config


def check_data(data: gi.Dataset, config: gi.RunConfig, report: Report) -> None:
    """The split has its sizes, and labels change only where they were selected."""
    wanted, p = config.data, config.data.p
    report.check(int(data.is_train.sum()) == wanted.n_train, "wrong number of training pairs")
    report.check(int(data.is_selected.sum()) == wanted.n_selected, "wrong number of selected pairs")
    report.check(not (data.is_selected & ~data.is_train).any(), "a test pair is selected")
    changed = data.labels != data.clean_labels
    report.check(torch.equal(changed, data.is_changed), "is_changed is not labels != clean_labels")
    report.check(not (changed & ~data.is_selected).any(), "an unselected label changed")
    report.check(0 <= int(data.labels.min()) <= int(data.labels.max()) < p, "labels outside 0..p-1")
    again = gi.make_dataset(wanted)
    report.check(torch.equal(again.labels, data.labels), "the same config gives other labels")


def check_network(model: Any, config: gi.RunConfig, report: Report) -> None:
    """A new network answers, and its seed decides the weights."""
    logits = model.eval()(gi.make_dataset(config.data).tokens)
    report.check(logits.isfinite().all(), "an untrained network's logits are not finite")
    state, again = model.state_dict(), gi.build_model(config).state_dict()
    same = all(torch.equal(state[name], again[name]) for name in state)
    report.check(same, "the same seed gives other weights")


def train(case: Case, config: gi.RunConfig, report: Report) -> gi.Run:
    """One run, trained as the case's call says; the session's state stays as it was."""
    call, watch = dict(case.call), Watch()
    meant = {
        ("probes", "size"): {"size": lambda model: model.W_E.norm()},
        ("checkpoints", "rules"): {"mid": gi.at_step(3), "fit": gi.reached(train_accuracy=0.5)},
    }
    for (name, word), value in meant.items():
        if isinstance(given := call.get(name), str) and given == word:  # an array has no one truth
            call[name] = value
    before = _session()
    try:
        with refusals(report, "train", NAMES):
            run = gi.train_many([config], callbacks=[watch], progress=False, **call)[0]
    except Refused:
        report.check(not watch.begun, "train refused after it had begun")
        raise
    report.check(_session() == before, f"training changed the session: {before} {_session()}")
    return run


def _session() -> tuple[Any, ...]:
    return (
        torch.get_rng_state().sum().item(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_float32_matmul_precision(),
        str(np.random.get_state()),  # noqa: NPY002
    )


def check_run(run: gi.Run, config: gi.RunConfig, report: Report) -> None:
    """The history has the rows that were asked for, and its last one is that of the network."""
    history, data, steps = run.history, run.dataset, config.training.evaluated_steps
    report.check(run.config == config, "the run has another config")
    if run.diverged_at is not None:
        report.outcome = "diverged"
        steps = tuple(step for step in steps if step < run.diverged_at)
    report.check(tuple(history.step.values) == steps, f"rows at {history.step.values}, not {steps}")
    for subset, mask in data.masks.items():
        values = np.stack([history[f"{subset}_loss"], history[f"{subset}_accuracy"]])
        known = np.isfinite(values).all() if mask.any() else np.isnan(values).all()
        report.check(known, f"{subset} losses or accuracies are not finite")
    phases.classify(run)
    if run.diverged_at is not None:
        return
    with torch.no_grad():
        logits = run.model(data.tokens)
    report.check(logits.isfinite().all(), "logits of a run that has not diverged are not finite")
    check_last_row(run, logits.double(), report)


def check_last_row(run: gi.Run, logits: Tensor, report: Report) -> None:
    """Losses and accuracies of the last row, computed again from the network's logits."""
    last, config = run.history.isel(step=-1), run.config
    precision = run.provenance["precision"]
    dtype = {"bfloat16": torch.bfloat16, "float64": torch.float64}.get(precision, torch.float32)
    largest = max(1.0, logits.abs().max().item())
    loss = LOSSES[config.training.loss].per_example(logits, run.dataset.labels)
    # 40 + 121 terms: the sums of a small network and the mean over pairs; twice the logit's gap
    # times the largest derivative of a loss, 2 |logit| at most
    gap = rounding(dtype, 400, largest)
    for subset, mask in run.dataset.masks.items():
        if mask.any():
            mean, noted = loss[mask].mean().item(), float(last[f"{subset}_loss"])
            near = abs(mean - noted) <= gap * 4 * largest
            report.check(near, f"{subset}_loss {noted}, but its network's is {mean}")
            low, high = right_answers(logits[mask], run.dataset.labels[mask], gap)
            share = float(last[f"{subset}_accuracy"])
            report.check(
                low - 1e-9 <= share <= high + 1e-9,
                f"{subset}_accuracy {share}, its network's {low}..{high}",
            )


def check_disk(run: gi.Run, folder: Path, report: Report) -> None:
    """What was saved comes back, to the bit."""
    back = gi.Run.load(run.save(folder / "run"))
    report.check(back.config == run.config, "load gives another config")
    report.check(back.history.identical(run.history), "load gives another history")
    report.check(back.diverged_at == run.diverged_at, "load gives another diverged_at")
    states = [(run.model.state_dict(), back.model.state_dict())]
    for name, kept in run.checkpoints.items():
        states.append((dict(kept.tensors()), dict(back.checkpoints[name].tensors())))
    run.model.save_pretrained(folder / "model")
    states.append((states[0][0], type(run.model).from_pretrained(folder / "model").state_dict()))
    for ours, theirs in states:
        same = ours.keys() == theirs.keys() and all(
            torch.equal(ours[name].nan_to_num(), theirs[name].nan_to_num()) for name in ours
        )
        report.check(same, "load gives other weights")
    with torch.no_grad():
        logits = [model(run.dataset.tokens).nan_to_num() for model in (run.model, back.model)]
    report.check(torch.equal(*logits), "load gives other logits")


def check_starts(run: gi.Run, report: Report) -> None:
    """Training from a checkpoint begins at its network."""
    if run.diverged_at is not None:
        return
    starts = [run.checkpoint(), *(kept for kept in run.checkpoints.values())]
    config = run.config.replace({"training.steps": 1})
    with refusals(report, "start", NAMES):
        runs = gi.train_many([config] * len(starts), start=starts, device="cpu", progress=False)
    for start, rest in zip(starts, runs, strict=True):
        loss, begun = start.metrics["train_loss"], float(rest.history.train_loss[0])
        coarse = run.provenance["precision"] == "bfloat16"
        near = abs(loss - begun) <= (0.1 if coarse else 1e-4) * max(1e-3, abs(loss))
        report.check(near, f"starts at a loss of {begun} from a checkpoint's {loss}")


def agree_in_company(case: Case, config: gi.RunConfig, report: Report) -> None:
    """The same run alone, in a stack and on two threads; in float64, where rounding is small."""
    others = [
        config.replace({"seed": 3}),
        config.replace({"training.lr": 0.7 * config.training.lr}),
    ]
    runs = []
    for configs, threads in (([config], 1), ([config], 2), ([others[0], config, others[1]], 2)):
        with refusals(report, "train in float64", NAMES):
            found = gi.train_many(
                configs, threads=threads, precision="float64", device="cpu", progress=False
            )
            runs.append(found[len(configs) // 2])
    report.check(len({run.diverged_at for run in runs}) == 1, "diverges only in company or alone")
    if any(run.diverged_at is not None for run in runs):
        return
    first = runs[0].history
    for run, where in zip(runs[1:], ("on two threads", "in a stack"), strict=True):
        for name in ("train_loss", "test_loss"):
            gap = float(np.abs(run.history[name] - first[name]).max())
            scale = float(np.abs(first[name]).max())
            report.check(gap <= 1e-6 * scale, f"{name} differs by {gap} of {scale} {where}")


def check_sweep(case: Case, config: gi.RunConfig, folder: Path, report: Report) -> None:
    """A sweep's cell is the run alone; its store opens, and a second call trains nothing."""
    options: dict[str, Any] = {
        "store": folder / "sweep.zarr",
        "device": "cpu",
        "precision": "float64",
        "progress": False,
    }
    assert case.axes is not None
    with refusals(report, "sweep", NAMES | set(case.axes)):
        result = gi.sweep(config, case.axes, seeds=[4, 5], **options).load()
        opened = gi.open_sweep(options["store"]).load()
        again = gi.sweep(config, case.axes, seeds=[4, 5], **options).load()
    report.check(bool(result.done.all()), "a finished sweep is not done")
    for other, name in ((opened, "open_sweep"), (again, "the second call")):
        try:
            xr.testing.assert_equal(other, result)
        except AssertionError as error:
            report.findings.append(f"{name} gives another dataset: {str(error)[:300]}")
    corner = {path: values[0] for path, values in case.axes.items()}
    seeds: dict[str, Any] = {"seed": 5}
    protocol = corner.get("data.protocol", config.data.protocol)
    if protocol != "published" and "data.seed" not in corner:
        seeds["data.seed"] = 5
    with refusals(report, "train a cell", NAMES):
        cell = config.replace(seeds | corner)
        alone = gi.train(cell, precision="float64", device="cpu", progress=False)
    if alone.diverged_at is None:
        got = float(result.final_loss.isel(dict.fromkeys(corner, 0)).sel(seed=5, subset="train"))
        want = float(alone.history.train_loss[-1])
        report.check(abs(got - want) <= 1e-6 * abs(want), f"a cell has loss {got}, alone {want}")
