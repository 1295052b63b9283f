"""A command with named subcommands, each imported only when it is used."""

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from analyses.registry import Entry, near


class NamedCommands(TyperGroup):
    """The commands of a registry.

    A subclass sets ``what`` and ``entries`` and defines :meth:`make`. ``--help`` prints the
    registry's names and descriptions, for which no module is imported.
    """

    what = "command"  # a word for an entry, with its article
    entries: Mapping[str, Entry]

    def make(self, name: str) -> Any:
        """Import the module of an entry and return its command."""
        raise NotImplementedError

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the registry's order."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command's name and description, for ``--help``."""
        entry = self.entries.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=described(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run; for an unknown name the program ends and suggests similar ones."""
        name, *rest = args
        if name not in self.entries:
            hint = f"{near(name, self.entries)}; {ctx.command_path} --list describes all"
            fail(f"{name!r:.80} is not {self.what}; {hint}")
        return name, self.make(name), rest


def group(commands: type[NamedCommands], arguments: str) -> typer.Typer:
    """The program of ``commands``; ``arguments`` is how its help writes what follows its name."""
    return typer.Typer(
        cls=commands,
        invoke_without_command=True,
        no_args_is_help=True,
        subcommand_metavar=arguments,
    )


def fail(message: str) -> None:
    """End the program with one line on stderr."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(2)


def described(entry: Entry) -> str:
    """What an entry shows, and the figures of the papers."""
    return entry.shows + (f" ({entry.figures})" if entry.figures else "")


def as_command(function: Any, name: str, entry: Entry) -> Any:
    """A command from a function whose arguments have typer's annotations."""
    app = typer.Typer(add_completion=False)
    help = described(entry)
    app.command(name, help=f"{help[0].upper()}{help[1:]}.")(function)
    return typer.main.get_command(app)


def print_list(entries: Mapping[str, Entry], as_json: bool) -> None:
    """Print the name, description, figures and cost of every entry."""
    import json

    from rich.console import Console
    from rich.table import Table

    if as_json:
        told = {
            name: {"shows": entry.shows, "figures": entry.figures, "cost": entry.cost}
            for name, entry in entries.items()
        }
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, entry in entries.items():
        table.add_row(name, "\n".join(filter(None, (described(entry), entry.cost))))
    Console().print(table)
