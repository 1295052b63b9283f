"""Entries on phase diagrams at both ends: networks that learn nothing, and just what is claimed."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import grokinterp as gi
from analyses.ledger import catalogue, running
from analyses.ledger.entry import Source, sources_of
from analyses.ledger.results import Result
from analyses.ledger.verdicts import Row, rows_of
from analyses.one_run.phases import EndPoint
from tests.analyses.end_points import end, fake_sweep

SOURCES = {source.name: source for source in sources_of(catalogue.entries())}
# Claims of absence, that Confusion is there, and checks of our own rule for phases.
HOLD = {
    "fig3a": {"1/fig3a-no-forgetting", "1/fig24", "1/cuts"},
    "fig3b": {"1/fig3b-confusion-cells", "1/fig25"},
    "fig26": {"1/fig26-forgetting"},
    "fig27": {"1/fig27-forgetting"},
    "fig28": set(),
    "fig29": {"1/fig29-partial"},
    "fig7a": set(),
    "fig7b": {"1/sec2.2-mlp3-full"},
    "fig13": {"1/sec2.2-transformer-full"},
    "fig9": set(),
    "least_decay": set(),
}


def computed(source: Source, work: Path) -> xr.Dataset:
    """From its parts, if it has any."""
    parts = {part.name: computed(part, work) for part in source.parts}
    return running.compute(source, work, parts)


def verdicts(name: str, work: Path) -> list[Row]:
    """The rows of a source of which nothing is trained, as ``gi.sweep`` is replaced."""
    data = computed(dataclasses.replace(SOURCES[name], seeds=1), work)
    entries = [entry for entry in catalogue.entries() if entry.source.name == name]
    rows = [row for entry in entries for row in rows_of(entry, Result(data=data, about={}))]
    assert len(rows) >= len(entries) > 0
    unread = [row for row in rows if "the result" in row.note or "be compared" in row.note]
    assert not unread  # every read is there
    return rows


@pytest.mark.parametrize("name", HOLD)
def test_networks_that_learn_nothing_meet_no_other_claim(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sweep(base: gi.RunConfig, axes: Mapping[str, Any], *_: Any, **__: Any) -> xr.Dataset:
        cells = math.prod(len(values) for values in axes.values())
        chance = end(test=0.01, train=0.01, changed=0.01, unchanged=0.01)
        data = fake_sweep([chance] * cells, axes, base=base)
        return data.assign(best_accuracy=data.final_accuracy)

    monkeypatch.setattr(gi, "sweep", sweep)
    rows = verdicts(name, tmp_path)
    assert {row.entry for row in rows if row.verdict in ("PASS", "DIFFERS")} == HOLD[name]


def as_claimed(decay: float, alpha: float, xi: float) -> EndPoint:
    """What the text says of Fig. 3a: more data and decay generalise and invert, 20 forgets."""
    edge, floor = 0.2 + xi / 2 - decay / 100, 1 - xi + xi / 97
    n_changed = round(1000 * xi)
    common: dict[str, Any] = {"n_changed": n_changed, "corruption": xi}
    if alpha < edge:
        return end(test=0.1, **common)
    if decay == 20 and alpha > 0.7:
        return end(test=0.1, train=0.1, changed=0.1, unchanged=0.1, max_test=1.0, **common)
    if alpha > edge + 0.5 - decay / 30:
        return end(train=floor, changed=0.0, **common)
    if alpha > edge + 0.3 - decay / 30:
        return end(train=1 - 0.7 * (1 - floor), changed=0.3, **common)
    return end(**common)


def test_diagrams_as_the_text_has_them_meet_every_claim(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sweep(base: gi.RunConfig, axes: Mapping[str, Any], *_: Any, **__: Any) -> xr.Dataset:
        ends = [as_claimed(*cell) for cell in itertools.product(*axes.values())]
        return fake_sweep(ends, axes, base=base)

    monkeypatch.setattr(gi, "sweep", sweep)
    found = {row.entry: row.verdict for row in verdicts("fig3a", tmp_path)}
    differs = {"1/E3-table", "1/E11-column"}
    assert found == {name: "DIFFERS" if name in differs else "PASS" for name in found}
