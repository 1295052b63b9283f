"""``grokinterp analyse RUN... [NAME]``: an analysis of saved runs; without a name, the report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.cli.conduct import analysis_command
from analyses.cli.named import NamedCommands, as_command, fail, print_list
from analyses.cli.registry import ANALYSES, Entry, near, resolve
from analyses.cli.runs import report
from analyses.options import AsJson

REPORT = "report"
_ALL = {
    REPORT: Entry(
        module=report.__module__, shows="all about an MLP on one page; without a name, too"
    )
} | ANALYSES
_FLAGS = ("--json", "--list", "--help")  # options that take no value


class Analyses(NamedCommands):
    """A command for each analysis, its name among the folders of runs."""

    what, entries = "an analysis", _ALL

    def make(self, name: str) -> Any:
        """The analysis' command."""
        function = report
        if name != REPORT:
            function = analysis_command(name, resolve("analysis", name))
        return as_command(function, name, self.entries[name])

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Put the name first, where a group of commands has it.

        The last word that is an analysis' name is it, so a folder of such a name may stand before.
        """
        words = [i for i, word in enumerate(args)
                 if not word.startswith("-") and not (i and _takes_value(args[i - 1]))]  # fmt: skip
        names = [i for i in words if args[i] in _ALL]
        for i in words:
            if i not in names and _is_nothing(args[i]):
                told = f"{args[i]!r:.80} is neither a run folder nor an analysis"
                fail(f"{told}; {near(args[i], _ALL)}")
        if names:
            at = names[-1]
            args = [args[at], *args[:at], *args[at + 1 :]]
        elif words:
            args = [REPORT, *args]
        return super().parse_args(ctx, args)


def _takes_value(word: str) -> bool:
    return word.startswith("--") and "=" not in word and word not in _FLAGS


def _is_nothing(word: str) -> bool:
    """Whether a word could be a name, and is no file or folder."""
    return Path(word).name == word and not Path(word).exists()


analyse = typer.Typer(
    cls=Analyses, invoke_without_command=True, no_args_is_help=True,
    subcommand_metavar="RUN... [NAME] [OPTIONS]",
)  # fmt: skip


@analyse.callback()
def list_analyses(
    listed: Annotated[
        bool, typer.Option("--list", help="what each analysis shows, and its figures")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what saved runs tell: the report of one, or the analysis of that NAME.

    A folder that is called as an analysis is given as ./NAME. Every analysis has --out and --json;
    NAME --help tells the rest.
    """
    if listed:
        print_list(_ALL, as_json)
        raise typer.Exit
