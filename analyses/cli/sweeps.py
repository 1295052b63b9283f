"""``grokinterp sweep``: train a phase diagram of the paper and write its page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyses.cli.diagrams import print_diagram
from analyses.cli.options import INTERRUPTED, Changes, Device, Precision, read_values
from analyses.errors import clear_errors
from analyses.options import AsJson, EstimateOnly

if TYPE_CHECKING:
    from analyses.phase_diagrams.presets import Preset
    from analyses.phase_diagrams.sweep_job import SweepJob
    from grokinterp.sweeps.estimate import Duration

# What of the plan goes to summary.json; the estimate is of no use afterwards.
_LASTING = ("preset", "size", "sweep", "axes", "runs", "adaptive", "precision", "config")


def sweep(
    preset: Annotated[str | None, typer.Argument(help="such as fig3a; --list shows all")] = None,
    list_presets: Annotated[bool, typer.Option("--list", help="list the presets")] = False,
    size: Annotated[
        str,
        typer.Option(help="tiny (seconds), coarse (5 x 5 cells), small (9 x 10), full (17 x 19)"),
    ] = "small",
    out: Annotated[
        Path | None, typer.Option(help="folder for sweep.zarr, diagram.html and summary.json")
    ] = None,
    seeds: Annotated[int, typer.Option(help="runs per cell")] = 1,
    workers: Annotated[
        int, typer.Option(help="processes; with 1, this one trains with all threads")
    ] = 1,
    precision: Precision = "float32",
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume the sweep in --out")] = False,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="train where phases meet, infer the rest")
    ] = False,
    panels: Annotated[
        str | None, typer.Option(metavar="V1,V2,...", help="values of the panels, such as 0,5")
    ] = None,
    change: Changes = None,
    per_neuron: Annotated[
        bool, typer.Option("--per-neuron", help="keep the IPR of every neuron, not only the mean")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(min=1, help="runs trained and stored together; a crash loses at most these"),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(help="such as '4 GiB'; by default half of the free memory"),
    ] = None,
    estimate_only: EstimateOnly = False,
    as_json: AsJson = False,
) -> None:
    """Train a phase diagram of the paper and draw it.

    After an interrupt, the same command with --resume continues.
    """
    if list_presets:
        _print_list(as_json)
        return
    from grokinterp.training.resources import Resources

    with clear_errors():
        options: dict[str, Any] = {"seeds": seeds, "workers": workers, "chunk": chunk}
        options |= {"adaptive": adaptive, "per_neuron": per_neuron}
        resources = Resources(precision=precision, device=device, memory_limit=memory_limit)
        job, folder, chosen = _settle(
            preset, size, out, panels, change, resources=resources, **options
        )
        if job.store.exists() and not (resume or estimate_only):
            raise ValueError(
                f"{folder} already holds a sweep; resume it with --resume or choose another folder "
                "with --out"
            )
        plan = _plan(preset or "", size, job, job.estimate())
        if not as_json:
            _print_plan(plan, chosen)
        elif estimate_only:
            typer.echo(json.dumps(plan, indent=2))
    if estimate_only:
        return
    with clear_errors():
        try:
            job.run(progress=not as_json)
        except KeyboardInterrupt:
            _print_interrupted(job)
            raise typer.Exit(INTERRUPTED) from None
        summary = _draw(job, folder, chosen, plan)
    print_diagram(summary, folder / "diagram.html", as_json)


def _settle(
    name: str | None,
    size: str,
    out: Path | None,
    panels: str | None,
    change: list[str] | None,
    **options: Any,
) -> "tuple[SweepJob, Path, Preset]":
    from analyses.phase_diagrams import diagram_page, presets
    from analyses.phase_diagrams.sweep_job import SweepJob, settle

    if name is None:
        raise ValueError(f"name a preset, or --list them: {', '.join(sorted(presets.PRESETS))}")
    chosen = presets.get(name)
    base, axes = settle(
        chosen,
        size,
        changes=read_values("--set", change or []),
        values=None if panels is None else _numbers(panels),
    )
    folder = out or Path("sweeps") / f"{name}-{size}"
    job = SweepJob(base=base, axes=axes, store=folder / diagram_page.STORE, **options)
    return job, folder, chosen


def _numbers(text: str) -> list[float]:
    from grokinterp.short_text import short

    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        raise ValueError(f"--panels needs numbers separated by commas, got {short(text)}") from None


def _plan(name: str, size: str, job: "SweepJob", estimate: "Duration") -> dict[str, Any]:
    return {
        "preset": name,
        "size": size,
        "sweep": str(job.store),
        "axes": {path: list(values) for path, values in job.axes.items()},
        "runs": job.grid.size,
        "left": estimate.runs,
        "steps": estimate.steps,
        "seconds_estimated": round(estimate.seconds, 1),
        "adaptive": job.adaptive,
        "device": str(job.resources.place),
        "precision": job.resources.precision,
        "workers": job.workers,
        "config": job.base.to_dict(),
    }


def _print_plan(plan: dict[str, Any], preset: "Preset") -> None:
    from analyses.phase_diagrams.panels import axis_label, value_label
    from grokinterp.sweeps.estimate import in_words

    typer.echo(f"{_heading(plan, preset)}. {preset.description}")
    panel, *cells = plan["axes"]
    values = ", ".join(value_label(value) for value in plan["axes"][panel])
    grid = " x ".join(str(len(plan["axes"][path])) for path in cells)
    kept = plan["runs"] - plan["left"]
    typer.echo(f"{axis_label(panel)} {values}; {grid} cells each")
    typer.echo(
        f"{plan['runs']} runs of {plan['config']['training']['steps']} steps"
        + (f", {kept} of them done" if kept else "")
        + f"; {plan['device']}, {plan['precision']}, "
        + ("1 process" if plan["workers"] == 1 else f"{plan['workers']} processes")
    )
    most = "at most " if plan["adaptive"] else ""
    about = " (all cells; usually a third or half of them are trained)" if most else ""
    if plan["left"]:
        typer.echo(f"time: {most}{in_words(plan['seconds_estimated'])}{about}")
    else:
        typer.echo("nothing is left to train")


def _print_interrupted(job: "SweepJob") -> None:
    done = int(job.done.sum()) if job.store.exists() else 0
    typer.echo(
        f"\nInterrupted; {done} of {job.grid.size} runs are stored in {job.store}. The same "
        "command with --resume continues; grokinterp diagram draws the stored runs.",
        err=True,
    )


def _heading(plan: dict[str, Any], preset: "Preset") -> str:
    return f"{preset.figure} ({plan['preset']}, {plan['size']})"


def _draw(job: "SweepJob", folder: Path, preset: "Preset", plan: dict[str, Any]) -> dict[str, Any]:
    """Write diagram.html and summary.json; return the latter."""
    from analyses.phase_diagrams import diagram_page
    from grokinterp import open_sweep
    from grokinterp.files import replacing

    stored = open_sweep(job.store)
    phases = diagram_page.phases_of(stored, job.refinement)
    intro = f"{preset.description} {diagram_page.describe(stored)}"
    page = folder / "diagram.html"
    found = diagram_page.write_diagram(phases, page, heading=_heading(plan, preset), intro=intro)
    lasting = {name: plan[name] for name in _LASTING}
    summary = lasting | {"trained": int(stored.done.sum()), "diagram": str(page)} | found
    with replacing(folder / "summary.json") as file:
        file.write_text(json.dumps(summary, indent=2), encoding="utf-8")
    return summary


def _print_list(as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from analyses.phase_diagrams.presets import PRESETS, SIZES

    if as_json:
        typer.echo(
            json.dumps({name: p.figure + ": " + p.description for name, p in PRESETS.items()})
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, preset in PRESETS.items():
        table.add_row(name, preset.figure, preset.description)
    Console().print(table)
    for name, size in SIZES.items():
        typer.echo(f"--size {name}: {size.what}")
