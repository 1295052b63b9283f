"""Row-wise and total IPR of tables against numpy, and what a rotation leaves of them."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokinterp as gi
from analyses.one_run import row_ipr

P = 11


@pytest.fixture(scope="module")
def transformer_run() -> gi.Run:
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, train_fraction=0.5),
        model=gi.TransformerConfig.paper1(d_model=12, n_heads=2),
        training=gi.TrainConfig(steps=2),
    )
    return gi.train(config, device="cpu", progress=False)


def numpy_ipr(rows: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(rows)) ** 2
    return (power**2).sum(axis=1) / power.sum(axis=1) ** 2


def numpy_total(rows: np.ndarray) -> float:
    power = (np.abs(np.fft.rfft(rows)) ** 2).sum(axis=0)[1:]
    return float((power**2).sum() / power.sum() ** 2)


def test_tables_of_two_architectures_match_numpy(
    corrupted_run: gi.Run, transformer_run: gi.Run
) -> None:
    found = row_ipr.compute([corrupted_run, transformer_run], labels=["mlp", "transformer"])
    assert found.run.values.tolist() == ["mlp", "transformer"]
    assert dict(found.ipr.sizes) == {"run": 2, "table": 2, "feature": 48}
    mlp, transformer = corrupted_run.model, transformer_run.model
    tables = {
        ("mlp", "input"): np.concatenate([w.T for w in mlp.W_E.double().detach().numpy()]),
        ("mlp", "output"): mlp.W_U.double().detach().numpy(),
        ("transformer", "input"): transformer.W_E.double().detach().numpy().T,
        ("transformer", "output"): transformer.W_U.double().detach().numpy(),
    }
    for (run, table), rows in tables.items():
        here, n = found.sel(run=run, table=table), len(rows)
        np.testing.assert_allclose(here.ipr[:n], numpy_ipr(rows), rtol=1e-9)
        assert np.isnan(here.ipr[n:]).all()
        assert here.n_features == n
        assert here.n_dead == 0
        assert here.mean_ipr.item() == pytest.approx(numpy_ipr(rows).mean())
        assert here.total_ipr.item() == pytest.approx(numpy_total(rows))


def test_a_rotation_of_the_residual_stream_moves_rows_and_not_the_total(
    transformer_run: gi.Run,
) -> None:
    """An embedding of one frequency in two directions: every row of it is a cosine."""
    x = torch.arange(P) * 2 * torch.pi * 3 / P
    table = torch.zeros(P, 12)
    table[:, 0], table[:, 1], table[:, 2] = x.cos(), x.sin(), (2 * x).cos()
    rotation, _ = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0)))
    found = []
    for rotated in (torch.eye(12), rotation):
        model = copy.deepcopy(transformer_run.model)
        model.embed.W_E.data[:P] = table @ rotated
        found.append(row_ipr.compute(dataclasses.replace(transformer_run, model=model)))
    plain, turned = (f.isel(run=0).sel(table="input") for f in found)
    assert plain.n_dead == 9
    assert plain.mean_ipr.item() == pytest.approx(1.0, abs=1e-6)
    assert turned.mean_ipr.item() < 0.9
    total = (2 / 3) ** 2 + (1 / 3) ** 2  # two of three units of power at frequency 3
    assert plain.total_ipr.item() == pytest.approx(total, abs=1e-6)
    assert turned.total_ipr.item() == pytest.approx(total, abs=1e-6)


def test_multiplication_is_measured_in_its_own_basis(corrupted_run: gi.Run) -> None:
    """Weights that are a cosine of the discrete logarithm have IPR 1."""
    logs = {pow(2, k, P): k for k in range(P - 1)}  # 2 generates the units mod 11
    angle = torch.tensor([2 * torch.pi * 3 * logs.get(x, 0) / (P - 1) for x in range(P)])
    model = copy.deepcopy(corrupted_run.model)
    model.W_E.data[:] = angle.cos()[:, None]
    config = corrupted_run.config.replace({"data.operation": "multiplication"})
    run = dataclasses.replace(corrupted_run, model=model, config=config)
    assert row_ipr.input_ipr(run) == pytest.approx(1.0, abs=1e-6)
    assert row_ipr.total_input_ipr(run) == pytest.approx(1.0, abs=1e-6)
    plain = dataclasses.replace(run, config=corrupted_run.config)
    assert row_ipr.input_ipr(plain) < 0.9


def test_measures_are_the_numbers_of_the_dataset(transformer_run: gi.Run) -> None:
    found = row_ipr.compute(transformer_run).isel(run=0)
    measured = {name: measure(transformer_run) for name, measure in row_ipr.ROW_MEASURES.items()}
    assert measured == {
        "input_ipr": found.mean_ipr.sel(table="input").item(),
        "total_input_ipr": found.total_ipr.sel(table="input").item(),
        "output_ipr": found.mean_ipr.sel(table="output").item(),
    }


def test_plot_has_two_histograms_per_run(
    corrupted_run: gi.Run, transformer_run: gi.Run, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    model = copy.deepcopy(corrupted_run.model)
    model.W_U.data[:3] = 0
    runs = [dataclasses.replace(corrupted_run, model=model), transformer_run]
    found = row_ipr.compute(runs, labels=["one", "two"])
    figure: Any = row_ipr.plot_rows(found)
    assert len(figure.data) == 4
    drawn = [trace.x for trace in figure.data]
    np.testing.assert_array_equal(np.stack(drawn), found.ipr.values.reshape(4, -1))
    assert [line.x0 for line in figure.layout.shapes] == found.mean_ipr.values.flatten().tolist()
    headings = [note.text.replace("<br>", " ") for note in figure.layout.annotations]
    assert "24 rows, 3 dead" in headings[1]
    total = found.total_ipr.sel(run="two", table="input").item()
    assert headings[2].startswith("<b>two</b>, input 12 rows ")
    assert f"total IPR {total:.2f}" in headings[2]
    assert {"IPR of a row (1 = one frequency)", "% of rows"} <= axis_titles(figure)


def test_a_dead_table_is_drawn_without_a_mean(corrupted_run: gi.Run) -> None:
    model = copy.deepcopy(corrupted_run.model)
    model.W_U.data[:] = 0
    found = row_ipr.compute(dataclasses.replace(corrupted_run, model=model))
    assert np.isnan(found.mean_ipr.sel(table="output").item())
    figure: Any = row_ipr.plot_rows(found)
    assert len(figure.layout.shapes) == 1


def test_no_runs_and_no_basis_are_refused(corrupted_run: gi.Run) -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        row_ipr.compute([])
    config = corrupted_run.config.replace({"data.operation": "a**2 + b"})
    with pytest.raises(ValueError, match="no known periodic basis"):
        row_ipr.compute(dataclasses.replace(corrupted_run, config=config))
