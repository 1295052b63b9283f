"""Folders of runs: what two sources keep in one place is the same run."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import grokinterp as gi
from analyses.announcement import Announcement
from analyses.ledger import catalogue, running
from analyses.ledger.entry import Source, sources_of

SOURCES = {one.name: one for one in sources_of(catalogue.entries()) if one.compute}


class Stop(Exception):
    """What a source trains is known."""


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> dict[Path, Any]:
    """Path of every run or sweep that a source is about to train, and what it stands for."""
    found: dict[Path, Any] = {}

    def announce(out: Path, runs: Any, **options: Any) -> None:
        found.update({out / run.folder: run.config for run in runs})
        raise Stop

    def sweep(base: Any, axes: Any, seeds: Any, measure: Any, store: Path, **options: Any) -> None:
        del measure
        found[store] = (base, {name: list(axis) for name, axis in axes.items()}, seeds, options)
        raise Stop

    monkeypatch.setattr(Announcement, "of", announce)
    monkeypatch.setattr(gi, "sweep", sweep)
    return found


def test_sources_that_share_a_folder_share_runs_and_never_clash(
    wanted: dict[Path, Any], tmp_path: Path
) -> None:
    """Every path stands for one config. A source alone in its folder clashes with none."""
    shared: dict[Any, list[Source]] = defaultdict(list)
    for source in SOURCES.values():
        own = source.name if source.runs is None else source.runs
        shared[own, source.networks].append(source)
    together = [one for sources in shared.values() if len(sources) > 1 for one in sources]
    assert {"training_efficiency_small", "model_efficiency_small"} <= {
        source.name for source in together
    }
    seen: dict[Path, Any] = {}
    for source in together:
        wanted.clear()
        with pytest.raises(Stop):
            running.compute(source, tmp_path, {})
        for path, config in wanted.items():
            assert path.is_relative_to(tmp_path / running.place(source))
            assert seen.setdefault(path, config) == config, (source.name, path)


def test_the_cells_of_figure_3a_are_trained_once_for_all_that_compare_with_them() -> None:
    cells = tuple(SOURCES[f"cells_fig3a_{panel}"] for panel in range(4))
    for name in ("fig3a", "fig26", "fig27", "fig29", "fig31"):
        assert SOURCES[name].parts[:4] == cells
