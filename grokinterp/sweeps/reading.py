"""Read and check the metadata of a sweep's store: its attributes, and those of its arrays.

All metadata is stored twice: in one file per array, and together in ``.zmetadata``. The two must
agree.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokinterp.short_text import short_repr
from grokinterp.sweeps.place import LISTED, SweepStoreError, is_blank

FORMAT = 2  # increased when older code could not read a new store
BOOKKEEPING = ("done", "checksum")
_ATTRIBUTES = ".zattrs"


@short_repr
@dataclass(frozen=True, kw_only=True)
class About:
    """The checked attributes of a store."""

    written: int  # the store's format number
    identity: dict[str, Any]  # arguments that must be equal for a sweep to resume this store
    text: str  # ``identity`` as the JSON text that was written
    block: tuple[int, ...]  # shape of a block: runs along each dimension


def read_about(where: Path) -> About:
    """Read the attributes of a sweep's store and check all its metadata.

    Raises:
        SweepStoreError: there is no sweep, its metadata is damaged, or a newer grokinterp wrote it.
    """
    if is_blank(where):
        why = "nothing is stored there yet" if where.exists() else "it does not exist"
        raise SweepStoreError(f"{where} is not a grokinterp sweep: {why}")
    if not any((where / name).exists() for name in (_ATTRIBUTES, LISTED, "done")):
        raise SweepStoreError(
            f"{where} is not a grokinterp sweep; "
            + ("gi.Run.load reads it" if (where / "run.json").exists() else "choose another store")
        )
    attributes = _read(where, _ATTRIBUTES)
    written = attributes.get("format")
    if not {"format", "identity"} & attributes.keys() and not (where / "done").exists():
        raise SweepStoreError(f"{where} is not a grokinterp sweep; choose another store")
    listed = _read(where, LISTED).get("metadata")
    if not isinstance(listed, dict) or not isinstance(listed.get(_ATTRIBUTES), dict):
        raise _damaged(where, LISTED, "it lists no metadata")
    if type(written) is int and written > FORMAT and listed[_ATTRIBUTES].get("format") == written:
        raise SweepStoreError(
            f"{where} has format {written}, but this grokinterp reads formats up to {FORMAT}; "
            "upgrade grokinterp"
        )
    try:
        sessions, noted = _sessions(attributes), _sessions(listed[_ATTRIBUTES])
        about = _checked(attributes)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _damaged(where, _ATTRIBUTES, error) from error
    # At its end a session adds to the provenance, first in .zattrs and then in .zmetadata.
    for name, content in listed.items():
        alone = _read(where, name)
        if name == _ATTRIBUTES and sessions[: len(noted)] == noted:
            alone = alone | {"provenance": content["provenance"]}
        if alone != content:
            raise SweepStoreError(
                f"{where} is damaged: {where / name} and its entry in {LISTED} differ. Restore "
                "the wrong one from a copy, or choose another store"
            )
    return about


def _read(where: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((where / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(where, name, error) from error
    if not isinstance(content, dict):
        raise _damaged(where, name, "it is not a JSON object")
    return content


def _damaged(where: Path, name: str, why: object) -> SweepStoreError:
    remedy = f"copy its content from {name!r} in {LISTED}"
    if name == LISTED:
        remedy = f"call zarr.consolidate_metadata({str(where)!r}, zarr_format=2)"
    return SweepStoreError(
        f"{where} is damaged: its metadata in {where / name} cannot be used ({why}). Restore this "
        f"file from a copy, or {remedy}"
    )


def _sessions(attributes: dict[str, Any]) -> list[Any]:
    sessions = json.loads(attributes["provenance"])
    if not isinstance(sessions, list):
        raise ValueError("'provenance' is not a list")
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
            raise ValueError(f"{name!r} is invalid or contradicts the other attributes")
    return about
