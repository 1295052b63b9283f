"""The place of ungrokking and its shift, on curves of known midpoints and on Fig. 8's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit

from analyses.efficiency.ungrokking import figures
from analyses.efficiency.ungrokking.place import locate

FRACTIONS = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13])
DECAYS = (0.01, 0.1, 1.0)
P, SLOPE = 97, 6


def final_accuracies(place: float | np.ndarray) -> np.ndarray:
    """By size, on the last axis: one half at ``place``, from 0.1 to 0.9 within a factor of 2.1."""
    n_train = (FRACTIONS * P**2).astype(int)
    return expit(SLOPE * np.log(n_train / np.asarray(place)[..., None]))


def made(places: np.ndarray, *, moments: tuple[str, ...] = ("fresh",)) -> xr.Dataset:
    """Final accuracies, one half at ``places`` [moments, decay, seed], in pairs."""
    n_train = (FRACTIONS * P**2).astype(int).astype(float)
    final = np.moveaxis(final_accuracies(places[:, None]), -1, -2)
    axes = ("moments", "network", "weight_decay", "fraction", "seed")
    values = (list(moments), ["mlp"], list(DECAYS), FRACTIONS, range(places.shape[-1]), [0, 10])
    known = ~np.isnan(final)
    rows = np.stack([np.ones_like(final), final], axis=-1)
    return xr.Dataset(
        {
            "final": (axes, final),
            "final_mean": (axes[:-1], final.mean(axis=-1)),
            "flat": (axes, known & (final < 0.6)),
            "last_step": (axes, np.where(known, 10.0, np.nan)),
            "test_accuracy": ((*axes, "step"), rows),
            "n_train": (("network", "fraction"), n_train[None]),
            "chance": ("network", [1 / P]),
        },
        coords=dict(zip((*axes, "step"), values, strict=True)),
    )


SEEDS = np.array([0.9, 1.0, 1.15])  # each seed's own factor, the same at every weight decay


def test_midpoints_are_found() -> None:
    places = np.array([300.0, 300.0, 450.0])[:, None] * SEEDS
    found = locate(made(places[None]), reference=0.01).squeeze()
    np.testing.assert_allclose(found.midpoint, [305, 305, 457], rtol=0.05)
    assert (found.midpoint_low <= found.midpoint).all()
    assert (found.midpoint <= found.midpoint_high).all()
    assert (found.midpoint_reason == "").all()


def test_the_shift_is_paired_by_seed() -> None:
    """Seeds differ by a quarter, but each moves by the same half: the interval knows."""
    places = np.array([300.0, 300.0, 450.0])[:, None] * SEEDS
    found = locate(made(places[None]), reference=0.01).squeeze()
    np.testing.assert_allclose(found.ratio, [1, 1, 1.5], rtol=0.06)
    assert found.ratio_low[2] > 1.2
    assert found.ratio_high[2] < 1.8
    np.testing.assert_array_equal(found.ratio_low[1], found.ratio[1])  # nothing moved at all
    assert "at 0.1 no shift detected, 1 times [1, 1]; at 1 moves, 1.5" in found.place.item()


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    places = 300 * np.exp(rng.normal(0, 0.1, (3, 5)))
    found = locate(made(places[None]), reference=0.01).squeeze()
    alone = [locate(made(places[None, :, [i]])).midpoint.squeeze().values for i in range(5)]
    first, last = (np.log([m[d] for m in alone]) for d in (0, 2))
    interval = stats.ttest_rel(last, first).confidence_interval(0.95)
    np.testing.assert_allclose(
        np.log([found.ratio_low[2], found.ratio_high[2]]), [interval.low, interval.high]
    )
    assert "no shift detected" in found.place.item()


def test_a_shift_between_two_sizes_is_not_resolved() -> None:
    """All is lost between 282 and 376 pairs: where in between, no number of seeds can tell."""
    data = made(np.full((1, 3, 4), 300.0))
    sharp = (data.n_train > 300).astype(float).broadcast_like(data.final)
    # Halfway is a little further to the left, if one were to interpolate.
    other = sharp.where((data.fraction != 0.03) | (data.weight_decay != 1.0), 0.1)
    found = locate(data.assign(final=other.transpose(*data.final.dims))).squeeze()
    assert found.ratio[2] < 0.99
    np.testing.assert_allclose(found.ratio_low[2], 282 / 376)
    np.testing.assert_allclose(found.ratio_high[2], 376 / 282)
    assert "no shift detected" in found.place.item()


def test_what_does_not_ungrok_has_no_place() -> None:
    places = np.array([300.0, 3.0, 300.0])[:, None] * SEEDS  # at 0.1 nothing is lost
    found = locate(made(places[None]), reference=0.01).squeeze()
    assert found.midpoint.isnull().values.tolist() == [False, True, False]
    assert "not detected" in found.midpoint_reason[1].item()
    assert found.ratio.isnull().values.tolist() == [False, True, False]
    assert "no seed shows both" in found.ratio_reason[1].item()
    assert "appears not at weight decay 0.1 (" in found.appears.item()
    assert "0.1: 1.000 to 1.000" in found.appears.item()
    assert "at 0.1 not detected" in found.place.item()


def test_it_appears_at_every_weight_decay() -> None:
    found = locate(made(np.full((1, 3, 3), 300.0))).squeeze()
    said = found.appears.item()
    assert said.startswith("ungrokking appears at every weight decay (")
    final = final_accuracies(300.0)
    assert f"1: {final[-1]:.3f} to {final[0]:.3f}" in said
    above = int((final_accuracies(300.0) >= 0.6).sum())
    assert f"{9 * above} of 81 runs unfinished" in said  # the test calls what is above 0.6 so


def test_any_weight_decay_can_be_the_reference() -> None:
    places = np.array([300.0, 300.0, 450.0])[:, None] * SEEDS
    found = locate(made(places[None]))  # the one in the middle
    assert found.reference == 0.1
    np.testing.assert_allclose(found.ratio.squeeze(), [1, 1, 1.5], rtol=0.06)
    assert "against weight decay 0.1: at 0.01 no shift" in found.place.item()
    found = locate(made(places[None]), reference=1.0)
    np.testing.assert_allclose(found.ratio.squeeze(), [1 / 1.5, 1 / 1.5, 1], rtol=0.06)
    with pytest.raises(ValueError, match=r"reference=0\.3 is not a .* are 0\.01, 0\.1, 1"):
        locate(made(places[None]), reference=0.3)


def test_one_seed_has_no_interval() -> None:
    found = locate(made(np.full((1, 3, 1), 300.0))).squeeze()
    assert found.ratio.isnull().all()
    assert "one seed shows both 50 % points, and two are needed" in found.place.item()


def test_kept_moments_are_compared_with_fresh_ones() -> None:
    fresh = np.array([300.0, 300.0, 300.0])[:, None] * SEEDS
    kept = np.full((3, 3), np.nan)
    kept[1] = 360 * SEEDS * np.array([1, 1.01, 1])
    found = locate(made(np.stack([fresh, kept]), moments=("fresh", "kept"))).squeeze()
    assert found.kept.isnull().values.tolist() == [True, False, True]
    np.testing.assert_allclose(found.kept[1], 1.2, rtol=0.05)
    assert found.kept_low[1] > 1
    assert "no seed shows both" in found.kept_reason[0].item()
    assert found.n_runs.sel(moments="kept").values.tolist() == [0, 27, 0]
    # At another weight decay there is nothing to compare the kept ones with.
    assert "nothing to compare" in found.place.sel(moments="kept").item()


PUBLISHED = {  # Fig. 8: final validation accuracy, %, at 1, 2, ... % of all pairs
    0.1: [0.49, 0.42, 4.99, 44.93, 76.13, 94.9, 99.55, *[100.0] * 8],
}


def test_the_published_point_is_found_on_the_published_curve() -> None:
    data = made(np.full((1, 3, 1), 300.0))
    shares = np.arange(1, 16) / 100
    data = data.drop_dims("fraction").assign_coords(fraction=shares)
    final = np.broadcast_to(np.array(PUBLISHED[0.1])[:, None] / 100, (1, 1, 3, 15, 1))
    axes = ("moments", "network", "weight_decay", "fraction", "seed")
    data = data.assign(final=(axes, final), final_mean=(axes[:-1], final[..., 0]))
    ones = xr.ones_like(data.final)
    sizes = ("network", "fraction"), shares[None] * P**2
    found = locate(data.assign(flat=ones == 1, last_step=ones, n_train=sizes))
    np.testing.assert_allclose(found.midpoint / P**2, 0.0416, rtol=0.05)


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return locate(made((np.array([300.0, 3.0, 450.0])[:, None] * SEEDS)[None]))


def test_final_accuracies_are_drawn(
    found: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = figures.plot_final(found)
    assert "weight decay 0.1" in figure.layout.title.text
    assert f"{len(SEEDS)} seeds" in figure.layout.title.text
    line, *seeds, unfinished = figure.data
    assert unfinished.name == "a seed without a plateau yet"
    cells = found.sel(weight_decay=0.1).squeeze()
    np.testing.assert_array_equal(line.y, cells.final_mean)
    for i, trace in enumerate(seeds):
        np.testing.assert_array_equal(trace.y, cells.final.sel(seed=i))
        opened = [symbol.endswith("-open") for symbol in trace.marker.symbol]
        assert opened == (~cells.flat.sel(seed=i)).values.tolist()
    assert figure.layout.shapes[0].y0 == pytest.approx(1 / P)
    assert axis_titles(figure) == {
        "training pairs, of 9409",
        "final test accuracy (dotted: chance)",
    }


def test_only_midpoints_that_were_found_are_drawn(found: xr.Dataset) -> None:
    figure: Any = figures.plot_decay(found)
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x"]
    curves = found.squeeze().isel(weight_decay=[0, 2])
    assert len(crosses) == 2
    for cross, i in zip(crosses, range(2), strict=True):
        curve = curves.isel(weight_decay=i)
        assert cross.x[0] == curve.midpoint
        assert cross.x[0] + cross.error_x.array[0] == pytest.approx(curve.midpoint_high.item())
        assert cross.x[0] - cross.error_x.arrayminus[0] == pytest.approx(curve.midpoint_low.item())


def test_trajectories_have_a_panel_per_weight_decay(found: xr.Dataset) -> None:
    figure: Any = figures.plot_trajectories(found, network="mlp")
    assert len(figure.data) == 3 * len(FRACTIONS) * 3
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == [f"{size:.0f}" for size in found.n_train.squeeze().values]
    last = found.test_accuracy.squeeze().isel(weight_decay=2, fraction=-1, seed=-1)
    assert figure.data[-1].y == pytest.approx(last.values[1:])


@pytest.fixture(scope="module")
def two_networks() -> xr.Dataset:
    """An MLP at three weight decays, and a transformer at the smallest of them alone."""
    one = made((300.0 * np.ones(3)[:, None] * SEEDS)[None])
    other = one.assign_coords(network=["transformer"])
    here = other.weight_decay == DECAYS[0]
    numbers = ("final", "final_mean", "last_step", "test_accuracy")
    other = other.assign({name: other[name].where(here) for name in numbers})
    other["flat"] = other.flat & here
    return locate(xr.concat([one, other], dim="network"))


def test_each_network_has_a_reference_of_its_own(two_networks: xr.Dataset) -> None:
    assert two_networks.reference.values.tolist() == [0.1, 0.01]
    said = two_networks.place.sel(network="transformer").item()
    assert said == "its 50 % point, against weight decay 0.01: nothing to compare"
    figure: Any = figures.plot_final(two_networks)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [line.name for line in lines] == ["MLP", "transformer"]
    assert all(np.isfinite(line.y).all() for line in lines)
    assert "weight decay 0.01 or 0.1," in figure.layout.title.text


def test_only_weight_decays_of_the_network_are_drawn(two_networks: xr.Dataset) -> None:
    figure: Any = figures.plot_decay(two_networks, network="transformer")
    names = {trace.name for trace in figure.data if trace.mode == "lines"}
    assert names == {"weight decay 0.01"}
    figure = figures.plot_trajectories(
        two_networks.sel(weight_decay=list(DECAYS[::-1])), network="transformer"
    )
    assert len(figure.data) == len(FRACTIONS) * len(SEEDS)
    assert any(trace.showlegend for trace in figure.data)


def test_a_weight_decay_whose_runs_all_diverged_is_named() -> None:
    data = made(np.full((1, 3, 3), 300.0))
    alive = data.weight_decay != 1.0
    gone = data.assign(final=data.final.where(alive), final_mean=data.final_mean.where(alive))
    said = locate(gone).appears.item()
    assert said.startswith("ungrokking appears not at weight decay 1 (")
    assert "1: none" in said


def test_shifts_are_shown_by_intervals_that_hold_at_once() -> None:
    """Ratios with the same interval are shown to differ from 1, or not, by how many there are."""
    places = np.array([300.0, 300.0, 330.0])[:, None] * SEEDS
    places[2] *= [1.0, 1.02, 0.98]
    found = locate(made(places[None]), reference=0.01).squeeze()
    logs = np.log(
        [
            locate(made(places[None, :, [i]])).midpoint.squeeze().values[[0, 2]]
            for i in range(len(SEEDS))
        ]
    )
    wide = stats.ttest_rel(logs[:, 1], logs[:, 0]).confidence_interval(1 - 0.05 / 2)
    assert found.shifts[0].isnull()  # the reference
    assert found.shifts[1] == 0
    assert found.shifts[2] == float(wide.low > 0)
    assert found.ratio_low[2] > 1  # alone it would be
    steady = places.copy()
    steady[2] = 330 * SEEDS
    assert locate(made(steady[None]), reference=0.01).squeeze().shifts[2] == 1
    lost = np.array([300.0, 300.0, 3.0])[:, None] * SEEDS
    assert locate(made(lost[None]), reference=0.01).squeeze().shifts[2].isnull()
