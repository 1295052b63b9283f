"""Stored results: they come back as they were, and what was tampered with is refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analyses.ledger import results
from analyses.ledger.results import ResultError, load, store
from analyses.ledger.verdicts import rows
from tests.analyses.ledger.toys import DATA, of, source


def test_a_result_comes_back(stored: Path) -> None:
    result = load(stored, source())
    assert result is not None
    xr.testing.assert_allclose(result.data, DATA)
    about = result.about
    assert (about["seeds"], about["seconds"], about["code"]) == (3, 1.3, results.key_of(source()))
    assert {"torch", "numpy", "python", "grokinterp"} <= about["versions"].keys()
    assert about["device"]
    assert load(stored, source("another")) is None


def test_numbers_that_json_does_not_have_come_back(tmp_path: Path) -> None:
    """Alone, as ends of an interval are, and over seeds."""
    odd = [np.nan, np.inf, -np.inf]
    data = DATA.assign({"ends": ("seed", odd)} | {f"end {value}": value for value in odd})
    store(tmp_path, source(), data, 1.26, results.key_of(source()))
    result = load(tmp_path, source())
    assert result is not None
    xr.testing.assert_allclose(result.data, data)
    assert all(result.data[name].dtype.kind == "f" for name in ("ends", "end nan", "end inf"))


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


def test_a_result_is_stale_when_a_part_has_another(stored: Path) -> None:
    """Also when the part's own is not valid any more, and until it is as it was."""
    whole = source("whole", parts=(source(),))
    store(stored, whole, DATA, 1.0, results.key_of(whole))
    assert load(stored, whole) is not None
    before = (stored / "one.json").read_text()
    message = r"whole\.json was computed from other results of one; remove .* and run it again"
    store(stored, source(), DATA + 1, 1.3, results.key_of(source()))
    with pytest.raises(ResultError, match=message) as error:
        load(stored, whole)
    assert error.value.reason == "stale"
    store(stored, source(), DATA, 1.3, "other code")
    with pytest.raises(ResultError, match=message):
        load(stored, whole)
    (stored / "one.json").write_text(before)
    assert load(stored, whole) is not None


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


def test_the_sentence_and_the_commit_of_a_result_are_kept(tmp_path: Path) -> None:
    """Also where it has no curves, whose file would hold its attributes."""
    told = DATA[["whole"]].assign_attrs(sentence="They agree within 20 %.")
    store(tmp_path, source(), told, 1.0, results.key_of(source()))
    (row,) = rows([of(source())], tmp_path)
    assert (row.verdict, row.note) == ("PASS", "They agree within 20 %.")
    result = load(tmp_path, source())
    assert result is not None
    root = Path(results.__file__).parents[2]
    assert re.fullmatch(
        "[0-9a-f]{40}[+]?" if (root / ".git").exists() else "", result.about["commit"]
    )


def test_words_from_stored_parts_are_not_cut(tmp_path: Path) -> None:
    # A coordinate that came from a file remembers how long the words there were.
    names = xr.Variable("name", ["short", "rather longer"], encoding={"dtype": np.dtype("<U5")})
    data = xr.Dataset({"x": ("name", [1.0, 2.0])}, coords={"name": names})
    store(tmp_path, source(), data, 1.0, results.key_of(source()))
    found = load(tmp_path, source())
    assert found is not None
    assert found.data.name.values.tolist() == ["short", "rather longer"]
