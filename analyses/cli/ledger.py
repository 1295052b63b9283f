"""``grokinterp ledger``: every published number next to ours; ``ledger run`` computes ours."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from analyses.errors import clear_errors
from analyses.options import AsJson

Paper = Annotated[int | None, typer.Option(min=1, max=2, help="1 or 2; by default both")]
Figure = Annotated[str | None, typer.Option(help="such as fig1a, or the id of an entry")]
Tier = Annotated[str | None, typer.Option(help="quick (minutes), cpu (hours) or gpu")]
Results = Annotated[
    Path | None, typer.Option(help="folder of the results; by default those of the package")
]

ledger = typer.Typer(invoke_without_command=True)


@ledger.callback()
def show(
    context: typer.Context,
    paper: Paper = None,
    figure: Figure = None,
    tier: Tier = None,
    results: Results = None,
    markdown: Annotated[
        Path | None, typer.Option(help="write the page of the documentation instead of printing it")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="fail unless this page is what --markdown would write")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print every published number next to ours: PASS, FAIL, DIFFERS or OPEN."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        from analyses.ledger import catalogue, table
        from analyses.ledger.results import FOLDER, Result
        from analyses.ledger.verdicts import counts, loaded, rows_of

        if as_json and not (markdown is None and check is None):
            raise ValueError("--json prints to the terminal; leave out --markdown and --check")
        if results is not None and not results.is_dir():
            raise ValueError(f"{results} is no folder; give one of results, or leave out --results")
        if check is not None and not check.is_file():
            raise ValueError(f"{check} does not exist; write it with --markdown {check}")
        chosen = catalogue.choose(catalogue.entries(), paper=paper, figure=figure, tier=tier)
        stored = loaded(chosen, results or FOLDER)
        found = [row for entry in chosen for row in rows_of(entry, stored[entry.source.name])]
        valid = {name: one for name, one in stored.items() if isinstance(one, Result)}
        seconds = {name: one.about["seconds"] for name, one in valid.items()}
        if markdown is not None:
            from grokinterp.files import replacing

            with replacing(markdown) as file:
                file.write_text(table.markdown(found, chosen, seconds), encoding="utf-8")
            typer.echo(table.in_words(found))
        elif check is not None:
            if check.read_text(encoding="utf-8") != table.markdown(found, chosen, seconds):
                raise ValueError(
                    f"{check} is out of date; write it with: grokinterp ledger --markdown {check}"
                )
            typer.echo(f"{check} is up to date: {table.in_words(found)}")
        elif as_json:
            told = {"counts": counts(found), "rows": [asdict(row) for row in found]}
            typer.echo(json.dumps(told, indent=2))
        else:
            table.print_table(found)
            typer.echo(table.in_words(found))


@ledger.command()
def run(
    paper: Paper = None,
    figure: Figure = None,
    tier: Tier = None,
    resume: Annotated[
        bool, typer.Option("--resume/--again", help="keep valid results, or compute them again")
    ] = True,
    within: Annotated[
        str | None, typer.Option(help="the time there is, such as 10m, 8h or 2d")
    ] = None,
    results: Results = None,
    work: Annotated[Path, typer.Option(help="folder for the networks of experiments")] = Path(
        "ledger-runs"
    ),
    processes: Annotated[
        int,
        typer.Option(min=1, help="how many to compute at once; small networks leave cores idle"),
    ] = 1,
    no_worse_than: Annotated[
        Path | None,
        typer.Option(help="folder of other results: fail if a verdict is worse than theirs"),
    ] = None,
) -> None:
    """Compute what has no valid result. It may be killed at any moment; run it again to go on.

    What needs a GPU is left OPEN unless torch sees one, or --tier gpu asks for it.
    """
    with clear_errors():
        from analyses.ledger import catalogue, table
        from analyses.ledger.results import FOLDER
        from analyses.ledger.running import plan, run_all
        from analyses.ledger.verdicts import rows, worse

        begin, minutes = time.monotonic(), None if within is None else _minutes(within)
        chosen = catalogue.choose(catalogue.entries(), paper=paper, figure=figure, tier=tier)
        folder, gpu = results or FOLDER, tier == "gpu" or _has_gpu()
        before = [] if no_worse_than is None else list(rows(chosen, no_worse_than))
        todo = plan(chosen, folder, minutes=minutes, again=not resume, gpu=gpu)
        typer.echo(str(todo))
        until = None if minutes is None else begin + 60 * minutes
        every = catalogue.entries()
        options = {"say": typer.echo, "until": until, "processes": processes}
        done = run_all(todo.run, folder, work, entries=every, **options)
        for source in done.late:
            typer.echo(f"stays OPEN: {source.name}, the time was over")
        found = list(rows(chosen, folder))
        for row in found:
            if row.verdict == "FAIL":
                typer.echo(f"FAIL  {row.figure}  {row.quantity}: {row.theirs}, ours {row.ours}")
        typer.echo(table.in_words(found))
        for fault in done.faults:
            typer.echo(f"Error: {fault}", err=True)
        fallen = list(worse(before, found))
        for old, row in fallen:
            now = f"{row.verdict}, ours {row.ours}, {row.note}"
            typer.echo(f"Error: {row.entry}, {row.quantity}: {old.verdict}, now {now}", err=True)
        if done.faults or fallen:
            raise typer.Exit(1)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _minutes(text: str) -> float:
    units = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"within must be a time such as 90s, 10m, 8h or 2d, got {text!r}")
    return float(number) * units[unit]
