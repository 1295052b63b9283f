"""``grokinterp ledger``: the table, the page, and what a limit leaves OPEN."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyses.ledger import catalogue, results, running
from analyses.ledger.entry import sources_of

Command = Callable[..., Any]
ROOT = Path(__file__).parents[3]


def test_the_table_has_every_row_and_counts_them(tmp_path: Path, command: Command) -> None:
    told = json.loads(command("ledger", "--json", "--results", tmp_path).stdout)
    entries = catalogue.entries()
    assert len(told["rows"]) == sum(len(entry.reads) for entry in entries)
    assert told["counts"] == {"PASS": 0, "FAIL": 0, "DIFFERS": 0, "OPEN": len(told["rows"])}
    printed = command("ledger", "--figure", "eq3", "--results", tmp_path).stdout
    assert "Eq. 3" in printed
    assert "3 rows: 0 PASS, 0 FAIL, 0 DIFFERS, 3 OPEN" in printed


def test_a_run_stores_results_and_changes_verdicts(tmp_path: Path, command: Command) -> None:
    words = ("--figure", "1/uninitialised", "--results", tmp_path)
    ran = command("ledger", "run", *words, "--within", "10m", "--work", tmp_path / "work").stdout
    assert "1 to compute" in ran
    assert "[1/1] batch_rule stored" in ran
    assert "1 rows: 0 PASS, 0 FAIL, 1 DIFFERS, 0 OPEN" in ran
    assert "0 to compute" in command("ledger", "run", *words).stdout
    short = command("ledger", "run", "--figure", "fig19", "--within", "1m", "--results", tmp_path)
    assert "stays OPEN: dropout_curves (needs 10 min on two cores, 1 min are left)" in short.stdout


def test_a_verdict_that_falls_and_a_source_that_fails_end_in_plain_words(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--figure", "1/uninitialised", "--work", tmp_path / "work", "--results")
    assert command("ledger", "run", *words, tmp_path / "good").exit_code == 0
    better = ("--no-worse-than", tmp_path / "good")

    def broken(*args: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(running, "compute", broken)
    result = command("ledger", "run", *words, tmp_path / "bad", *better)
    assert result.exit_code == 1
    failed, worse = result.stderr.splitlines()
    assert failed.startswith("Error: batch_rule: RuntimeError: no network (traceback in")
    assert worse.startswith("Error: 1/uninitialised, ")
    assert ": DIFFERS, now OPEN, ours , under a minute on two cores" in worse
    assert command("ledger", "run", *words, tmp_path / "good", *better).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ledger", "--figure", "fig1aa"), "did you mean fig1a"),
        (("ledger", "--tier", "slow"), "tier='slow'"),
        (("ledger", "run", "--within", "soon"), "within must be a time such as 90s, 10m, 8h or 2d"),
    ],
)
def test_wrong_words_are_one_line(words: tuple[str, ...], message: str, command: Command) -> None:
    result = command(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def test_a_page_that_is_out_of_date_fails(tmp_path: Path, command: Command) -> None:
    page = tmp_path / "ledger.md"
    assert "rows" in command("ledger", "--markdown", page, "--results", tmp_path).stdout
    assert "up to date" in command("ledger", "--check", page, "--results", tmp_path).stdout
    page.write_text(page.read_text() + "\n")
    result = command("ledger", "--check", page, "--results", tmp_path)
    assert result.exit_code == 2
    assert f"{page} is out of date; write it with: grokinterp ledger --markdown" in result.stderr


@pytest.mark.slow  # reads them all
def test_the_results_of_the_package_were_not_edited() -> None:
    """Stale ones are told of in the table; a broken checksum never is in order."""
    for source in sources_of(catalogue.entries()):
        try:
            results.load(results.FOLDER, source)
        except results.ResultError as error:
            assert error.reason == "stale", error  # noqa: PT017
