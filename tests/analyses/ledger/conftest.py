"""A folder with one stored result."""

from pathlib import Path

import pytest

from analyses.ledger import results
from tests.analyses.ledger.toys import DATA, source


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A folder with the result of ``source()``."""
    results.store(tmp_path, source(), DATA, 1.26, results.key_of(source()))
    return tmp_path
