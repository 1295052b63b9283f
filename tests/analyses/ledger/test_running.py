"""A run of the ledger: what it takes and leaves, and what it keeps whatever happens."""

import time
from pathlib import Path

import pytest
import xarray as xr

from analyses.ledger import results, running
from analyses.ledger.entry import Source, read
from analyses.ledger.results import ResultError, load
from tests.analyses.ledger.toys import DATA, entry_with, of, source


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

    def compute(one: Source, work: Path, parts: object) -> xr.Dataset:
        done.append(one.name)
        if one.name == "long":
            raise RuntimeError("broken")
        return DATA

    monkeypatch.setattr(running, "compute", compute)
    said: list[str] = []
    work, none = tmp_path / "work", {"entries": [], "say": said.append}
    (fault,) = running.run_all([long, source("short")], stored, work, **none).faults
    assert done == ["long", "short"]
    assert fault == f"long: RuntimeError: broken (traceback in {work / 'long.error.txt'})"
    assert 'raise RuntimeError("broken")' in (work / "long.error.txt").read_text()
    late = running.run_all([long], stored, work, **none, until=time.monotonic() + 60).late
    assert [one.name for one in late] == ["long"]
    assert load(stored, source("short")) is not None


def total(*, seeds: int, work: Path, parts: dict[str, xr.Dataset]) -> xr.Dataset:
    return xr.Dataset({"whole": sum(part.whole for part in parts.values())})


def test_parts_are_computed_first_and_given_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = source("a", compute=f"{__name__}:one"), source("b", compute=f"{__name__}:one")
    whole = source("whole", compute=f"{__name__}:total", parts=parts)
    monkeypatch.setattr(running, "key_of", lambda one: one.name)
    monkeypatch.setattr(running, "key_now", lambda one: one.name)
    monkeypatch.setattr(results, "key_of", lambda one: one.name)
    options = {"entries": [], "say": lambda _: None}
    (fault,) = running.run_all([whole], tmp_path, tmp_path, **options).faults
    assert "whole is computed from a, which has no result in" in fault
    todo = running.plan([of(whole), of(parts[1])], tmp_path).run
    assert [one.name for one in todo] == ["a", "b", "whole"]
    assert not running.run_all(todo[::-1], tmp_path, tmp_path, **options).faults
    result = load(tmp_path, whole)
    assert result is not None
    assert result.data.whole == 2


def test_what_is_computed_from_a_part_that_is_late_is_late(tmp_path: Path) -> None:
    part = source("part", minutes=600)
    whole = source("whole", minutes=0, parts=(part,))
    until = time.monotonic() + 600
    options = {"entries": [], "say": lambda _: None, "until": until}
    found = running.run_all([part, whole], tmp_path, tmp_path, **options)
    assert found == running.Outcome(late=(part, whole), faults=())


def one(*, seeds: int, work: Path) -> xr.Dataset:
    return xr.Dataset({"whole": 1.0})


def test_a_source_whose_part_is_left_is_left(tmp_path: Path) -> None:
    part = source("part", tier="gpu", minutes=600)
    whole = source("whole", minutes=90, tier="cpu", parts=(part, source("other", minutes=30)))
    assert whole.needs == "2 h on two cores and 10 h on one GPU"
    found = running.plan([of(whole)], tmp_path)
    assert [one.name for one in found.run] == ["other"]
    assert "stays OPEN: whole (needs part, which will not be there)" in str(found)


def test_what_needs_a_gpu_is_left_unless_it_is_wanted(tmp_path: Path) -> None:
    wanted = [of(source("hours", tier="gpu", minutes=600))]
    assert "stays OPEN: hours (needs a GPU, 10 h on one GPU" in str(running.plan(wanted, tmp_path))
    assert running.plan(wanted, tmp_path, gpu=True).run


def test_a_result_that_lacks_something_is_stored_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Hours of computation are kept; the entry or the measure can be corrected afterwards."""
    monkeypatch.setattr(running, "compute", lambda one, work, parts: DATA)
    entries = [of(source()), entry_with(read("absent")), of(source("another"))]
    done = running.run_all([source()], tmp_path, tmp_path, entries=entries, say=lambda _: None)
    assert done.faults == ("one: 1/one: the result has no absent",)
    result = load(tmp_path, source())
    assert result is not None
    xr.testing.assert_allclose(result.data, DATA)


def test_a_result_whose_code_was_edited_meanwhile_is_kept_but_not_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor is a source begun whose code was edited since the command began."""
    now = {"one": results.key_of(source()), "next": results.key_of(source())}

    def compute(one: Source, work: Path, parts: object) -> xr.Dataset:
        now.update(one="edited", next="edited")
        return DATA

    monkeypatch.setattr(running, "compute", compute)
    monkeypatch.setattr(running, "key_now", lambda one: now[one.name])
    todo = [source(), source("next")]
    faults = running.run_all(todo, tmp_path, tmp_path, entries=[], say=lambda _: None).faults
    assert [fault.partition(", so")[0].partition(";")[0] for fault in faults] == [
        "one: its code was edited while it ran",
        "next: RuntimeError: its code was edited since this command began",
    ]
    with pytest.raises(ResultError, match="computed by other code") as error:
        load(tmp_path, source())
    assert error.value.result is not None
    xr.testing.assert_allclose(error.value.result.data, DATA)
    assert not (tmp_path / "next.json").exists()


def test_an_interrupt_leaves_the_earlier_result(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compute(one: Source, work: Path, parts: object) -> xr.Dataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "compute", compute)
    with pytest.raises(KeyboardInterrupt):
        running.run_all([source()], stored, tmp_path, entries=[], say=lambda _: None)
    assert load(stored, source()) is not None


def test_networks_of_other_code_are_kept_apart() -> None:
    assert running.training_key(source()) != running.training_key(source(networks=("lstm",)))
    assert len(running.training_key(source())) == 16
