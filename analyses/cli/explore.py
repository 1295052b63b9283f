"""``grokinterp explore PATH``: a page in which a run or a sweep can be taken apart."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.errors import clear_errors
from analyses.options import AsJson

_ARRAYS = (".zmetadata", ".zattrs", "done")  # of a store, one of which may be lost


def explore(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="folder of a saved run, or of a sweep")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="the HTML file; by default RUN/explorer.html or SWEEP-explorer.html"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one offline HTML page to explore a run or a sweep.

    In a run's page the network runs: switch its units off and see. With stored networks (grokinterp
    train --checkpoints 30) it also shows how it came about. A sweep's page has its phase diagram; a
    click on a cell shows its seeds.
    """
    from analyses.pages.finding import check_page
    from grokinterp.runs.folder import holds_run

    with clear_errors():
        sweep = None if holds_run(path) else _sweep_at(path)
        page = out or (
            path / "explorer.html"
            if sweep is None
            else sweep.with_name(f"{sweep.stem}-explorer.html")
        )
        check_page(page)
        told, words = _write_run(path, page) if sweep is None else _write_sweep(sweep, page)
    if as_json:
        typer.echo(json.dumps({"page": str(page)} | told))
    else:
        typer.echo(f"{page}: {words}, {told['bytes'] / 1e6:.1f} MB; open it in a browser")


def _sweep_at(path: Path) -> Path:
    """The store or file of a sweep at a path, or in the folder there."""
    from analyses.phase_diagrams.diagram_page import STORE

    if path.suffix in (".nc", ".zarr") or any((path / name).exists() for name in _ARRAYS):
        return path
    if (path / STORE).exists():
        return path / STORE
    found = f"it has no run.json, no {_ARRAYS[0]} and no {STORE}"
    if not path.is_dir():
        found = "it is a file" if path.exists() else "it does not exist"
    raise ValueError(
        f"{path} is neither a run nor a sweep: {found}. Name the folder of a run (grokinterp train "
        "OUT), a sweep's store (SWEEP.zarr, SWEEP.nc), or the folder of grokinterp sweep --out"
    )


def _write_run(folder: Path, page: Path) -> tuple[dict[str, Any], str]:
    from analyses.cli.conduct import load_run
    from analyses.explorer import write_explorer

    told = write_explorer(load_run(folder), page, name=folder.resolve().name, progress=True)
    return told, "1 network" if told["networks"] == 1 else f"{told['networks']} networks"


def _write_sweep(store: Path, page: Path) -> tuple[dict[str, Any], str]:
    from analyses.explorer import write_sweep_explorer
    from analyses.phase_diagrams import diagram_page

    name = diagram_page.name_of(store.resolve())
    told = write_sweep_explorer(diagram_page.load(store), page, name=name, store=store)
    return told, f"{told['runs']:,} of {told['of']:,} runs"
