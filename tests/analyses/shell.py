"""The command line, in this process."""

from pathlib import Path

from typer.testing import CliRunner, Result

from analyses.cli import app


def invoke(*words: object) -> Result:
    """``invoke("run", "halves", out)``: what ``grokinterp run halves OUT`` prints, and its status.

    Errors that no user should see are raised.
    """
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(*words: str | Path) -> tuple[int, str, str]:
    """The status, and what is printed to stdout and to stderr."""
    result = invoke(*words)
    return result.exit_code, result.stdout, result.stderr
