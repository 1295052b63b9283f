"""Faults that the ledger is there for turn entries from PASS to FAIL."""

import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

import probes.fourier
from analyses.ledger import catalogue
from analyses.ledger.entry import Source
from analyses.ledger.measures import closed_form, published_runs
from analyses.ledger.results import Result
from analyses.ledger.verdicts import rows_of
from analyses.one_run.phases import EndPoint
from grokinterp import Run
from grokinterp.training.optimizer import StackedOptimizer

NOWHERE = Path("not-used")
BY_ID = {entry.id: entry for entry in catalogue.entries()}


def verdicts(name: str, data: xr.Dataset) -> dict[str, str]:
    """The verdict of each row of an entry, if this were its source's result."""
    rows = rows_of(BY_ID[name], Result(data=data, about={}))
    return {row.published or row.quantity: str(row.verdict) for row in rows}


def replanted(function: Any, pieces: dict[str, str]) -> Any:
    """The function with pieces of its source replaced."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in pieces.items():
        assert source.count(old) == 1, f"{function.__name__} has no {old!r}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = dict(vars(sys.modules[function.__module__]))
    exec(source, namespace)
    return namespace[function.__name__]


def test_a_two_sided_spectrum_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The correction of the published range, which then does not hold, becomes OPEN."""

    def found() -> list[str]:
        data = closed_form.periodicity_range(seeds=5, work=NOWHERE)
        names = ("1/eq3-range", "1/eq3-cosine", "1/eq3-noise")
        return [verdict for name in names for verdict in verdicts(name, data).values()]

    assert found() == ["DIFFERS", "PASS", "PASS"]
    monkeypatch.setattr(
        probes.fourier.torch.fft, "rfft", lambda rows, dim: torch.fft.fft(rows, dim=dim)
    )
    assert found() == ["OPEN", "FAIL", "FAIL"]


def test_memory_measured_on_redrawn_labels_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[str]:
        data = closed_form.network_that_ignores_wrong_labels(seeds=5, work=NOWHERE)
        return list(verdicts("1/tables-ignoring", data).values())

    assert found() == ["PASS"]
    of = EndPoint.of

    def planted(run: Run) -> EndPoint:
        swapped = run.history.assign(changed_accuracy=run.history.selected_accuracy)
        fields = {**vars(of(run)), "changed": float(swapped.changed_accuracy[-1])}
        return EndPoint(**fields)

    monkeypatch.setattr(EndPoint, "of", planted)
    assert found() == ["FAIL"]


@pytest.mark.slow
def test_eps_inside_the_root_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are as small as the root of eps, so training is late."""

    def found() -> dict[str, str]:
        data = published_runs.runs_by_decay(
            seeds=1, work=NOWHERE, decays=[[5.0, 30]], log_every=2, corruption=0.0
        )
        crossings = verdicts("1/fig2-xi0-wd5-crossings", data)
        return {name: verdict for name, verdict in crossings.items() if ".train_acc" in name}

    update = StackedOptimizer.update
    own = {"if self.in_one_pass and noise is None:": "if False:"}  # not torch's, but ours
    monkeypatch.setattr(StackedOptimizer, "update", replanted(update, own))
    assert set(found().values()) == {"PASS"}
    outside = "torch.sqrt(second, out=update).add_((self._eps * bias2_root).to(update))"
    inside = "torch.sqrt(second + (self._eps * bias2_root).to(update), out=update)"
    monkeypatch.setattr(StackedOptimizer, "update", replanted(update, own | {outside: inside}))
    assert "FAIL" in found().values()


def test_every_verdict_needs_a_result() -> None:
    entry = BY_ID["1/eq3-range"]
    (row,) = rows_of(entry, None)
    assert row.verdict == "OPEN"
    assert row.note == "under a minute on two cores"
    assert isinstance(entry.source, Source)
    data = xr.Dataset({"smallest": 1 / 97})
    assert [row.verdict for row in rows_of(entry, Result(data=data, about={}))] == ["OPEN"]
    good = xr.Dataset({"smallest": 1 / 49})
    assert [row.verdict for row in rows_of(entry, Result(data=good, about={}))] == ["DIFFERS"]
