"""The command line: ``grokinterp COMMAND``; see ``grokinterp --help``."""

import typer

from analyses.cli.diagrams import diagram
from analyses.cli.runs import analyse, demo, train
from analyses.cli.sweeps import sweep

__all__ = ["app"]

app = typer.Typer(
    help="Train networks on corrupted modular arithmetic and see what their neurons do.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (demo, train, analyse, sweep, diagram):
    app.command()(command)
