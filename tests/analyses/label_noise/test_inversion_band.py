"""Bisection of a band whose edges are known beforehand."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokinterp as gi
from analyses.label_noise import inversion_band as band
from grokinterp.sweeps.collect import Named

# By loss: the first and last decay that invert.
BANDS = {"cross_entropy": (3.0, 4.5), "mse": (1.2, 20.0)}
CONFIG = band.grid_runs("tiny", 1)[0].config
DATASET, MODEL = gi.make_dataset(CONFIG.data), gi.build_model(CONFIG)
# Accuracies of test, train, changed and unchanged.
GENERALISES, INVERTS, CONFUSED = (1.0, 1.0, 1.0, 1.0), (1.0, 0.9, 0.0, 1.0), (0.1, 0.1, 0.1, 0.1)


def run_of(config: gi.RunConfig, accuracies: tuple[float, ...]) -> gi.Run:
    """A run whose history ends with these accuracies."""
    names = ("test", "train", "changed", "unchanged")
    rows = {f"{name}_accuracy": ("step", [a]) for name, a in zip(names, accuracies, strict=True)}
    rows |= {"train_loss": ("step", [1.0]), "test_loss": ("step", [1.0])}
    history = xr.Dataset(rows | {"norm": (("step", "weight"), [[1.0]])}, coords={"step": [1]})
    return gi.Run(config=config, dataset=DATASET, model=MODEL, history=history)


def trained_at(config: gi.RunConfig) -> gi.Run:
    """A run whose phase follows from its loss and decay."""
    low, high = BANDS[config.training.loss]
    decay = config.training.weight_decay
    return run_of(config, GENERALISES if decay < low else INVERTS if decay <= high else CONFUSED)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Named]:
    """The runs that were asked for; none is trained."""
    asked: list[Named] = []

    def collect(out: Path, wanted: Sequence[Named]) -> list[gi.Run]:
        asked.extend(wanted)
        return [trained_at(named.config) for named in wanted]

    monkeypatch.setattr(band, "collect", collect)
    return asked


def test_edges_are_bracketed_to_nine_percent(trained: list[Named], tmp_path: Path) -> None:
    data = band.compute(band.scan(tmp_path, "tiny", 2))
    for loss, (low, high) in BANDS.items():
        here = data.sel(loss=loss)
        lower, upper = here.sel(edge="lower"), here.sel(edge="upper")
        assert float(lower.outside) < low <= float(lower.inside)
        assert float(upper.inside) <= high < float(upper.outside)
        assert float(lower.inside / lower.outside) == pytest.approx(2 ** (1 / 8))
        assert float(upper.outside / upper.inside) == pytest.approx(2 ** (1 / 8))
        assert float(here.width) == pytest.approx(high / low, rel=0.1)
        assert float(here.least_width) <= high / low < float(here.most_width)
    row = band.table(data)[0]
    assert row["below"] == f"{row['below'].split()[0]} coexistence"  # pyright: ignore[reportAttributeAccessIssue]
    assert row["above"] == f"{row['above'].split()[0]} confusion"  # pyright: ignore[reportAttributeAccessIssue]


def test_what_is_trained_is_what_was_announced(trained: list[Named], tmp_path: Path) -> None:
    steps = iter(band.experiment(tmp_path, "tiny", 2))
    announced = next(steps)
    next(steps)
    assert announced.all_runs == len(trained) == (7 + 3 * 2) * 2 * 2  # pyright: ignore[reportAttributeAccessIssue]
    unknown = dict.fromkeys(product(band.LOSSES, band.EDGES), 1.0)
    later = [n.folder for turn in (1, 2, 3) for n in band.edge_runs("tiny", 2, turn, unknown)]
    folders = {named.folder for named in [*band.grid_runs("tiny", 2)]} | set(later)
    assert {named.folder for named in trained} == folders


def test_a_band_beyond_the_grid_has_no_edge(
    trained: list[Named], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BANDS, "mse", (0.1, 5.0))
    monkeypatch.setitem(BANDS, "cross_entropy", (3.0, 3.5))  # between two decays of the grid
    data = band.compute(band.scan(str(tmp_path), "tiny", 1))
    mse, missed = data.sel(loss="mse"), data.sel(loss="cross_entropy")
    assert float(mse.inside.sel(edge="lower")) == 0.5
    assert np.isnan(mse.outside.sel(edge="lower"))
    assert np.isfinite(mse.outside.sel(edge="upper"))
    assert np.isnan(mse.width)
    assert float(mse.least_width) == float(mse.inside.sel(edge="upper")) / 0.5
    assert mse.most_width == np.inf
    assert np.isnan(missed.inside).all()
    assert np.isnan(missed.least_width)
    assert np.isnan(missed.most_width)
    rows = band.table(data)
    assert rows[0]["below"] == "3 coexistence, 4 confusion"
    assert rows[0]["above"] == rows[1]["below"] == "nothing tried"
    titles = [a.text.replace("<br>", " ") for a in band.plot_band(data).layout.annotations]  # pyright: ignore[reportAttributeAccessIssue]
    assert titles[0] == "<b>cross-entropy: none inverts</b>"


@pytest.mark.parametrize(
    ("inverts", "stretch"),
    [
        ({1.0: False, 2.0: True, 4.0: True, 8.0: False, 16.0: True}, (2, 4)),
        ({1.0: True, 2.0: False, 4.0: True, 16.0: True, 8.0: True}, (4, 16)),
        ({1.0: True, 2.0: False, 4.0: True}, (1, 1)),
        ({1.0: False, 2.0: False}, None),
    ],
)
def test_the_longest_stretch_is_the_band(
    inverts: dict[float, bool], stretch: tuple[float, float] | None
) -> None:
    assert band.inverting(inverts) == stretch


def test_a_tie_of_seeds_does_not_invert() -> None:
    config = CONFIG.replace({"training.weight_decay": 3.5})
    inverts, other = run_of(config, INVERTS), run_of(config, GENERALISES)
    assert band.compute([inverts, inverts]).inside.sel(loss="cross_entropy").values[0] == 3.5
    votes = [inverts, run_of(other.config.replace({"seed": 1}), GENERALISES)]
    assert band.compute(votes).inside.isnull().all()
