"""What is said of estimates that agree, disagree or are missing, and how they are drawn."""

import math
from typing import Any

import numpy as np
import pytest

from analyses.statistics import agreement
from analyses.statistics.critical_size import CriticalSize

NONE = CriticalSize(math.nan, reason="not detected: accuracy 0.2 at the smallest size")


def test_overlapping_intervals() -> None:
    said = agreement.agreement(
        {"a": CriticalSize(10.0, 5.0, 20.0), "b": CriticalSize(15.0, 12.0, 30.0)}
    )
    assert said == "The 2 intervals overlap, from 12 to 20 pairs: no disagreement is seen."


def test_intervals_apart_are_named_with_their_ratio() -> None:
    said = agreement.agreement(
        {
            "a": CriticalSize(10.0, 8.0, 12.0),
            "b": CriticalSize(40.0, 30.0, 50.0),
            "c": CriticalSize(11.0, 9.0, 35.0),
            "d": NONE,
        }
    )
    assert said == (
        "The estimates disagree, their intervals lie apart: b is 4 times a. No interval: d."
    )


def test_one_estimate_cannot_agree() -> None:
    said = agreement.agreement(
        {"a": CriticalSize(10.0, 8.0, 12.0), "b": CriticalSize(9.0, reason="one seed")}
    )
    assert said.startswith("Fewer than two estimates with an interval")
    assert said.endswith("No interval: b.")


def test_the_plot_draws_what_is_known_and_says_what_is_not() -> None:
    data = agreement.compute(
        {"crossing": CriticalSize(10.0, 8.0, 15.0, 1000), "midpoint": NONE}, n_pairs=169
    )
    figure: Any = agreement.plot_estimates(data, seeds="3 seeds")
    assert "3 seeds" in figure.layout.title.text
    (points,) = figure.data
    np.testing.assert_array_equal(points.x, [10, math.nan])
    assert points.error_x.array[0] == 5
    assert points.error_x.arrayminus[0] == 2
    shown = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert shown == ["", NONE.reason]
    assert list(figure.layout.yaxis.ticktext) == ["crossing", "midpoint"]
    assert "of 169" in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.type == "log"


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="estimates is empty"):
        agreement.compute({})
