"""Which version of the code gave a result."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commit(root: Path = ROOT) -> str:
    """The commit checked out, " with changes" if files differ from it; empty without git."""
    head = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head + " with changes" * bool(head and changes)


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    except OSError:  # there is no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
