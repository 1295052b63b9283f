"""What entries read exists: every experiment, run at its tiny size, has the variables they name."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest

from analyses.ledger import catalogue
from analyses.ledger.measures import experiments
from analyses.pages.finding import Finding

SOURCES = {
    entry.source.compute: entry.source
    for entry in catalogue.entries()
    if entry.source.experiment is not None
}
NETWORK = {"semi_grokking", "d_crit", "ungrokking"}


@pytest.mark.command
@pytest.mark.filterwarnings("ignore::grokinterp.ZeroLossWarning")  # toys learn their data by heart
@pytest.mark.parametrize("compute", sorted(filter(None, SOURCES)))
def test_an_experiment_has_what_entries_read(compute: str, tmp_path: Path) -> None:
    module, _, name = compute.partition(":")
    options = {"network": "mlp"} if name in NETWORK else {}
    function = getattr(importlib.import_module(module), name)
    data = function(seeds=2, work=tmp_path, size="tiny", **options)
    for entry in catalogue.entries():
        if entry.source.compute == compute:
            for part in entry.reads.values():
                for variable in filter(None, (part.variable, part.low, part.high)):
                    assert variable in data, (entry.id, variable)
                    assert set(part.at) <= set(data[variable].dims), (entry.id, part)


def test_only_semi_grokked_runs_count_among_those_taken_apart() -> None:
    runs = {
        "S_mem": ("run", [0.9, 0.2, 0.5]),
        "S_gen": ("run", [0.8, 0.1, 0.6]),
        "verdict": ("run", ["both", "both", "memorising only"]),
    }
    ends = ("run", ["semi-grokked", "unfinished", "semi-grokked"])
    found = experiments._taken_apart([xr.Dataset(runs, coords={"outcome": ends})])
    low, high = binomtest(1, 2).proportion_ci(method="wilson")
    assert found == pytest.approx(
        {
            "taken_apart": 2,
            "S_mem": 0.7,
            "S_gen": 0.7,
            "both_circuits": 0.5,
            "both_circuits_low": low,
            "both_circuits_high": high,
        }
    )
    for none in ([], [xr.Dataset(runs, coords={"outcome": ends}).isel(run=[1])]):
        told = experiments._taken_apart(none)
        assert told.pop("taken_apart") == 0
        assert np.isnan(list(told.values())).all()


def test_semi_grokking_is_told_of_both_its_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ends of all runs, and what was taken apart: here nothing."""
    ends = ("network", "budget", "fraction", "seed")
    data = xr.Dataset(
        {
            "test_accuracy": (("network", "fraction", "seed", "step"), [[[[0.0, 1.0]]]]),
            "last": (ends, [[[[1.0]]]]),
            "share": (ends, [[[[1.0]]]]),
            "outcome": (ends, [[[["grokked"]]]]),
        },
        {"network": ["mlp"], "budget": [10], "fraction": [0.5], "seed": [0], "step": [0, 10]},
    )
    found = [Finding(data=data, figures=[], rows=[])]
    monkeypatch.setattr(experiments, "findings", lambda *_, **__: found)
    told = experiments.semi_grokking(seeds=1, work=tmp_path, size="tiny", network="mlp")
    assert (told.judged.item(), told.semi_grokked.item(), told.taken_apart.item()) == (1, 0, 0)
