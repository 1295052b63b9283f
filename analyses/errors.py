"""Errors as a shell user wants them: one line, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what a user can mend (arguments, files) into a line on stderr and exit status 2."""
    from grokinterp import MeasureError, RunFolderError, SweepExecutorError, SweepStoreError

    mendable = (ValueError, TypeError, OSError, RunFolderError)
    try:
        yield
    except BrokenPipeError:  # nobody reads on, as after "| head"
        raise
    except (*mendable, MeasureError, SweepExecutorError, SweepStoreError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
