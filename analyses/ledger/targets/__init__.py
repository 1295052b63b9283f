"""The published numbers of both papers, by id, as read from text, notebooks and figures."""

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

PAPERS = {1: "paper1.json", 2: "paper2.json"}


@cache
def targets() -> dict[str, dict[str, Any]]:
    """Every published number, curve and claim by id.

    Each has ``figure``, ``quantity``, ``settings``, ``value``, ``unit``, ``source`` (how sure the
    reading is), ``kind`` ("number", "curve", "inequality" or "ordering") and ``tolerance_note``.
    """
    here = Path(__file__).parent
    entries = [
        entry
        for name in PAPERS.values()
        for entry in json.loads((here / name).read_text(encoding="utf-8"))
    ]
    return {entry["id"]: entry for entry in entries}


def target(name: str) -> dict[str, Any]:
    """One published number.

    Raises:
        ValueError: there is none of this id; the message suggests similar ones.
    """
    if name not in targets():
        found = difflib.get_close_matches(name, targets(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(found)}?" if found else "see analyses/ledger/targets"
        raise ValueError(f"{name!r} is not a published number; {hint}")
    return targets()[name]
