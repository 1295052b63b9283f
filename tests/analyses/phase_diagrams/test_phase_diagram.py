"""Phase diagrams hold the numbers they are given, and say what is missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import grokinterp as gi
from analyses.pages.palette import PAPER, PHASE_COLOR
from analyses.phase_diagrams import sweep_phases
from analyses.phase_diagrams.phase_diagram import plot_accuracies, plot_diagram, plot_ipr
from tests.analyses.end_points import SUBSETS, end, fake_sweep

ALPHA, XI, WD = [0.2, 0.5, 0.8], [0.0, 0.3], [0.0, 5.0]
DIMS = ("training.weight_decay", "data.train_fraction", "data.corruption", "seed")
SEEDS = 3
MEMORIZATION, COEXISTENCE = end(test=0.1), end(train=0.98, test=0.97, changed=0.95, unchanged=0.99)
PARTIAL = end(train=0.8, changed=0.4, unchanged=0.99)
FULL = end(train=0.7, changed=0.0)
CLEAN, CLEAN_MEMORIZATION = (
    end(test=test, n_changed=0, changed=np.nan, corruption=0.0) for test in (1.0, 0.1)
)
DIVERGED = end(diverged=True, **dict.fromkeys(SUBSETS, np.nan))
ENDS = {  # weight decay and alpha -> a run for each seed, at the first and at the second xi
    (0.0, 0.2): [CLEAN_MEMORIZATION] * 3 + [MEMORIZATION] * 3,
    (0.0, 0.5): [CLEAN] * 3 + [MEMORIZATION, COEXISTENCE, COEXISTENCE],
    (0.0, 0.8): [CLEAN] * 3 + [COEXISTENCE] * 3,
    (5.0, 0.2): [CLEAN_MEMORIZATION] * 3 + [None] * 3,
    (5.0, 0.5): [CLEAN] * 3 + [FULL, PARTIAL, None],
    (5.0, 0.8): [DIVERGED] * 3 + [FULL, FULL, DIVERGED],
}


def make_sweep() -> xr.Dataset:
    ends = [run for wd in WD for alpha in ALPHA for run in ENDS[wd, alpha]]
    axes: dict[str, Any] = dict(zip(DIMS, (WD, ALPHA, XI), strict=False))
    return fake_sweep(ends, axes, seeds=SEEDS, base=gi.RunConfig().replace({"training.lr": 0.01}))


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    return make_sweep()


@pytest.fixture(scope="module")
def phases(sweep: xr.Dataset) -> xr.Dataset:
    rng = np.random.default_rng(0)
    ipr = rng.uniform(0.1, 0.9, (*sweep.done.shape, 8))
    ipr[..., :2] = np.nan
    return sweep_phases.compute(sweep.assign(ipr=((*DIMS, "neuron"), ipr)))


def titles(figure: Any) -> list[str]:
    return [note.text.replace("<br>", " ") for note in figure.layout.annotations]


def cells_of(figure: Any, column: int) -> dict[tuple[int, int], tuple[str, str]]:
    """(alpha, xi) by position -> (name in the legend, hover text) of one panel."""
    axis = "x" if column == 1 else f"x{column}"
    return {
        (int(x), round(base + 0.5)): (trace.name, text)
        for trace in figure.data
        if trace.type == "bar" and trace.xaxis == axis
        for x, base, text in zip(trace.x, trace.base, trace.hovertext, strict=True)
    }


def marked(figure: Any, name: str, column: int) -> set[tuple[int, int]]:
    axis = "x" if column == 1 else f"x{column}"
    return {
        (int(x), int(y))
        for trace in figure.data
        if trace.type == "scatter" and trace.name == name and trace.xaxis == axis
        for x, y in zip(trace.x, trace.y, strict=True)
    }


def test_every_cell_is_drawn_once_under_the_name_of_its_majority(phases: xr.Dataset) -> None:
    figure = plot_diagram(phases)
    assert titles(figure) == ["weight decay 0 (lr·wd 0)", "weight decay 5 (lr·wd 0.05)"]
    first, second = ({at: name for at, (name, _) in cells_of(figure, c).items()} for c in (1, 2))
    clean = {(0, 0): "memorization", (1, 0): "clean generalization"}
    assert first == clean | {
        (2, 0): "clean generalization",
        (0, 1): "memorization",
        (1, 1): "coexistence",
        (2, 1): "coexistence",
    }
    assert second == clean | {
        (2, 0): "diverged",
        (0, 1): "not trained",
        (1, 1): "mixed (seeds tie)",
        (2, 1): "full inversion",
    }
    drawn = sum(len(trace.x) for trace in figure.data if trace.type == "bar")  # pyright: ignore[reportAttributeAccessIssue]
    assert drawn == 12
    assert marked(figure, "seeds disagree", 1) == {(1, 1)}
    assert marked(figure, "seeds disagree", 2) == {(1, 1)}


def test_colours_and_hatching(phases: xr.Dataset) -> None:
    figure: Any = plot_diagram(phases)
    for trace in figure.data:
        if trace.name in PHASE_COLOR:
            assert trace.marker.color == PHASE_COLOR[trace.name]
            assert trace.marker.pattern.shape is None
        if trace.name in ("mixed (seeds tie)", "not trained"):
            assert trace.marker.color == PAPER
            assert trace.marker.pattern.shape
    legend = [trace.name for trace in figure.data if trace.showlegend]
    assert len(legend) == len(set(legend)) == len({trace.name for trace in figure.data})


def test_hover_says_what_was_measured(phases: xr.Dataset) -> None:
    figure = plot_diagram(phases)
    text = cells_of(figure, 2)[1, 1][1]
    for part in (
        "mixed",
        "train fraction α 0.5, corruption ξ 0.3",  # noqa: RUF001
        "weight decay 5 (lr·wd 0.05)",
        "2 seeds: partial inversion 50%, full inversion 50%",
        "train accuracy 0.750 (0.700 to 0.800)",
        "test accuracy 1.000 (1.000 to 1.000)",
        "<br>corrupted accuracy 0.200 (0.000 to 0.400)",
        "uncorrupted accuracy 0.995",
        "dead neurons 25.0%",
    ):
        assert part in text
    assert f"mean IPR {float(phases.mean_ipr[1, 1, 1]):.3f}" in text
    assert "<br>corrupted accuracy" not in cells_of(figure, 1)[1, 0][1]  # none is corrupted
    assert "diverged: 1 seed<br>2 seeds: full inversion 100%" in cells_of(figure, 2)[2, 1][1]
    assert "accuracy" not in cells_of(figure, 2)[0, 1][1]
    one_seed = sweep_phases.compute(make_sweep().isel(seed=[0]))
    assert "train accuracy 0.700<br>" in cells_of(plot_diagram(one_seed), 2)[1, 1][1]


def test_inferred_cells_have_their_own_mark(phases: xr.Dataset) -> None:
    majority = phases.majority.copy(deep=True)
    majority[1, 0, 1] = "full inversion"  # which was not trained
    figure = plot_diagram(phases.assign(majority=majority, inferred=phases.majority == ""))
    assert marked(figure, "inferred, not trained", 1) == set()
    assert marked(figure, "inferred, not trained", 2) == {(0, 1)}
    name, text = cells_of(figure, 2)[0, 1]
    assert name == "full inversion"
    assert "inferred from the cells around it" in text


def test_accuracy_maps_hold_the_means(phases: xr.Dataset) -> None:
    figure: Any = plot_accuracies(phases)
    assert len(figure.data) == 6 + 1
    assert figure.data[-1].name == "not trained, diverged, or no corrupted label"
    assert figure.layout.coloraxis.cmin == 0
    assert figure.layout.coloraxis.cmax == 1
    traces = iter(figure.data)
    for panel in range(2):
        for subset in ("train", "test", "changed"):
            expected = phases.mean_accuracy.isel({DIMS[0]: panel}).sel(subset=subset)
            trace = next(traces)
            assert trace.coloraxis == "coloraxis"
            np.testing.assert_array_equal(trace.z, expected.transpose(DIMS[2], DIMS[1]))
    by_hand = np.array(figure.data[3].z)  # weight decay 5, train
    np.testing.assert_allclose(by_hand, [[1.0, 1.0, np.nan], [np.nan, 0.75, 0.7]])
    labels = [figure.layout[f"yaxis{i}"].title.text for i in ("", 3, 5)]
    assert labels == [f"<b>{n}</b><br>corruption ξ" for n in ("train", "test", "corrupted labels")]


def test_ipr_maps_hold_the_means(phases: xr.Dataset) -> None:
    figure: Any = plot_ipr(phases)
    for panel, trace in enumerate(figure.data[:-1]):
        expected = phases.mean_ipr.isel({DIMS[0]: panel}).transpose(DIMS[2], DIMS[1])
        np.testing.assert_array_equal(trace.z, expected)
    assert figure.data[-1].name == "not trained, or diverged"
    assert "dead neurons 25.0%" in figure.data[0].hovertext[0][0]


def test_without_ipr_the_error_says_what_to_measure(sweep: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=r"measure=.*model_neuron_ipr"):
        plot_ipr(sweep_phases.compute(sweep))


@pytest.mark.parametrize("plot", [plot_diagram, plot_accuracies, plot_ipr])
def test_axes_are_named_and_ticked(
    plot: Callable[..., go.Figure], phases: xr.Dataset, axis_titles: Callable[[go.Figure], set[str]]
) -> None:
    figure: Any = plot(phases)
    assert "train fraction α" in axis_titles(figure)  # noqa: RUF001
    assert figure.layout.xaxis.ticktext == ("0.2", "0.5", "0.8")
    assert figure.layout.xaxis.tickvals == (0, 1, 2)
    assert figure.layout.yaxis.ticktext == ("0", "0.3")
    assert any("corruption ξ" in title for title in axis_titles(figure))
    figure = plot(phases, title="another")
    assert figure.layout.title.text.startswith("another<br>")
    assert f"of {SEEDS} seeds" in figure.layout.title.text  # some diverged


def test_other_axes_can_span_a_panel(phases: xr.Dataset) -> None:
    figure = plot_diagram(phases, x="training.weight_decay", panel="data.train_fraction")
    assert titles(figure) == [f"train fraction α {alpha}" for alpha in ALPHA]  # noqa: RUF001
    assert cells_of(figure, 2)[1, 1][0] == "mixed (seeds tie)"
    fixed = plot_diagram(phases, at={"training.weight_decay": 5})
    assert titles(fixed) == []
    assert {at: n for at, (n, _) in cells_of(fixed, 1).items()}[2, 0] == "diverged"
    one = plot_diagram(phases.isel({DIMS[0]: [1]}), panel=DIMS[0])
    assert titles(one) == ["weight decay 5 (lr·wd 0.05)"]


def test_many_panels_go_below_each_other(phases: xr.Dataset) -> None:
    many = xr.concat([phases.isel({DIMS[0]: 0})] * 6, DIMS[0]).assign_coords({DIMS[0]: range(6)})
    figure: Any = plot_diagram(many)
    assert len(titles(figure)) == 6
    assert all(len(cells_of(figure, column)) == 6 for column in range(1, 7))
    tall: Any = plot_accuracies(many)
    maps = [trace for trace in tall.data if trace.type == "heatmap"]
    assert len(maps) == len({trace.xaxis for trace in maps}) == 18
    assert titles(tall) == titles(figure)


def test_a_learning_rate_axis_enters_the_title(phases: xr.Dataset) -> None:
    both = xr.concat([phases, phases], "training.lr").assign_coords({"training.lr": [0.01, 0.1]})
    figure = plot_diagram(both, at={"training.lr": 0.1})
    assert titles(figure)[1] == "weight decay 5 (lr·wd 0.5)"


def test_errors_name_axes_and_remedies(phases: xr.Dataset) -> None:
    both = xr.concat([phases, phases], "training.lr").assign_coords({"training.lr": [0.01, 0.1]})
    with pytest.raises(ValueError, match=r"training.lr.*at=\{axis: value\}.*0.01, 0.1"):
        plot_diagram(both, panel="training.weight_decay")
    with pytest.raises(ValueError, match="are left"):
        plot_diagram(both)
    with pytest.raises(ValueError, match=r"x='model.d_mlp' is not an axis.*choose x= and y= from"):
        plot_diagram(phases, x="model.d_mlp")
    line = phases.isel({"training.weight_decay": 0, "data.corruption": 0}, drop=True)
    with pytest.raises(ValueError, match=r"axes data\.train_fraction: a diagram needs two"):
        plot_diagram(line)
    with pytest.raises(ValueError, match="different axes"):
        plot_diagram(phases, x="data.corruption")
    with pytest.raises(ValueError, match=r"at names 'model.d_mlp'"):
        plot_diagram(phases, at={"model.d_mlp": 3})
    with pytest.raises(ValueError, match=r"=7 is not a value of that axis; its values are 0, 5"):
        plot_diagram(phases, at={"training.weight_decay": 7})
