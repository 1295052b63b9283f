"""Stored results: they come back as they were, and what was tampered with is refused."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger import results, running
from analyses.ledger.comparisons import Value
from analyses.ledger.entry import Entry, Read, Source, read
from analyses.ledger.results import ResultError, load, store
from analyses.ledger.verdicts import rows

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


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    store(tmp_path, source(), DATA, 1.26, results.key_of(source()))
    return tmp_path


def test_a_result_comes_back(stored: Path) -> None:
    result = load(stored, source())
    assert result is not None
    xr.testing.assert_allclose(result.data, DATA)
    about = result.about
    assert (about["seeds"], about["seconds"], about["code"]) == (3, 1.3, results.key_of(source()))
    assert {"torch", "numpy", "python", "grokinterp"} <= about["versions"].keys()
    assert about["device"]
    assert load(stored, source("another")) is None


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


def test_numbers_edited_by_hand_are_refused(stored: Path) -> None:
    path = stored / "one.json"
    about = json.loads(path.read_text())
    about["values"]["whole"] = 2.9
    path.write_text(json.dumps(about))
    with pytest.raises(ResultError, match=r"one\.json was edited: its checksum") as error:
        load(stored, source())
    assert error.value.reason == "altered"
    (row,) = rows([of(source())], stored)
    assert (row.verdict, row.note) == ("OPEN", "altered; 1 min on two cores")


def test_curves_edited_by_hand_are_refused(stored: Path) -> None:
    (path,) = stored.glob("*.nc")
    changed = DATA[["curve"]] + 1
    path.write_bytes(bytes(changed.to_netcdf(engine="h5netcdf")))
    with pytest.raises(ResultError, match=r"\.nc was edited"):
        load(stored, source())
    path.unlink()
    with pytest.raises(ResultError, match=r"\.nc is missing"):
        load(stored, source())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 5}, "seeds 3, but the ledger says 5"),
        ({"settings": {"p": 11}}, r"settings \{\}, but the ledger says \{'p': 11\}"),
        ({"compute": "analyses.ledger.measures.closed_form:data_sets"}, "computed by other code"),
    ],
)
def test_a_result_of_something_else_is_stale(
    changes: dict[str, Any], message: str, stored: Path
) -> None:
    with pytest.raises(ResultError, match=message) as error:
        load(stored, source(**changes))
    assert error.value.reason == "stale"
    (row,) = rows([of(source(**changes))], stored)
    assert (row.verdict, row.ours) == ("OPEN", "3")
    assert row.note == "stale, was PASS; 1 min on two cores"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"source": "one"}'])
def test_a_damaged_file_is_refused(text: str, stored: Path) -> None:
    (stored / "one.json").write_text(text)
    with pytest.raises(ResultError, match=r"one\.json"):
        load(stored, source())


def test_storing_again_replaces_everything(stored: Path) -> None:
    store(stored, source(), DATA.drop_vars("curve"), 1.0, results.key_of(source()))
    assert [path.name for path in stored.iterdir()] == ["one.json"]
    result = load(stored, source())
    assert result is not None
    assert "curve" not in result.data


def test_a_run_takes_what_is_missing_and_fits(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long, absent = source("long", minutes=20), Source(
        name="absent", tier="cpu", minutes=9, missing="images"
    )  # fmt: skip
    wanted = [of(one) for one in (source(), long, source("short"), absent)]
    found = running.plan(wanted, stored, minutes=10)
    assert [one.name for one in found.run] == ["short"]
    assert "stays OPEN: long (needs 20 min on two cores, 10 min are left)" in str(found)
    assert "stays OPEN: absent (images)" in str(found)
    assert [one.name for one in running.plan(wanted, stored, again=True).run] == [
        "one", "long", "short",
    ]  # fmt: skip
    done: list[str] = []

    def compute(one: Source, work: Path) -> xr.Dataset:
        done.append(one.name)
        if one.name == "long":
            raise RuntimeError("broken")
        return DATA

    monkeypatch.setattr(running, "compute", compute)
    said: list[str] = []
    with pytest.raises(ExceptionGroup, match="1 of 2 computations failed"):
        running.run_all([long, source("short")], stored, tmp_path, say=said.append)
    assert done == ["long", "short"]
    assert any("long failed: broken" in line for line in said)
    late = running.run_all([long], stored, tmp_path, say=said.append, until=time.monotonic() + 60)
    assert [one.name for one in late] == ["long"]
    assert load(stored, source("short")) is not None


def test_an_interrupt_leaves_the_earlier_result(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compute(one: Source, work: Path) -> xr.Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "compute", compute)
    with pytest.raises(KeyboardInterrupt):
        running.run_all([source()], stored, tmp_path, say=lambda _: None)
    assert load(stored, source()) is not None


def test_networks_of_other_code_are_kept_apart() -> None:
    assert running.training_key(source()) != running.training_key(source(networks=("lstm",)))
    assert len(running.training_key(source())) == 16
