"""Which version of the code gave a result."""

import subprocess
from pathlib import Path


def checked_out(root: Path) -> tuple[str, bool]:
    """The commit of a working tree, and whether files differ from it; ("", False) without one."""
    if not (root / ".git").exists():  # it may lie in another's tree
        return "", False
    head = _git(root, "rev-parse", "HEAD")
    return head, bool(head and _git(root, "status", "--porcelain", "--untracked-files=no"))


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    except OSError:  # there is no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
