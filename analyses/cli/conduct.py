"""Makes a command of a registered function: options, announcement, pages and rows."""

import functools
import inspect
import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyses.errors import clear_errors
from analyses.options import AsJson, EstimateOnly

if TYPE_CHECKING:
    from analyses.announcement import Announcement
    from analyses.pages.finding import Finding
    from analyses.pages.page import Link
    from grokinterp import Run

RunDirs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="folders of saved runs")]
Page = Annotated[
    Path | None, typer.Option(help="the HTML file; by default NAME.html in RUN/figures")
]


def experiment_command(
    name: str, function: Callable[..., "Iterator[Announcement | Finding]"]
) -> Callable[..., None]:
    """The command of an experiment: its own options, ``--estimate-only`` and ``--json``."""

    def command(
        *, out: Path, estimate_only: bool = False, as_json: bool = False, **options: Any
    ) -> None:
        from analyses.announcement import Announcement

        told: list[dict[str, Any]] = []
        with clear_errors(), _silent(as_json):
            for step in function(out=out, **options):
                if not isinstance(step, Announcement):
                    told.append(_write(step, out / f"{step.name or name}.html", as_json))
                    continue
                typer.echo(str(step))
                if estimate_only:
                    told.append(asdict(step))
                    break
        if as_json:
            typer.echo(json.dumps(told[0] if estimate_only else told, indent=2))

    return _with_options(command, function, estimate_only=EstimateOnly, as_json=AsJson)


def analysis_command(name: str, function: Callable[..., "Finding"]) -> Callable[..., None]:
    """The command of an analysis: run folders, its own options, ``--out`` and ``--json``."""
    given = next(iter(inspect.signature(function).parameters))

    def command(
        *, run_dirs: list[Path], out: Path | None = None, as_json: bool = False, **options: Any
    ) -> None:
        from analyses.pages.explorer_link import link_to
        from analyses.pages.finding import check_page

        with clear_errors(), _silent(as_json):
            page = out or run_dirs[0] / "figures" / f"{name}.html"
            check_page(page)  # before minutes of work, not after
            if given == "run" and len(run_dirs) != 1:
                raise ValueError(f"{name} takes one run folder, got {len(run_dirs)}")
            runs = [load_run(run_dir) for run_dir in run_dirs]
            finding = function(runs[0] if given == "run" else runs, **options)
            link = link_to(run_dirs[0], page) if len(run_dirs) == 1 else None
            told = _write(finding, page, as_json, link)
        if as_json:
            typer.echo(json.dumps(told, indent=2))

    return _with_options(command, function, first=("run_dirs", RunDirs), out=Page, as_json=AsJson)


def load_run(run_dir: Path) -> "Run":
    """Load a saved run, with a note on stderr if its training was not finished."""
    from grokinterp import Run

    run = Run.load(run_dir)
    if not run.ended:
        typer.echo(f"Note: {run_dir} is {run.ending}", err=True)
    return run


def _with_options(
    command: Callable[..., None],
    function: Callable[..., Any],
    *,
    first: tuple[str, Any] | None = None,
    **more: Any,
) -> Callable[..., None]:
    """``command`` with the arguments of ``function`` as its options.

    Args:
        command: what is called with all options.
        function: its signature, name and docstring are used.
        first: name and annotation of an argument that replaces the function's first one.
        more: annotations of further options by name; ``out`` defaults to None, others to False.
    """
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in inspect.signature(function).parameters.values()]
    if first is not None:
        own[0] = inspect.Parameter(first[0], inspect.Parameter.KEYWORD_ONLY, annotation=first[1])
    for name, annotation in more.items():
        default = None if name == "out" else False
        own.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
        )
    wrapped: Any = functools.partial(command)
    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__signature__ = inspect.Signature(own)
    wrapped.__annotations__ = {p.name: p.annotation for p in own}
    return wrapped


def _write(
    finding: "Finding", page: Path, as_json: bool, link: "Link | None" = None
) -> dict[str, Any]:
    """Write the page, print the rows, and return the paths and rows for JSON."""
    from analyses.pages.finding import in_words, write_finding

    write_finding(finding, page, link=link)
    numbers, rows = page.with_suffix(".nc"), list(finding.rows)
    typer.echo(f"{page}\n{numbers}")
    for row in rows:
        typer.echo(in_words(row))
    plain = [
        row if isinstance(row, str) else {k: _plain(v) for k, v in row.items()} for row in rows
    ]
    return {"page": str(page), "numbers": str(numbers), "rows": plain}


def _plain(value: Any) -> Any:
    """A value for JSON; None for NaN and infinity, which JSON does not have."""
    value = getattr(value, "item", lambda: value)()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _silent(wanted: bool) -> Any:
    """Suppress prints if wanted, so that stdout has only JSON."""
    return redirect_stdout(io.StringIO()) if wanted else nullcontext()
