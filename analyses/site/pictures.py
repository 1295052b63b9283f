"""Figures of the papers, drawn from the results that the ledger stores."""

from collections.abc import Callable, Sequence

import plotly.graph_objects as go
import xarray as xr

from analyses.ledger.measures.diagrams import joined
from analyses.one_run import grokking, ipr_histogram, pruning, training_curves, weight_norms
from analyses.phase_diagrams import phase_diagram, presets, sweep_phases
from analyses.phase_diagrams.refine import Refinement
from grokinterp.data import SUBSETS

Drawing = Callable[..., Sequence[go.Figure]]  # of a dataset, or of several
_MATRICES = {"U": "W_E[0]", "V": "W_E[1]", "W": "W_U"}  # the ledger has the paper's names


def accuracies(data: xr.Dataset) -> list[go.Figure]:
    """Training curves of the first seed, a figure for each weight decay."""
    return [
        training_curves.plot_accuracy(_curves(one), title=f"Weight decay {decay:g}, seed 0")
        for decay, one in _first_seed(data)
    ]


def over_time(data: xr.Dataset) -> list[go.Figure]:
    """Accuracy and IPR while training, and the IPR before and after, of the first seed."""
    ((_, one),) = _first_seed(data)
    both = xr.concat([one.initial_ipr, one.ipr], xr.Variable("when", ["before", "after"]))
    return [
        grokking.plot_over_time(one.dropna("step", how="all"), title="Accuracy and IPR, seed 0"),
        grokking.plot_shift(xr.Dataset({"ipr": both}), title="IPR before and after, seed 0"),
    ]


def histograms(data: xr.Dataset) -> list[go.Figure]:
    """IPR of the first seed's neurons, a panel for each weight decay."""
    runs = data.isel(seed=0).rename(weight_decay="run", mean_ipr="over_steps")
    shown = runs.rename(mean_ipr_at_end="mean_ipr")[["ipr", "mean_ipr", "n_dead"]]
    shown["n_dead"] = shown.n_dead.astype(int)
    return [ipr_histogram.plot_histogram(shown.assign_coords(weight_decay=("run", runs.run.data)))]


def pruned(data: xr.Dataset, *, quantity: str = "accuracy") -> list[go.Figure]:
    """Pruning by IPR, of the first seed, a figure for each weight decay."""
    return [
        pruning.plot_pruning(
            _removals(one), quantity=quantity, title=f"Weight decay {decay:g}, seed 0"
        )
        for decay, one in _first_seed(data)
    ]


def pruned_losses(data: xr.Dataset) -> list[go.Figure]:
    """The same, of the loss."""
    return pruned(data, quantity="loss")


def norms(data: xr.Dataset) -> list[go.Figure]:
    """Accuracies and norms of the first seed."""
    ((_, one),) = _first_seed(data)
    one = one.rename(frobenius="norm").dropna("step", how="all")
    named = one.assign_coords(weight=[_MATRICES[name] for name in one.weight.values.tolist()])
    shown = weight_norms.plot_norms(named[["norm", "test_accuracy"]], title="Weight norms, seed 0")
    return [*accuracies(data), shown]


def by_norm(data: xr.Dataset) -> list[go.Figure]:
    """Training curves of the first seed, a figure for each norm; of one train fraction."""
    runs = data.isel(seed=0, train_fraction=0)
    return [
        training_curves.plot_accuracy(_curves(runs.sel(norm=norm)), title=f"Norm: {norm}, seed 0")
        for norm in data.norm.values
    ]


def with_norm(norm: str) -> Drawing:
    """Draws training curves of the first seed of a norm, a figure for each train fraction."""

    def draw(data: xr.Dataset) -> list[go.Figure]:
        runs = data.sel(norm=norm).isel(seed=0)
        return [
            training_curves.plot_accuracy(
                _curves(runs.sel(train_fraction=fraction)),
                title=f"Train fraction {fraction:g}, seed 0",
            )
            for fraction in runs.train_fraction.values
        ]

    return draw


