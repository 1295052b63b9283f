"""Neurons needed by networks whose useful neurons were put there."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses.label_noise import pruned_width
from grokinterp.sweeps.collect import Named

P, USEFUL = 11, 120  # the analytic solution of this width is right on all pairs


@pytest.mark.parametrize(
    ("accuracy", "level", "needed"),
    [
        ([1.0, 1.0, 0.99, 0.5, 0.0], 0.95, 2),
        ([1.0, 0.5, 1.0, 1.0, 0.0], 0.95, 4),  # what comes after the first loss does not count
        ([1.0, 1.0, 1.0, 1.0, 1.0], 0.95, 0),
        ([0.95, 0.9], 0.95, 1),
    ],
)
def test_neurons_needed(accuracy: list[float], level: float, needed: int) -> None:
    assert pruned_width.neurons_needed(np.array(accuracy), level) == needed


def planted(width: int, seed: int) -> gi.Run:
    """A network of ``width`` neurons of which 120 add, and the rest are faint noise."""
    (named,) = [n for n in pruned_width.wanted("tiny", seed + 1)
                if n.config.model.d_mlp == 200 and n.config.seed == seed]  # fmt: skip
    config = named.config.replace({"data.p": P, "model.d_mlp": width})
    model, rng = gi.build_model(config), torch.Generator().manual_seed(seed)
    solution = gi.closed_form_mlp(P, USEFUL, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 1e-3, generator=rng)
        model.W_E[..., :USEFUL], model.W_U[:USEFUL] = solution.W_E, solution.W_U  # pyright: ignore[reportIndexIssue, reportArgumentType]
    nothing = xr.Dataset(coords={"step": []})
    data = gi.make_dataset(config.data)
    return gi.Run(config=config, dataset=data, model=model.eval(), history=nothing)


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return pruned_width.compute([planted(w, seed) for w in (150, 200, 300) for seed in (0, 1)])


def test_only_the_useful_neurons_are_needed(data: xr.Dataset) -> None:
    assert (data.test == 1).all()
    assert ((data.needed > 10) & (data.needed <= USEFUL)).all()
    assert (data.needed.sel(reading="0.90") <= data.needed.sel(reading="within 0.01")).all()


def test_means_errors_and_exponents_are_scipys(data: xr.Dataset) -> None:
    from scipy import stats

    needed = data.needed.sel(reading="0.90").values
    one = data.sel(reading="0.90")
    assert one["mean"].values == pytest.approx(needed.mean(axis=1))
    assert one.error.values == pytest.approx(stats.sem(needed, axis=1))
    x, y = np.log(np.repeat(data.width.values, 2)), np.log(needed.ravel())
    line = np.polyfit(x, y, 1)
    assert float(one.exponent) == pytest.approx(line[0])
    residuals = y - np.polyval(line, x)
    error = (residuals @ residuals / 4 / ((x - x.mean()) ** 2).sum()) ** 0.5
    assert float(one.high - one.exponent) == pytest.approx(stats.t.ppf(0.975, 4) * error)


def test_a_network_that_does_not_generalise_needs_no_number(data: xr.Dataset) -> None:
    noise = planted(150, 0)
    with torch.no_grad():
        for parameter in noise.model.parameters():
            parameter.normal_(0.0, 1e-3, generator=torch.Generator().manual_seed(2))
    found = pruned_width.compute([noise, planted(200, 0)])
    assert found.n.sel(width=150).values.tolist() == [0, 0]
    assert np.isnan(found.needed.sel(width=150)).all()
    assert np.isnan(found.error).all()
    assert np.isnan(found.exponent).all()
    assert "too few networks generalise" in str(pruned_width.table(found)[-1])
    with pytest.raises(
        ValueError, match=r"each model\.d_mlp with each seed once, got \[\(150, 0\)"
    ):
        pruned_width.compute([noise, planted(200, 1)])


def test_the_figure_shows_means_bands_and_runs(data: xr.Dataset) -> None:
    figure = pruned_width.plot_needed(data)
    lines = [t for t in figure.data if t.mode == "lines+markers"]  # pyright: ignore[reportAttributeAccessIssue]
    assert len(lines) == 4
    assert lines[0].y == pytest.approx(data["mean"].sel(reading="within 0.01").values)  # pyright: ignore[reportAttributeAccessIssue]
    share = data["mean"].sel(reading="within 0.01") / data.width
    assert lines[1].y == pytest.approx(share.values)  # pyright: ignore[reportAttributeAccessIssue]
    assert "2 seeds" in figure.layout.title.text  # pyright: ignore[reportAttributeAccessIssue]


def test_published_settings_are_the_papers() -> None:
    runs: list[Named] = pruned_width.wanted("published", 5)
    assert sorted({n.config.model.d_mlp for n in runs}) == [
        500,
        1000,
        2000,
        3500,
        5000,
        7000,
        10000,
    ]
    config = runs[0].config
    assert len(runs) == 35
    assert (config.training.lr, config.training.weight_decay) == (5e-3, 1.0)
    assert (config.data.train_fraction, config.data.corruption) == (0.5, 0.35)
    assert (config.data.p, config.training.steps, config.training.loss) == (97, 2000, "mse")
    assert dataclasses.replace(runs[4].config.data, seed=0) == config.data
