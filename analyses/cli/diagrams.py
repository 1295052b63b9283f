"""``grokinterp diagram``: the figures of a stored sweep, finished or not."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.cli.options import read_values
from analyses.errors import clear_errors
from analyses.options import AsJson


def diagram(
    sweep: Annotated[Path, typer.Argument(help="a sweep: SWEEP.zarr or SWEEP.nc")],
    out: Annotated[Path | None, typer.Option(help="the HTML file; by default SWEEP.html")] = None,
    x: Annotated[str | None, typer.Option(help="axis to the right: data.train_fraction")] = None,
    y: Annotated[str | None, typer.Option(help="axis upward: data.corruption")] = None,
    panel: Annotated[str | None, typer.Option(help="axis with a panel for each value")] = None,
    at: Annotated[
        list[str] | None, typer.Option(metavar="PATH=VALUE", help="value of a further axis")
    ] = None,
    refined: Annotated[
        int | None,
        typer.Option(
            metavar="STRIDE",
            help="infer cells that a refinement with this stride skipped; automatic for --adaptive",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="another sweep with the same axes, to compare with")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the phase diagram of a stored sweep, finished or not."""
    with clear_errors():
        from analyses.phase_diagrams import diagram_page
        from analyses.phase_diagrams.phase_diagram import X, Y
        from analyses.phase_diagrams.refine import Refinement

        stored = diagram_page.load(sweep)
        x, y, out = x or X, y or Y, out or sweep.with_suffix(".html")
        refinement = None if refined is None else Refinement(x=x, y=y, stride=refined)
        phases = diagram_page.phases_of(stored, refinement)
        choice: dict[str, Any] = {"x": x, "y": y, "panel": panel}
        if against is not None:
            other = diagram_page.phases_of(diagram_page.load(against), refinement)
            choice["against"] = diagram_page.name_of(against), other
        summary = diagram_page.write_diagram(
            phases,
            out,
            heading="Phase diagram of a sweep",
            intro=diagram_page.describe(stored),
            at=read_values("--at", at or []),
            **choice,
        )
    print_diagram(summary, out, as_json)


def print_diagram(summary: dict[str, Any], page: Path, as_json: bool) -> None:
    """Print the number of cells per phase, the disagreements with the published rule, the path."""
    from rich.console import Console
    from rich.table import Table

    from analyses.phase_diagrams.diagram_page import about_disagreements, cell_table

    if as_json:
        typer.echo(json.dumps(summary | {"diagram": str(page)}, indent=2))
        return
    heading, *rows = cell_table(summary)
    table = Table(box=None, padding=(0, 3, 0, 0))
    for i, title in enumerate(heading):
        table.add_column(title, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if summary["inferred"]:
        typer.echo(f"{summary['inferred']} of these cells are inferred, not trained.")
    typer.echo(about_disagreements(summary))
    for panel, share in summary.get("alike", {}).items():
        typer.echo(f"{panel}: {share:.0%} of the cells alike".removeprefix(": "))
    typer.echo(f"diagram: {page}")
