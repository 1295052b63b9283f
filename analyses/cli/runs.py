"""Commands for single runs: ``grokinterp demo``, ``train``, and the report of ``analyse``."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyses.cli.options import INTERRUPTED, Changes, Device, Precision, read_values
from analyses.errors import clear_errors
from analyses.options import AsJson, EstimateOnly

if TYPE_CHECKING:
    from grokinterp import Run, RunConfig

_PAPER = {"data": {"corruption": 0.35}}  # where the first paper differs from our defaults
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an existing run")]


def demo(
    out: Annotated[Path, typer.Option(help="folder for the run and report.html")] = Path("demo"),
    weight_decay: Annotated[float, typer.Option(help="try 0, 5, 15 and 20")] = 0.0,
    seed: Annotated[int, typer.Option(help="of split, corruption and weights")] = 0,
    precision: Precision = "float32",
    device: Device = None,
    overwrite: Overwrite = False,
    estimate_only: EstimateOnly = False,
    as_json: AsJson = False,
) -> None:
    """Train the first paper's default network on 35 % corrupted labels and write its report."""
    with clear_errors():
        changes = {"data.seed": seed, "seed": seed, "training.weight_decay": weight_decay}
        config = _read_config(None, None, []).replace(changes)
        if estimate_only:
            _print_estimate(config, precision, device, as_json)
            return
        run = _train_and_save(config, out, precision, device, overwrite, progress=not as_json)
        _report(run, out / "report.html", as_json)


def train(
    out: Annotated[Path, typer.Argument(help="folder for the run")],
    config: Annotated[
        Path | None,
        typer.Option(
            help="a config in JSON, such as the one in a run's run.json; or nanda2023 or zhong2023"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="mlp, embedding_mlp, transformer or lstm; then --set its fields"),
    ] = None,
    change: Changes = None,
    checkpoints: Annotated[
        int,
        typer.Option(
            min=0, help="networks to keep on the way, evenly spaced, for analyses over training"
        ),
    ] = 0,
    precision: Precision = "float32",
    device: Device = None,
    overwrite: Overwrite = False,
    estimate_only: EstimateOnly = False,
    as_json: AsJson = False,
) -> None:
    """Train one run and save it; ``grokinterp analyse`` then makes its report.

    The default is the first paper's task: addition mod 97, trained on half of the pairs, 35 % of
    their labels redrawn (--set data.corruption=0 for none). Ctrl-C saves the run so far, marked as
    unfinished.
    """
    with clear_errors():
        chosen = _read_config(config, model, change or [])
        if estimate_only:
            _print_estimate(chosen, precision, device, as_json)
            return
        run = _train_and_save(
            chosen, out, precision, device, overwrite, progress=not as_json, kept=checkpoints
        )
    if as_json:
        typer.echo(json.dumps({"run": str(out), "config": chosen.to_dict()}))
    else:
        typer.echo(f"run: {out}, {_task(run)}")