def diagram(preset: str) -> Drawing:
    """Draws which phase the cells of a preset have, given the runs of its panels."""
    title = f"{presets.get(preset).figure}: the phase of most seeds"
    return lambda *panels: [phase_diagram.plot_diagram(_phases(panels, preset), title=title)]


def accuracies_of_cells(preset: str) -> Drawing:
    """Draws the accuracies of a preset's cells, given the runs of its panels."""
    return lambda *panels: [phase_diagram.plot_accuracies(_phases(panels, preset))]


_DECAYS = tuple(f"cells_fig3a_{panel}" for panel in range(4))
# (paper, title of the page) -> names of sources, each with what draws their results.
DRAWN: dict[tuple[int, str], dict[tuple[str, ...], Drawing]] = {
    (1, "Fig. 1"): {("fig1",): accuracies},
    (1, "Fig. 2"): {("fig2",): over_time},
    (1, "Fig. 3"): {_DECAYS: diagram("fig3a"), ("cells_fig3b",): diagram("fig3b")},
    (1, "Fig. 4"): {("fig1",): histograms},
    (1, "Fig. 5"): {("fig5",): by_norm},
    (1, "Fig. 6"): {("fig1",): lambda data: pruned(data.isel(weight_decay=[0]))},
    (1, "Fig. 8"): {("fig8",): norms},
    (1, "Fig. 17"): {("fig1",): lambda data: pruned(data.isel(weight_decay=[1, 2]))},
    (1, "Fig. 18"): {("fig1",): pruned_losses},
    (1, "Fig. 20"): {("fig20",): with_norm("batch")},
    (1, "Fig. 21"): {("fig20",): with_norm("layer")},
    (1, "Fig. 22"): {("fig20",): with_norm("none")},
    (1, "Fig. 24"): {_DECAYS: accuracies_of_cells("fig3a")},
    (1, "Fig. 25"): {("cells_fig3b",): accuracies_of_cells("fig3b")},
    (1, "Fig. 26"): {
        ("cells_fig26_weight_decay",): diagram("fig26-weight-decay"),
        ("cells_fig26_dropout",): diagram("fig26-dropout"),
    },
    **{(1, f"Fig. {n}"): {(f"cells_fig{n}",): diagram(f"fig{n}")} for n in range(27, 32)},
}
# (paper, title of the page) -> a picture of docs/, and what it shows: not a result of the ledger.
KEPT = {
    (1, "Fig. 3"): (
        "phase_diagram.png",
        "One seed per cell at the paper's size, on a coarser grid; not what the ledger compares.",
    ),
}


def _first_seed(data: xr.Dataset) -> list[tuple[float, xr.Dataset]]:
    return [
        (float(decay), data.sel(weight_decay=decay).isel(seed=0))
        for decay in data.weight_decay.values
    ]


def _phases(panels: Sequence[xr.Dataset], preset: str) -> xr.Dataset:
    """Of a preset's cells; those that were not trained are inferred."""
    sweep = joined(panels, preset)
    phases = sweep_phases.compute(sweep)
    return phases if bool(sweep.done.all()) else Refinement().infer(phases)


def _curves(one: xr.Dataset) -> xr.Dataset:
    """As :func:`analyses.one_run.training_curves.compute` gives them."""
    names = [f"{subset}_accuracy" for subset in SUBSETS]
    accuracy = xr.concat([one[name] for name in names], xr.Variable("subset", list(SUBSETS)))
    return xr.Dataset(
        {"accuracy": accuracy.dropna("step", how="all")},
        attrs={"share_uncorrupted": 1 - float(one.n_changed / one.n_train)},
    )


def _removals(one: xr.Dataset) -> xr.Dataset:
    """As :func:`analyses.one_run.pruning.compute` gives them, for the order of the IPR."""
    own = one[["pruned_accuracy", "pruned_loss"]].sel(order="ipr", drop=True).rename(end="curve")
    own = own.rename(pruned_accuracy="accuracy", pruned_loss="loss")
    ends = own.curve.values
    return (
        own.drop_vars("curve")
        .assign_coords(order=("curve", ["ipr"] * len(ends)), direction=("curve", ends))
        .assign_attrs(loss="mse", unit="neurons", mode="zero", iterative=0)
    )
