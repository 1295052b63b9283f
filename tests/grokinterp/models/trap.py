"""A file that runs code when it is unpickled."""

import os
from pathlib import Path
from typing import Any


class Trap:
    """What a malicious file holds: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))
