"""Options that the experiments' commands share, and how they print a row of a table."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from analyses.efficiency.settings import SIZES
from analyses.options import EstimateOnly

__all__ = ["EstimateOnly", "Out", "Seeds", "Size", "in_words"]

Out = Annotated[Path, typer.Argument(help="folder with one folder per run")]
Size = Annotated[str, typer.Option(help=f"of {', '.join(SIZES)}")]
Seeds = Annotated[int, typer.Option(min=1)]


def in_words(row: Mapping[str, object]) -> str:
    """A row as names and values; numbers to four digits, "-" for None and NaN."""
    return "  ".join(f"{name} {_shown(value)}" for name, value in row.items())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return "-" if value is None else str(value)
