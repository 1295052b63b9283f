"""The result of an experiment or an analysis: figures, the numbers behind them, and rows to print.

Every command writes its result with :func:`write_finding`, so that all pages look alike.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import xarray as xr

from grokinterp.files import replacing, write_netcdf
from grokinterp.short_text import short_repr

Row = Mapping[str, object] | str  # names and values, or a sentence


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: a dataset has no single truth value
class Finding:
    """Numbers, figures that show them, and rows to print.

    Attributes:
        data: the numbers; stored beside the page as netCDF.
        figures: in the order of the page.
        rows: printed on the command line, each as names and values or as a sentence.
        name: of the files, without suffix; None for the name of the command.
    """

    data: xr.Dataset
    figures: Sequence[go.Figure]
    rows: Iterable[Row] = ()
    name: str | None = None


def write_finding(finding: Finding, page: Path) -> None:
    """Write the figures to one self-contained HTML file, and the numbers to netCDF beside it.

    Raises:
        ValueError: ``page`` does not end in .html.
    """
    check_page(page)
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=i == 0)
        for i, figure in enumerate(finding.figures)
    ]
    title = html.escape(page.stem.replace("_", " "))
    head = f"<!doctype html><meta charset='utf-8'><title>{title}</title>"
    with replacing(page) as file:
        file.write_text(head + "\n".join(parts), encoding="utf-8")
    with replacing(page.with_suffix(".nc")) as file:
        write_netcdf(finding.data, file)


def check_page(page: Path) -> None:
    """Raise ValueError unless ``page`` ends in .html."""
    if page.suffix != ".html":
        raise ValueError(f"out must end in .html, got {page}; the numbers go to a .nc beside it")


def in_words(row: Row) -> str:
    """A row as text: names and values, numbers with four digits, "-" for None and NaN."""
    if isinstance(row, str):
        return row
    return "  ".join(f"{name} {_shown(value)}" for name, value in row.items())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return "-" if value is None else str(value)
