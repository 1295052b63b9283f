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
        Path | None, typer.Option(help="write the page of the documentation, and print nothing")
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
        from analyses.ledger.results import FOLDER
        from analyses.ledger.verdicts import counts, rows

        chosen = catalogue.choose(catalogue.entries(), paper=paper, figure=figure, tier=tier)
        found = list(rows(chosen, results or FOLDER))
        if markdown is not None:
            from grokinterp.files import replacing

            with replacing(markdown) as file:
                file.write_text(table.markdown(found, chosen), encoding="utf-8")
            typer.echo(table.in_words(found))
        elif check is not None:
            if check.read_text(encoding="utf-8") != table.markdown(found, chosen):
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
) -> None:
    """Compute what has no valid result. It may be killed at any moment; run it again to go on."""
    with clear_errors():
        from analyses.ledger import catalogue, table
        from analyses.ledger.results import FOLDER
        from analyses.ledger.running import plan, run_all
        from analyses.ledger.verdicts import rows

        begin, minutes = time.monotonic(), None if within is None else _minutes(within)
        chosen = catalogue.choose(catalogue.entries(), paper=paper, figure=figure, tier=tier)
        todo = plan(chosen, results or FOLDER, minutes=minutes, again=not resume)
        typer.echo(str(todo))
        until = None if minutes is None else begin + 60 * minutes
        late = run_all(todo.run, results or FOLDER, work, say=typer.echo, until=until)
        for source in late:
            typer.echo(f"stays OPEN: {source.name}, the time was over")
        found = list(rows(chosen, results or FOLDER))
        for row in found:
            if row.verdict == "FAIL":
                typer.echo(f"FAIL  {row.figure}  {row.quantity}: {row.theirs}, ours {row.ours}")
        typer.echo(table.in_words(found))


def _minutes(text: str) -> float:
    units = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"within must be a time such as 90s, 10m, 8h or 2d, got {text!r}")
    return float(number) * units[unit]
