"""Options of the commands that train runs and sweeps, and how their values are read."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

INTERRUPTED = 130  # exit status after Ctrl-C, by convention of shells

Precision = Annotated[str, typer.Option(help="float32, bfloat16, float64 or, on a GPU, tf32")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if there is one")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="e.g. --set training.weight_decay=5"),
]


def read_values(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """Read PATH=VALUE texts as a mapping; a value that is not JSON is taken as a string."""
    from grokinterp.short_text import short

    values: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{option} needs PATH=VALUE, got {short(text)}")
        try:
            values[path] = json.loads(value)
        except json.JSONDecodeError:
            values[path] = value  # a bare word is a string
        except RecursionError:
            raise ValueError(f"{option} {path} is nested too deeply to be a value") from None
        except ValueError as error:  # a number with thousands of digits
            raise ValueError(f"{option} {path}: {error}") from None
    return values
