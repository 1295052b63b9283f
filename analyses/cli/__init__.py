"""The command line: ``grokinterp COMMAND``; see ``grokinterp --help``."""

from importlib.metadata import version
from typing import Annotated

import typer

from analyses.cli.diagrams import diagram
from analyses.cli.experiments import run
from analyses.cli.explore import explore
from analyses.cli.ledger import ledger
from analyses.cli.runs import demo, train
from analyses.cli.saved_runs import analyse
from analyses.cli.sweeps import sweep

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grokinterp {version('grokinterp')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print it and stop"),
    ] = False,
) -> None:
    """Train networks on corrupted modular arithmetic and see what their neurons do."""


for command in (demo, train, explore, sweep, diagram):
    app.command()(command)
app.add_typer(analyse, name="analyse")
app.add_typer(run, name="run")
app.add_typer(ledger, name="ledger")
