"""How values of several seeds are told in words."""

import numpy as np
import pytest

from analyses.ledger import over_seeds

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.51349, "0.5135"),
        (2.0, "2"),
        (-24_370.2, "-24370"),
        (73_770.0, "73770"),
        (2.5e7, "2.5e+07"),
        (3.21e-5, "3.21e-05"),
        (INF, "inf"),
        (NAN, "no value"),
    ],
)
def test_a_number(value: float, told: str) -> None:
    assert over_seeds.number(value) == told


@pytest.mark.parametrize(
    ("values", "by_median", "told"),
    [
        ([99.939312], False, "99.9393"),
        ([98_600.0], True, "98600"),
        ([NAN], True, "no value"),
        ([12_800.0, 14_000.0, 18_000.0], True, "14000 (12800 to 18000)"),
        ([12_800.0, 14_000.0, NAN], True, "14000 (12800 to inf)"),  # the last never gets there
        ([1.0, 3.0], False, "2 ± 13"),  # Student's t with one degree of freedom: 12.71
        ([1.0, NAN], False, "no value"),
    ],
)
def test_several_seeds(values: list[float], by_median: bool, told: str) -> None:
    assert over_seeds.told(np.array(values), by_median) == told