def report(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN", help="folder of a saved run")],
    out: Annotated[Path | None, typer.Option(help="the HTML file; RUN/report.html")] = None,
    explorer: Annotated[
        bool | None,
        typer.Option(help="also write the explorer, for the report's button; by default of an MLP"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a saved run and print its summary."""
    from grokinterp import Run

    with clear_errors():
        run_dir, *others = run_dirs
        if others:
            raise ValueError(
                f"the report takes one run folder, got {len(run_dirs)}; name an analysis that "
                "takes several, such as phases (grokinterp analyse --list)"
            )
        run = Run.load(run_dir)
        if not run.history.sizes["step"]:
            raise ValueError(f"{run_dir} {run.ending}, so there is nothing to report")
        _report(run, out or run_dir / "report.html", as_json, explorer=explorer)


def _task(run: "Run") -> str:
    data = run.config.data
    operation = getattr(data.operation, "name", data.operation)
    return (
        f"{operation} mod {data.p}, {run.dataset.is_changed.sum()} of {data.n_train} training "
        f"labels wrong, {run.ending}"
    )


def _print_estimate(config: "RunConfig", precision: str, device: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from grokinterp.sweeps.estimate import estimate
    from grokinterp.training.resources import Resources

    resources = Resources(precision=precision, device=device)
    left = estimate([config], per_block=1, resources=resources)
    if as_json:
        typer.echo(json.dumps(asdict(left)))
    else:
        typer.echo(f"1 run to train, {left.steps} steps; time in all: {left}")


def _train_and_save(
    config: "RunConfig",
    out: Path,
    precision: str,
    device: str | None,
    overwrite: bool,
    *,
    progress: bool,
    kept: int = 0,
) -> "Run":
    from analyses.one_run.grokking import PROBES
    from analyses.one_run.stored_networks import evenly_spaced
    from analyses.one_run.summary import has_one_layer
    from grokinterp import TrainingInterrupted, build_model, train
    from grokinterp.runs.folder import check_free

    check_free(out, overwrite=overwrite)  # before minutes of training, not after
    probes = PROBES if has_one_layer(build_model(config)) else None
    try:
        run = train(
            config,
            precision=precision,
            device=device,
            probes=probes,
            progress=progress,
            checkpoints=evenly_spaced(config.training.steps, kept),
        )
    except TrainingInterrupted as stopped:
        (partial,) = stopped.runs
        what = "there is nothing to save"
        if partial is not None:
            what = f"saved to {_save(partial, _beside(out), overwrite=True)}: {partial.ending}"
        typer.echo(f"Interrupted; {what}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _save(run, out, overwrite=overwrite)
    on_the_way = {point.step for point in run.checkpoints.values()} - {config.training.steps}
    if progress and len(on_the_way) < kept:
        typer.echo(
            f"{len(on_the_way)} of {kept} checkpoints lie on the way: they are of evaluated steps; "
            "for more, --set a smaller training.eval_every",
            err=True,
        )
    return run


def _beside(out: Path) -> Path:
    """The folder for an unfinished run; it never replaces a finished one."""
    from grokinterp.runs.folder import holds_run

    whole = out.expanduser().resolve()
    return whole.with_name(f"{whole.name}-unfinished") if holds_run(out) else out


def _save(run: "Run", out: Path, *, overwrite: bool) -> Path:
    """Save a run; if ``out`` fails, to a temporary folder, as training may have taken hours."""
    from grokinterp import RunFolderError
    from grokinterp.training.interrupt import Interrupt

    with Interrupt():  # a second Ctrl-C must not lose the run
        try:
            return run.save(out, overwrite=overwrite)
        except RunFolderError as error:
            rescued = Path(tempfile.mkdtemp(prefix="grokinterp-"))
            run.save(rescued)
            raise RunFolderError(f"{error}. The run is in {rescued} instead; move it") from error


def _report(run: "Run", out: Path, as_json: bool, *, explorer: bool | None = None) -> None:
    from rich.console import Console
    from rich.table import Table

    from analyses.one_run.summary import table_rows
    from analyses.pages.report import write_report

    summary = write_report(run, out, explorer=explorer, progress=not as_json)
    if as_json:
        typer.echo(json.dumps(summary | {"report": str(out)}, indent=2))
        return
    table = Table(show_header=False, box=None, padding=(0, 3, 0, 0))
    for name, value in table_rows(summary):
        table.add_row(name, value)
    Console().print(table)
    typer.echo(f"report: {out}")


def _read_config(file: Path | None, model: str | None, changes: list[str]) -> "RunConfig":
    from grokinterp import RunConfig
    from grokinterp.json_files import read_json

    published = {"nanda2023": RunConfig.nanda2023, "zhong2023": RunConfig.zhong2023}
    if file is not None and str(file) in published and not file.exists():
        plain = published[str(file)]().to_dict()
    else:
        plain = _PAPER if file is None else read_json(file)
    if isinstance(plain, dict):
        plain = plain.get("config", plain)  # a run.json holds its config under this name
    if not isinstance(plain, dict):
        raise ValueError(f"--config {file} must hold a JSON object, got {plain!r:.80}")
    given = plain.get("model", {})
    if model is not None and isinstance(given, dict):  # else from_dict says what is wrong
        if given.get("kind", model) != model:
            raise ValueError(
                f"--model {model} contradicts --config {file}, which has {given['kind']!r:.80}"
            )
        plain = plain | {"model": {"kind": model} | given}
    return RunConfig.from_dict(plain).replace(read_values("--set", changes))
