"""Verdicts: what each means, and what a row shows beside it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger import results
from analyses.ledger.comparisons import Bound, Value
from analyses.ledger.entry import Read, read
from analyses.ledger.results import store
from analyses.ledger.verdicts import rows, worse
from tests.analyses.ledger.toys import DATA, entry_with, of, source


@pytest.mark.parametrize(
    ("part", "ours", "seeds"),
    [
        (read("share"), "0.25", 3),  # made of all seeds of the source
        (read("share", low="low", high="high"), "0.25 [0.1, 0.5]", 3),
        (read("share", 100, low="low", high="high"), "25 [10, 50]", 3),
        (read("share", seeds=1), "0.25", 1),
        (read("per_axis", low="low_by", high="high_by", axis="b"), "2 [1.5, 2.5]", 3),
        (read("per_seed"), "2 ± 2.5", 3),
    ],
)
def test_a_row_says_how_many_seeds_and_which_interval(
    part: Read, ours: str, seeds: int, tmp_path: Path
) -> None:
    axis = {"axis": ["a", "b"]}
    by_axis = {"per_axis": [1.0, 2.0], "low_by": [0.5, 1.5], "high_by": [1.5, 2.5]}
    data = xr.Dataset(
        {"share": 0.25, "low": 0.1, "high": 0.5, "per_seed": ("seed", [1.0, 2.0, 3.0])}
        | {name: ("axis", values) for name, values in by_axis.items()},
        coords=axis,
    )
    store(tmp_path, source(), data, 1.0, results.key_of(source()))
    (row,) = rows([dataclasses.replace(of(source()), reads={"it": part})], tmp_path)
    assert (row.ours, row.seeds) == (ours, seeds)


@pytest.mark.parametrize(
    ("part", "note"),
    [
        (read("absent"), "the result has no absent"),
        (read("whole", low="absent", high="absent"), "the result has no absent"),
        (read("curve", step=11), "the result's curve has no place step 11"),
        (read("whole", step=10), "the result's whole has no place step 10"),
        (read("curve"), "cannot be compared: curve has the axes ['step']"),
    ],
)
def test_what_a_result_lacks_is_told_and_leaves_the_row_open(
    part: Read, note: str, stored: Path
) -> None:
    """In the table, of a valid and of a stale result; and at once when it is computed."""
    entry = entry_with(part)
    (row,) = rows([entry], stored)
    assert (row.verdict, row.ours) == ("OPEN", "")
    assert row.note.startswith(note)
    assert row.note.endswith("correct the entry or its source")
    (row,) = rows([dataclasses.replace(entry, source=source(seeds=5))], stored)
    assert row.verdict == "OPEN"
    assert row.note.startswith(f"stale, {note}")
    assert row.note.endswith("; 1 min on two cores")


@pytest.mark.parametrize(
    ("fields", "verdict", "note"),
    [
        ({"comparison": Value(equals=3.0)}, "DIFFERS", "It is three."),
        ({"comparison": Value(equals=4.0)}, "OPEN", "A correction of what is published that"),
        (
            {"comparison": Value(equals=4.0), "claimed": Value(equals=3.0)},
            "PASS",
            "As published. A correction of what is published that does not hold here: It is",
        ),
        ({"comparison": Value(equals=4.0), "claimed": Value(equals=5.0)}, "OPEN", "A correction"),
        ({"comparison": Value(equals=4.0), "differs": ""}, "FAIL", ""),
        ({"comparison": Bound(low=2.0), "at": "unknown"}, "OPEN", "cannot tell: no value"),
        ({"comparison": Bound(low=2.0), "wide": True}, "OPEN", "cannot tell: the bound lies"),
        ({"comparison": Bound(low=0.5), "wide": True}, "DIFFERS", "It is three."),
        ({"of_publication": True}, "DIFFERS", "It is three. Reads the publication only."),
    ],
)
def test_verdicts(fields: dict[str, Any], verdict: str, note: str, tmp_path: Path) -> None:
    data = xr.Dataset({"whole": 3.0, "unknown": np.nan, "low": 1.0, "high": 5.0})
    store(tmp_path, source(), data, 1.0, results.key_of(source()))
    ends = ("low", "high") if fields.pop("wide", False) else ("", "")
    part = Read(variable=fields.pop("at", "whole"), low=ends[0], high=ends[1])
    fields = {"differs": "It is three."} | fields
    (row,) = rows([entry_with(part, **fields)], tmp_path)
    assert row.verdict == verdict
    assert row.note.startswith(note)
    assert row.of_publication == bool(fields.get("of_publication"))


def test_only_a_fall_is_worse(tmp_path: Path) -> None:
    store(tmp_path, source(), DATA, 1.0, results.key_of(source()))
    passes, fails = of(source()), entry_with(read("whole"), comparison=Value(equals=9.0))
    fails = dataclasses.replace(fails, reads=passes.reads)
    differs = dataclasses.replace(passes, differs="It is three.")
    good, corrected, bad, none = (
        list(rows([one], folder))
        for one, folder in (
            (passes, tmp_path), (differs, tmp_path), (fails, tmp_path), (passes, tmp_path / "none"),
        )
    )  # fmt: skip
    for before, after in ((good, bad), (good, none), (corrected, none), (none, bad)):
        assert list(worse(before, after)) == [(before[0], after[0])]
        assert not list(worse(after, before))
    for before, after in ((good, corrected), (corrected, good), (bad, bad), ([], bad)):
        assert not list(worse(before, after))
