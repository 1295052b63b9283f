"""Commands for single runs: ``grokinterp demo``, ``train`` and ``analyse``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyses.cli.options import AsJson, Changes, Device, Precision, read_values
from analyses.errors import clear_errors

if TYPE_CHECKING:
    from grokinterp import Run, RunConfig

Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace a run that is there")]


def demo(
    out: Annotated[Path, typer.Option(help="folder for the run and report.html")] = Path("demo"),
    weight_decay: Annotated[float, typer.Option(help="try 0, 5, 15 and 20")] = 0.0,
    seed: Annotated[int, typer.Option(help="draws split, corruption and weights")] = 0,
    precision: Precision = "float32",
    device: Device = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train the first paper's default network on 35 % corrupted labels and take it apart."""
    with clear_errors():
        import grokinterp as gi

        config = gi.RunConfig(
            data=gi.DataConfig(corruption=0.35, seed=seed),
            training=gi.TrainConfig(weight_decay=weight_decay),
            seed=seed,
        )
        run = _train_and_save(config, out, precision, device, overwrite, progress=not as_json)
    _report(run, out / "report.html", as_json)


def train(
    out: Annotated[Path, typer.Argument(help="folder for the run")],
    config: Annotated[
        Path | None, typer.Option(help="a config in JSON, such as the one in a run's run.json")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="mlp, embedding_mlp, transformer or lstm; then --set its fields"),
    ] = None,
    change: Changes = None,
    precision: Precision = "float32",
    device: Device = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train one run and save it; ``grokinterp analyse`` then makes its report."""
    with clear_errors():
        chosen = _read_config(config, model, change or [])
        _train_and_save(chosen, out, precision, device, overwrite, progress=not as_json)
    if as_json:
        typer.echo(json.dumps({"run": str(out), "config": chosen.to_dict()}))
    else:
        typer.echo(f"run: {out}")


def analyse(
    run_dir: Annotated[Path, typer.Argument(help="folder of a saved run")],
    out: Annotated[Path | None, typer.Option(help="the HTML file; RUN_DIR/report.html")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a saved run and print its summary."""
    from grokinterp import Run

    with clear_errors():
        run = Run.load(run_dir)
        if not _has_report(run.config):
            raise ValueError(
                f"the report needs an MLP with one hidden layer and no norm, {run_dir} has "
                f"{run.config.model}; python -m analyses.training_curves and "
                "python -m analyses.hypothesis work for any run"
            )
    _report(run, out or run_dir / "report.html", as_json)


def _train_and_save(
    config: "RunConfig",
    out: Path,
    precision: str,
    device: str | None,
    overwrite: bool,
    *,
    progress: bool,
) -> "Run":
    from analyses.grokking import PROBES
    from grokinterp import train
    from grokinterp.runs import check_free

    check_free(out, overwrite=overwrite)  # before minutes of training, not after
    probes = PROBES if _has_report(config) else None
    run = train(config, precision=precision, device=device, probes=probes, progress=progress)
    run.save(out, overwrite=overwrite)
    return run


def _has_report(config: "RunConfig") -> bool:
    """Whether the network has neurons with one input and one output vector each."""
    from grokinterp import MLPConfig

    model = config.model
    return isinstance(model, MLPConfig) and model.n_layers == 1 and model.norm is None


def _report(run: "Run", out: Path, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from analyses.report import write_report
    from analyses.summary import table_rows

    summary = write_report(run, out)
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

    plain: dict[str, Any] = {}
    if file is not None:
        try:
            plain = json.loads(file.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"--config {file} is no JSON: {error}") from None
        if not isinstance(plain, dict):
            raise ValueError(f"--config {file} must hold a JSON object, got {plain!r}")
        plain = plain.get("config", plain)  # a run.json holds its config under this name
    if model is not None:
        here = plain.get("model", {}).get("kind", model)
        if here != model:
            raise ValueError(f"--model {model} contradicts --config {file}, which has {here}")
        plain["model"] = {"kind": model} | plain.get("model", {})
    return RunConfig.from_dict(plain).replace(read_values("--set", changes))
