"""Which version of the code was measured."""

from pathlib import Path

from analyses.checkout import checked_out

ROOT = Path(__file__).parents[2]


def commit(root: Path = ROOT) -> str:
    """The commit checked out, " with changes" if files differ from it; empty without git."""
    head, changed = checked_out(root)
    return head + " with changes" * changed
