"""Read JSON from files that may be damaged or malicious, and tell how two of it differ."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_LARGEST = 2**28  # bytes; a config with an operation table of p = 997 takes 2**24


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: the file is not JSON, contains NaN or infinity (which JSON does not have), is
            nested too deeply, or is far larger than any config. The message names the file.
        OSError: the file cannot be read.
    """
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"{file} is larger than {_LARGEST} bytes, so it is not a config")
    try:
        return json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"{file} is nested too deeply to be a config") from None
    except ValueError as error:  # also bytes that are not UTF-8, and numbers of 5000 digits
        raise ValueError(f"{file} is truncated or not JSON: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number in JSON")


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    """Dotted paths of the fields in which two JSON objects differ, such as configs."""
    for name in sorted(stored.keys() | asked.keys()):
        one, other = stored.get(name), asked.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from (f"{name}.{path}" for path in differences(one, other))
        elif json.dumps(one) != json.dumps(other):
            yield name
