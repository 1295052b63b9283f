"""What a sweep's store says about itself: its attributes, and the metadata of its arrays.

All metadata is there twice, in a file of each array and together in ``.zmetadata``, and neither is
believed without the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokinterp._short import short_repr
from grokinterp.sweeps.place import LISTED, SweepStoreError, is_blank

FORMAT = 2  # raised when a store written today could not be read by yesterday's code
BOOKKEEPING = ("done", "checksum")
_ATTRIBUTES = ".zattrs"


@short_repr
@dataclass(frozen=True, kw_only=True)
class About:
    """A store's attributes, checked."""

    written: int  # its format
    identity: dict[str, Any]  # what two sweeps must share to be one
    text: str  # the same as it was written
    block: tuple[int, ...]  # runs of a block, by dimension


def read_about(where: Path) -> About:
    """What a sweep's store says about itself.

    Raises:
        SweepStoreError: there is no sweep, its metadata is damaged, or of a newer grokinterp.
    """
    if is_blank(where):
        why = "nothing is stored there yet" if where.exists() else "it does not exist"
        raise SweepStoreError(f"{where} is no sweep of grokinterp: {why}")
    if not any((where / name).exists() for name in (_ATTRIBUTES, LISTED, "done")):
        raise SweepStoreError(f"{where} is no sweep of grokinterp; choose another store")
    attributes = _read(where, _ATTRIBUTES)
    written = attributes.get("format")
    if not {"format", "identity"} & attributes.keys() and not (where / "done").exists():
        raise SweepStoreError(f"{where} is no sweep of grokinterp; choose another store")
    listed = _read(where, LISTED).get("metadata")
    if not isinstance(listed, dict) or not isinstance(listed.get(_ATTRIBUTES), dict):
        raise _damaged(where, LISTED, "it lists no metadata")
    if type(written) is int and written > FORMAT and listed[_ATTRIBUTES].get("format") == written:
        raise SweepStoreError(
            f"{where} was written in format {written}, this grokinterp reads up to {FORMAT}; "
            "upgrade grokinterp"
        )
    try:
        sessions, noted = _sessions(attributes), _sessions(listed[_ATTRIBUTES])
        about = _checked(attributes)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _damaged(where, _ATTRIBUTES, error) from error
    # A session notes itself when it ends, first in the attributes and then in the list.
    for name, content in listed.items():
        alone = _read(where, name)
        if name == _ATTRIBUTES and sessions[: len(noted)] == noted:
            alone = alone | {"provenance": content["provenance"]}
        if alone != content:
            raise SweepStoreError(
                f"{where} is damaged: {where / name} and what {LISTED} says of it differ. Restore "
                "the one that is wrong from a copy, or choose another store"
            )
    return about


def _read(where: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((where / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(where, name, error) from error
    if not isinstance(content, dict):
        raise _damaged(where, name, "it holds something else")
    return content


def _damaged(where: Path, name: str, why: object) -> SweepStoreError:
    remedy = f"{LISTED} has its content under {name!r}"
    if name == LISTED:
        remedy = f"zarr.consolidate_metadata({str(where)!r}, zarr_format=2) makes it anew"
    return SweepStoreError(
        f"{where} is damaged: its metadata in {where / name} cannot be used ({why}). Restore this "
        f"file from a copy; without one, {remedy}"
    )


def _sessions(attributes: dict[str, Any]) -> list[Any]:
    sessions = json.loads(attributes["provenance"])
    if not isinstance(sessions, list):
        raise ValueError("'provenance' does not fit")
    return sessions


def _checked(attributes: dict[str, Any]) -> About:
    identity, block = json.loads(attributes["identity"]), tuple(attributes["block"])
    about = About(
        written=attributes["format"], identity=identity, text=attributes["identity"], block=block
    )
    whole = {
        "format": type(about.written) is int and about.written >= 1,
        "block": all(type(step) is int and step > 0 for step in block),
        "identity": list(identity["axes"]) == identity["dims"]
        and len(block) == len(identity["dims"])
        and all(isinstance(labels, list) for labels in identity["axes"].values())
        and isinstance(identity["measure"], dict),
        "base": json.loads(attributes["base"]) == identity["base"],
    }
    for name, right in whole.items():
        if not right:
            raise ValueError(f"{name!r} does not fit")
    return about
