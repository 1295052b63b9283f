"""The page on performance says what was measured."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.page import PAGE, RESULTS, written

DEVICES = sorted(RESULTS.glob("*/gpu.json"))


def test_every_table_is_what_its_results_make() -> None:
    page = PAGE.read_text()
    assert page.count("<!-- table ") == page.count("<!-- end of table -->") > 5
    assert written(page) == page, "python -m tests.benchmarks.page writes it anew"


def test_a_changed_number_is_noticed() -> None:
    page = PAGE.read_text()
    changed = page.replace("| bfloat16 | 1.62 |", "| bfloat16 | 1.52 |")
    assert changed != page == written(changed)


@pytest.mark.parametrize("path", DEVICES, ids=[path.parent.name for path in DEVICES])
def test_the_page_names_every_device(path: Path) -> None:
    about = json.loads(path.read_text())["about"]
    named = f"{about['device']}, CUDA {about['cuda']}, torch {about['versions']['torch'][:4]}"
    assert named in PAGE.read_text()
