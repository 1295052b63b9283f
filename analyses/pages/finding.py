"""The result of an experiment or an analysis: figures, the numbers behind them, and rows to print.

Every command writes its result with :func:`write_finding`, so that all pages look alike.

Examples:
    >>> from pathlib import Path
    >>> import plotly.graph_objects as go
    >>> import xarray as xr
    >>> from analyses import finding
    >>> data = xr.Dataset({"square": ("x", [0.0, 1.0, 4.0])})
    >>> figure = go.Figure(go.Scatter(y=data.square.values))
    >>> result = finding.Finding(data=data, figures=[figure], rows=[{"largest": 4.0}])
    >>> finding.write_finding(result, Path("squares.html"))
    >>> sorted(file.name for file in Path().iterdir())
    ['squares.html', 'squares.nc']
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import xarray as xr

from analyses.pages.page import Link, Section, write_page
from grokinterp.files import replacing, write_netcdf
from grokinterp.short_text import short_repr

Row = Mapping[str, object] | str  # names and values, or a sentence
_MOST_ABOVE = 12  # rows above the figures; more would push them off the screen


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: a dataset has no single truth value
class Finding:
    """Numbers, figures that show them, and rows to print.

    Attributes:
        data: the numbers; stored beside the page as netCDF.
        figures: in the order of the page.
        rows: the verdict, printed on the command line and at the top of the page, each as names
            and values or as a sentence.
        sentences: what is seen in each figure, in their order; empty for no captions.
        heading: of the page; None for the name of the command.
        name: of the files, without suffix; None for the name of the command.
    """

    data: xr.Dataset
    figures: Sequence[go.Figure]
    rows: Iterable[Row] = ()
    sentences: Sequence[str] = ()
    heading: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))  # read by page and terminal
        if self.sentences and len(self.sentences) != len(self.figures):
            raise ValueError(
                f"sentences has {len(self.sentences)} captions for {len(self.figures)} figures; "
                "give one each, or none"
            )


def write_finding(finding: Finding, page: Path, *, link: Link | None = None) -> None:
    """Write the figures to one self-contained HTML file, and the numbers to netCDF beside it.

    The rows stand above the figures, or below them if they are many.

    Args:
        finding: the figures and numbers.
        page: the HTML file.
        link: to the explorer of the run that they are about.

    Raises:
        ValueError: ``page`` does not end in .html.
    """
    check_page(page)
    name = page.stem.replace("_", " ")
    head, rows = _table([row for row in finding.rows if not isinstance(row, str)])
    sentences = finding.sentences or [""] * len(finding.figures)
    sections = [Section(*both) for both in zip(finding.figures, sentences, strict=True)]
    if sections and len(rows) > _MOST_ABOVE:
        sections.append(Section(None, title="In numbers", head=head, rows=rows))
        head, rows = [], []
    write_page(
        page,
        heading=finding.heading or f"{name[:1].upper()}{name[1:]}",
        intro=[row for row in finding.rows if isinstance(row, str)],
        head=head,
        rows=rows,
        link=link,
        sections=sections,
    )
    with replacing(page.with_suffix(".nc")) as file:
        write_netcdf(finding.data, file)


def _table(rows: Sequence[Mapping[str, object]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Rows of names and values as a table: a column for each name, or a row if there is one row."""
    if len(rows) == 1:
        return [], [(name, shown(value)) for name, value in rows[0].items()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [tuple(shown(row[n]) if n in row else "" for n in names) for row in rows]


def check_page(page: Path) -> None:
    """Raise ValueError unless ``page`` ends in .html."""
    if page.suffix != ".html":
        raise ValueError(f"out must end in .html, got {page}; the numbers go to a .nc beside it")


def in_words(row: Row) -> str:
    """A row as text: names and values, numbers with four digits, "-" for None and NaN."""
    if isinstance(row, str):
        return row
    return "  ".join(f"{name} {shown(value)}" for name, value in row.items())


def shown(value: object) -> str:
    """A value as text: four digits, "-" for None and NaN."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return "-" if value is None else str(value)
