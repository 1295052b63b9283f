"""Errors on the command line: one line, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print errors that a user can fix (arguments, files) as one line and exit with status 2."""
    from grokinterp import MeasureError, RunFolderError, SweepExecutorError, SweepStoreError

    of_project = (RunFolderError, MeasureError, SweepExecutorError, SweepStoreError)
    try:
        yield
    except BrokenPipeError:  # the reader has gone, as after "| head"
        raise
    except (ValueError, TypeError, OSError, *of_project) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
