"""Reading JSON that may be damaged, or written by somebody who means harm."""

import json
from pathlib import Path
from typing import Any

_LARGEST = 2**28  # bytes; a config with an operation table of p = 997 takes 2**24


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: it is not JSON, holds NaN or infinity, which JSON does not have, is nested too
            deeply, or is far larger than a config can be. The message names the file.
        OSError: it cannot be read.
    """
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"{file} is larger than {_LARGEST} bytes, so it is no config")
    try:
        return json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"{file} is nested too deeply to be a config") from None
    except ValueError as error:  # also text that is not UTF-8, and numbers of 5000 digits
        raise ValueError(f"{file} is truncated or not JSON: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
