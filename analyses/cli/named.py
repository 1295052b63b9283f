"""A verb with named commands, each imported only when it is asked for."""

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from analyses.cli.registry import Entry, near


class NamedCommands(TyperGroup):
    """Commands of a registry; subclasses say which, and how an entry's command is made.

    The list of a ``--help`` needs names and a line each, which the registry has: modules are not
    imported for it.
    """

    what = "command"  # an entry, with its article
    entries: Mapping[str, Entry]

    def make(self, name: str) -> Any:
        """The command of that name, its module imported."""
        raise NotImplementedError

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the registry's order."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What a list shows of a command."""
        entry = self.entries.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=described(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is asked for; an unknown name ends the program with the near ones."""
        name, *rest = args
        if name not in self.entries:
            fail(f"{name!r:.80} is not {self.what}; {near(name, self.entries)} {ctx.command_path} "
                 "--list describes all")  # fmt: skip
        return name, self.make(name), rest


def fail(message: str) -> None:
    """End the program with one line on stderr."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(2)


def described(entry: Entry) -> str:
    """What it shows, and in which figures of the papers."""
    return entry.shows + (f" ({entry.figures})" if entry.figures else "")


def as_command(function: Any, name: str, entry: Entry) -> Any:
    """The command that typer makes of a function with annotated arguments."""
    app = typer.Typer(add_completion=False)
    help = described(entry)
    app.command(name, help=f"{help[0].upper()}{help[1:]}.")(function)
    return typer.main.get_command(app)


def print_list(entries: Mapping[str, Entry], as_json: bool) -> None:
    """All entries: name, figures, what it shows, and costs by size."""
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
