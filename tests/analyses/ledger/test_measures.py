"""What entries read exists: every experiment, run at its tiny size, has the variables they name."""

import importlib
from pathlib import Path

import pytest

from analyses.ledger import catalogue

SOURCES = {
    entry.source.compute: entry.source
    for entry in catalogue.entries()
    if entry.source.experiment is not None
}
NETWORK = {"semi_grokking", "d_crit", "ungrokking"}


@pytest.mark.command
@pytest.mark.parametrize("compute", sorted(filter(None, SOURCES)))
def test_an_experiment_has_what_entries_read(compute: str, tmp_path: Path) -> None:
    module, _, name = compute.partition(":")
    options = {"network": "mlp"} if name in NETWORK else {}
    function = getattr(importlib.import_module(module), name)
    data = function(seeds=2, work=tmp_path, size="tiny", **options)
    for entry in catalogue.entries():
        if entry.source.compute == compute:
            for part in entry.reads.values():
                assert part.variable in data, entry.id
                assert set(part.at) <= set(data[part.variable].dims), (entry.id, part)
