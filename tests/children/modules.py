"""What a process that imports the callbacks has in memory."""

import sys
from typing import Any

import grokinterp.tracking  # noqa: F401


def send(sender: Any) -> None:
    """The packages, by their top-level names."""
    sender.send({name.split(".")[0] for name in sys.modules})
