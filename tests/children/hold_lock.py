"""What a process does that holds a store's lock, and whose own child would go on holding it."""

import os
import time
from pathlib import Path
from typing import Any

from grokinterp.sweeps.place import locked


def hold(store: str, held: Any) -> None:
    """In a session of its own, with a forked child as of a pool of workers."""
    os.setsid()
    with locked(Path(store)):
        if os.fork():
            held.set()
        time.sleep(100)
