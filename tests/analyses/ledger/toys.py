"""A source, its result and an entry that reads it, in a few numbers."""

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from analyses.ledger.comparisons import Value
from analyses.ledger.entry import Entry, Read, Source, read

FUNCTION = "analyses.ledger.measures.released_code:batch_rule"
DATA = xr.Dataset(
    {
        "whole": 3.0,
        "per_seed": ("seed", [1.0, float("nan"), float("inf")]),
        "curve": (("seed", "step"), np.arange(6.0).reshape(3, 2)),
    },
    coords={"step": [0, 10]},
)


def source(name: str = "one", **changes: Any) -> Source:
    fields: dict[str, Any] = {"tier": "quick", "minutes": 1, "compute": FUNCTION, "seeds": 3}
    return Source(name=name, **fields | changes)


def of(one: Source) -> Entry:
    return Entry(
        id=f"1/{one.name}", figure="Fig. 1", claim="", source=one, says="3",
        reads={"whole": read("whole")}, comparison=Value(equals=3.0), reason="a toy",
    )  # fmt: skip


def entry_with(part: Read, **fields: Any) -> Entry:
    return dataclasses.replace(of(source()), reads={"it": part}, **fields)
