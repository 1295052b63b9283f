"""A phase also counts where the memorised share is within .05 of it; nothing is trained."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from analyses.ledger.measures import published_runs


@pytest.mark.parametrize(
    ("test", "known", "phases"),
    [
        (0.95, 0.96, "C"),
        (0.95, 0.94, "CP"),
        (0.95, 0.86, "CP"),
        (0.95, 0.84, "P"),
        (0.95, 0.14, "PF"),
        (0.95, 0.06, "PF"),
        (0.95, 0.04, "F"),
        (0.89, 0.04, ""),
    ],
)
def test_the_next_phase_counts_near_a_threshold(
    test: float, known: float, phases: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    axes = ("norm", "train_fraction", "seed", "step")
    ends = {
        f"{name}_accuracy": (axes, [[[[0.5, value]]]])
        for name, value in (("test", test), ("changed", known))
    }
    data = xr.Dataset({**ends, "in_phase": ("phase", [1.0])})
    monkeypatch.setattr(published_runs, "norm_runs", lambda **_: data)
    options: dict[str, Any] = {"norms": [], "train_fractions": [], "corruption": 0.3}
    found = published_runs.norm_phases(
        seeds=1, work=tmp_path, **options, steps=1, log_every=1
    ).near_phase
    names = {"C": "coexistence", "P": "partial inversion", "F": "full inversion"}
    assert set(found.dims) == {"phase", "norm", "train_fraction", "seed"}
    assert {letter for letter, name in names.items() if found.sel(phase=name).item()} == {*phases}
