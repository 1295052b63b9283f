"""Running an analysis from the shell: ``python -m analyses.NAME RUN_DIR``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokinterp import Run

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


def run_script(
    name: str,
    compute: Callable[[Run], "xr.Dataset"],
    plots: Sequence[Callable[["xr.Dataset"], "go.Figure"]],
) -> None:
    """Load the run named on the command line, compute, plot, write."""

    def main(
        run_dir: Annotated[Path, typer.Argument(help="folder of a saved run")],
        out: Annotated[Path | None, typer.Option(help="where the HTML file goes")] = None,
    ) -> None:
        data = compute(Run.load(run_dir))
        write_figures(name, run_dir, out, data, [plot(data) for plot in plots])

    typer.run(main)


def write_figures(
    name: str,
    run_dir: Path,
    out: Path | None,
    data: "xr.Dataset",
    figures: Sequence["go.Figure"],
) -> None:
    """One self-contained HTML file of figures, and the numbers behind them as netCDF beside it."""
    out = out or run_dir / "figures" / f"{name}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(figures)
    ]
    page = "<!doctype html><meta charset='utf-8'>"
    out.write_text(f"{page}<title>{name}</title>" + "\n".join(parts), encoding="utf-8")
    data.to_netcdf(out.with_suffix(".nc"), engine="h5netcdf")
    typer.echo(f"{out}\n{out.with_suffix('.nc')}")
