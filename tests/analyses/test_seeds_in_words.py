"""How figures say on how many seeds they stand; each figure's own test sees that it does."""

import pytest
import xarray as xr

from analyses.pages.labels import seeds_in_words


@pytest.mark.parametrize(
    ("counts", "of", "words"),
    [
        (1, None, "one seed"),
        (3, None, "3 seeds"),
        ([3, 3], None, "3 seeds"),
        ([0, 2, 3], None, "2 to 3 seeds"),
        (1, 1, "one seed"),
        (3, 3, "3 seeds"),
        (1, 3, "1 of 3 seeds"),  # two were left out
        ([[2, 3], [3, 0]], 3, "2 to 3 of 3 seeds"),
        ([0, 0], 3, "0 of 3 seeds"),
    ],
)
def test_seeds_in_words(counts: object, of: int | None, words: str) -> None:
    assert seeds_in_words(counts, of=of) == words
    assert seeds_in_words(xr.DataArray(counts), of=of) == words
