"""``grokinterp explore RUN``: a page in which a trained network runs and can be taken apart."""

import json
from pathlib import Path
from typing import Annotated

import typer

from analyses.cli.conduct import load_run
from analyses.errors import clear_errors
from analyses.options import AsJson


def explore(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a saved run")],
    out: Annotated[
        Path | None, typer.Option(help="the HTML file; by default RUN/explorer.html")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one offline HTML page in which the network runs: switch its units off and see.

    A run with stored networks (grokinterp train --checkpoints 30) also shows how it came about.
    """
    from analyses.explorer import write_explorer
    from analyses.pages.finding import check_page

    with clear_errors():
        page = out or run_dir / "explorer.html"
        check_page(page)
        told = write_explorer(load_run(run_dir), page, name=run_dir.resolve().name)
    if as_json:
        typer.echo(json.dumps({"page": str(page)} | told))
    else:
        networks = "1 network" if told["networks"] == 1 else f"{told['networks']} networks"
        typer.echo(f"{page}: {networks}, {told['bytes'] / 1e6:.1f} MB; open it in a browser")
