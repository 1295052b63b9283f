"""The button of a run's pages that opens its explorer."""

import os
from pathlib import Path
from urllib.parse import quote

from analyses.pages.page import Link
from grokinterp import Run
from grokinterp.runs.folder import ABOUT

FILE = "explorer.html"
_WORDS = "Open the explorer of this run"


def write_beside(run: Run, report: Path) -> Link:
    """Write the run's explorer into the folder of its report.

    Returns:
        The link to it. It is explorer.html beside report.html, or NAME-explorer.html beside
        NAME.html.

    Raises:
        ValueError: there is no explorer of such a run; the message says why.
    """
    from analyses.explorer import write_explorer

    file = FILE if report.stem == "report" else f"{report.stem}-{FILE}"
    write_explorer(run, report.with_name(file), name=report.resolve().parent.name)
    return Link(_WORDS, quote(file))


def link_to(run_dir: Path, page: Path) -> Link:
    """The link from a page to the explorer of a saved run, or the command that writes it.

    An explorer that is older than the run is of one that was replaced.
    """
    file, run = run_dir / FILE, run_dir / ABOUT
    if not file.exists() or (run.exists() and file.stat().st_mtime < run.stat().st_mtime):
        named = run_dir if run.exists() else "RUN"  # the page may be elsewhere
        return Link(f"grokinterp explore {named} writes an explorer of this run.")
    between = os.path.relpath(file.resolve(), page.resolve().parent)
    return Link(_WORDS, quote(Path(between).as_posix()))
