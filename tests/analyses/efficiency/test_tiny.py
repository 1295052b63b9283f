"""Size "tiny" is small, but shows what the experiments are about: it groks, and ungroks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grokinterp as gi
from analyses.efficiency import grokking_across, model_efficiency, settings, ungrokking
from analyses.efficiency.data_efficiency import grids as data_efficiency_settings
from analyses.efficiency.mixing import runs as mixture_runs
from analyses.efficiency.model_efficiency import runs as efficiency_runs
from analyses.efficiency.model_efficiency import trend as efficiency_trend
from analyses.efficiency.ungrokking.runs import FRACTIONS
from analyses.pages import finding
from analyses.registry import EXPERIMENTS

WITH_SIZES = [
    name for name in EXPERIMENTS if name not in ("architectures", "coverage", "dissociation")
]


@pytest.fixture(scope="module")
def toys() -> list[gi.Run]:
    """A network of every kind, trained on 70 % of the pairs."""
    networks = {name: settings.network(name, "tiny") for name in settings.NETWORKS}
    wanted = settings.grid(networks, [0.7], seeds=1)
    return [gi.train(named.config, device="cpu", progress=False) for named in wanted]


@pytest.mark.slow
def test_toys_memorise_first_and_generalise_later(toys: list[gi.Run]) -> None:
    rows = grokking_across.table(grokking_across.compute(toys))
    assert [row["network"] for row in rows] == list(settings.NETWORKS)
    for row in rows:
        assert row["delay"] > 1.5
        assert row["validation at train 99 %"] < 0.5


@pytest.mark.command
def test_toys_ungrok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fractions = FRACTIONS["tiny"]
    monkeypatch.setitem(FRACTIONS, "tiny", (fractions[0], fractions[-1]))
    starts, runs = ungrokking.collect_runs(tmp_path, "tiny", 1, networks=["mlp"], controls=False)
    found = ungrokking.compute(runs, starts).final.squeeze()
    assert found.sel(fraction=fractions[0]) < 0.1
    assert found.sel(fraction=fractions[-1]) > 0.9


@pytest.mark.command
def test_toys_have_costs_that_cross(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficiency_runs, "FRACTIONS", (0.7, 0.9))
    monkeypatch.setattr(efficiency_runs, "SMALL_FRACTIONS", (0.05,))
    found = model_efficiency.compute(efficiency_runs.collect_runs(tmp_path, "tiny", 1))
    assert np.isfinite(found.target_margin)
    assert (found.missing.sel(fraction=[0.7, 0.9]) == "").any("seed").all()  # no empty panel
    curves = efficiency_trend.cost_curves(found).squeeze("seed")
    cheaper = (curves.generalising < curves.memorising).values
    assert list(cheaper) == [False, True, True]


@pytest.mark.command
def test_toys_of_the_mixture_are_circuits(tmp_path: Path) -> None:
    """Those of one seed; ``protocols`` raises if a network is not the circuit it should be."""
    (pair,) = mixture_runs.collect_runs(tmp_path, "tiny", 1)
    tables = mixture_runs.protocols(pair)
    assert tables["leak-free"].errors == 0
    assert tables["as published"].overlap > 0


@pytest.mark.command
def test_toys_of_the_data_efficiency_generalise() -> None:
    preset = data_efficiency_settings.get("tiny")
    changes = preset.axes["setting"]["decay to zero, high rate"]
    for fraction, learned in ((preset.fractions[0], False), (preset.fractions[-1], True)):
        config = preset.base.replace(changes | {"data.train_fraction": fraction})
        run = gi.train(config, device="cpu", progress=False)
        accuracy = run.checkpoint().metrics["test_accuracy"]
        assert accuracy > 0.9 if learned else accuracy < 0.5


@pytest.mark.slow
@pytest.mark.command
@pytest.mark.filterwarnings("ignore::grokinterp.ZeroLossWarning")  # toys learn their data by heart
@pytest.mark.parametrize("name", WITH_SIZES)
def test_every_command_has_something_to_show(
    name: str, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(
        finding, "write_finding", lambda found, page, **_: drawn.extend(found.figures)
    )
    result = command("run", name, tmp_path, "--size", "tiny")
    assert result.exit_code == 0, result.output
    assert "nan" not in result.output.split()
    assert drawn
    for figure in drawn:
        assert "nan" not in str(figure.layout).split()
        panels = {trace.yaxis or "y" for trace in figure.data}
        assert panels == {trace.yaxis or "y" for trace in figure.data if _is_visible(trace)}


def _is_visible(trace: Any) -> bool:
    values = np.asarray(trace[{"heatmap": "z", "histogram": "x"}.get(trace.type, "y")])
    return any(value is not None and value == value for value in values.ravel())
