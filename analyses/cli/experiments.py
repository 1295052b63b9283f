"""``grokinterp run NAME OUT``: an experiment, its networks trained where they are not there yet."""

from typing import Annotated, Any

import typer

from analyses.cli.conduct import experiment_command
from analyses.cli.named import NamedCommands, as_command, print_list
from analyses.cli.registry import EXPERIMENTS, resolve
from analyses.options import AsJson


class Experiments(NamedCommands):
    """A command for each experiment."""

    what, entries = "an experiment", EXPERIMENTS

    def make(self, name: str) -> Any:
        """The experiment's command."""
        function = resolve("experiment", name)
        return as_command(experiment_command(name, function), name, self.entries[name])


run = typer.Typer(
    cls=Experiments, invoke_without_command=True, no_args_is_help=True,
    subcommand_metavar="NAME OUT [OPTIONS]",
)  # fmt: skip


@run.callback()
def list_experiments(
    listed: Annotated[
        bool, typer.Option("--list", help="what each shows, its figures, what each size costs")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the networks of an experiment that are missing in OUT, and show what they tell.

    Killed at any moment, the same command goes on where it was. Every NAME has --seeds,
    --estimate-only and --json, most have --size; run NAME --help tells the rest.
    """
    if listed:
        print_list(EXPERIMENTS, as_json)
        raise typer.Exit
