"""``grokinterp analyse RUN... [NAME]``: an analysis of saved runs, by default the report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.cli.conduct import analysis_command
from analyses.cli.named import NamedCommands, as_command, fail, group, print_list
from analyses.cli.runs import report
from analyses.options import AsJson
from analyses.registry import ANALYSES, Entry, near, resolve

REPORT = "report"
_ALL = {
    REPORT: Entry(
        module=report.__module__,
        shows="all about a run of any network on one page; the default without a NAME",
    )
} | ANALYSES
_FLAGS = ("--json", "--list", "--help", "--explorer", "--no-explorer")  # options that take no value


class Analyses(NamedCommands):
    """A command for each analysis; its name may stand anywhere among the folders of runs."""

    what, entries = "an analysis", _ALL

    def make(self, name: str) -> Any:
        """The command of an analysis."""
        function = report
        if name != REPORT:
            function = analysis_command(name, resolve("analysis", name))
        return as_command(function, name, self.entries[name])

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Move the analysis' name to the front, where the parser expects it.

        It is the last word that names an analysis; an earlier such word is a folder.
        """
        taken = [False, *map(_takes_value, args)]  # whether a word is the value of an option
        words = [i for i, word in enumerate(args) if not (word.startswith("-") or taken[i])]
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
    """Whether a word looks like a name and is not an existing file or folder."""
    return Path(word).name == word and not Path(word).exists()


analyse = group(Analyses, "RUN... [NAME] [OPTIONS]")


@analyse.callback()
def list_analyses(
    listed: Annotated[
        bool, typer.Option("--list", help="what each analysis shows, and its figures")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Analyse saved runs: without NAME, write the report of one run.

    A folder with the name of an analysis is given as ./NAME. Every analysis has --out and --json;
    NAME --help lists all options.
    """
    if listed:
        print_list(_ALL, as_json)
        raise typer.Exit
