"""``grokinterp run NAME OUT``: train the missing networks of an experiment and show its result."""

from typing import Annotated, Any

import typer

from analyses.cli.conduct import experiment_command
from analyses.cli.named import NamedCommands, as_command, group, print_list
from analyses.options import AsJson
from analyses.registry import EXPERIMENTS, resolve


class Experiments(NamedCommands):
    """A command for each experiment."""

    what, entries = "an experiment", EXPERIMENTS

    def make(self, name: str) -> Any:
        """The experiment's command."""
        function = resolve("experiment", name)
        return as_command(experiment_command(name, function), name, self.entries[name])


run = group(Experiments, "NAME OUT [OPTIONS]")


@run.callback()
def list_experiments(
    listed: Annotated[
        bool, typer.Option("--list", help="describe all: figures, and the cost of each size")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the networks of an experiment that are missing in OUT, and show the result.

    After an interrupt, the same command resumes. Every NAME has --seeds, --estimate-only and
    --json, most have --size; run NAME --help lists all options.
    """
    if listed:
        print_list(EXPERIMENTS, as_json)
        raise typer.Exit
