"""Running an analysis from the shell: ``python -m analyses.NAME RUN_DIR ...``."""

import html
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyses.errors import clear_errors
from grokinterp import Run
from grokinterp._files import replacing, write_netcdf

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


def run_script(
    name: str,
    compute: Callable[[list[Run]], "xr.Dataset"],
    plots: Sequence[Callable[["xr.Dataset"], "go.Figure"]],
    *,
    say: Callable[["xr.Dataset"], Iterable[str]] = lambda _: (),
) -> None:
    """Load the runs named on the command line, compute, plot, write; print what ``say`` finds."""

    def main(
        run_dirs: Annotated[list[Path], typer.Argument(help="folders of saved runs")],
        out: Annotated[Path | None, typer.Option(help="where the HTML file goes")] = None,
    ) -> None:
        with clear_errors():
            page = html_path(name, run_dirs[0], out)  # refused before minutes of work, not after
            data = compute([load_run(run_dir) for run_dir in run_dirs])
            write_figures(name, run_dirs[0], page, data, [plot(data) for plot in plots])
            for line in say(data):
                typer.echo(line)

    typer.run(main)


def load_run(run_dir: Path) -> Run:
    """A saved run; one that was not trained to its end is mentioned."""
    run = Run.load(run_dir)
    if not run.ended:
        typer.echo(f"Note: {run_dir} is {run.ending}", err=True)
    return run


def one_run(compute: Callable[[Run], "xr.Dataset"]) -> Callable[[list[Run]], "xr.Dataset"]:
    """For an analysis of a single run: refuse several on the command line."""

    def only(runs: list[Run]) -> "xr.Dataset":
        if len(runs) != 1:
            raise ValueError(f"this analysis takes one run folder, got {len(runs)}")
        return compute(runs[0])

    return only


def html_path(name: str, run_dir: Path, out: Path | None) -> Path:
    """Where an analysis writes its figures: ``out``, by default into the run's folder.

    Raises:
        ValueError: ``out`` names no HTML file.
    """
    if out is not None and out.suffix != ".html":
        raise ValueError(f"out must end in .html, got {out}; the numbers go to a .nc beside it")
    return out or run_dir / "figures" / f"{name}.html"


def write_figures(
    name: str,
    run_dir: Path,
    out: Path | None,
    data: "xr.Dataset",
    figures: Sequence["go.Figure"],
) -> None:
    """One self-contained HTML file of figures, and the numbers behind them as netCDF beside it."""
    out = html_path(name, run_dir, out)
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)
    ]
    page = f"<!doctype html><meta charset='utf-8'><title>{html.escape(name)}</title>"
    with replacing(out) as file:
        file.write_text(page + "\n".join(parts), encoding="utf-8")
    with replacing(out.with_suffix(".nc")) as file:
        write_netcdf(data, file)
    typer.echo(f"{out}\n{out.with_suffix('.nc')}")
