"""How many neurons each frequency has, layer by layer; for any network.

A neuron belongs to the frequency that explains most of its activation's variance over all pairs
(:func:`probes.neuron_spectrum`). How much that is says whether it is periodic at all.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import units_by_frequency
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = units_by_frequency.compute(run)
    >>> dict(data.n_neurons.sizes), int(data.n_neurons.sum())
    ({'layer': 1, 'frequency': 8}, 100)
    >>> figure = units_by_frequency.plot_units(data)
"""

import plotly.graph_objects as go
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.palette import ORDER_SCALE
from analyses.pages.style import finish, stacked_panels
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.session import unaffected
from probes import network_on_pairs, neuron_spectrum


@unaffected()
def compute(run: Run) -> xr.Dataset:
    """Each neuron's best frequency, and its share of the neuron's variance.

    Args:
        run: of any network with neurons, on a task with a periodic basis. Of a recurrent layer its
            last hidden states are taken.

    Returns:
        Dataset: ``n_neurons`` (layer, frequency), how many neurons have it as their best one;
        ``share`` (layer, frequency), the mean share of these neurons' variance at it, NaN without
        any; ``n_dead`` (layer) and ``n_all`` (layer); ``median_share`` (layer) over living neurons.
        Coordinates: ``layer``, the hook points; ``frequency`` in cycles per period.

    Raises:
        ValueError: the network has no known neurons, or the task no periodic basis.
    """
    check_run(run)
    network = network_on_pairs(run.model)
    if not network.neuron_hooks:
        raise ValueError(
            f"{network.anatomy.description} names no neurons; name them with "
            "gi.wrap(..., neurons=...), or look at its tables with analyses.row_ipr"
        )
    basis = network.basis(run.config.data.operation)
    layers = []
    for hook in network.neuron_hooks:
        spectrum = neuron_spectrum(network.neurons(hook), basis)
        alive = ~spectrum.is_dead
        best = spectrum.frequency[alive, None] == spectrum.frequencies
        count, share = best.sum(dim=0), spectrum.share[alive]
        layers.append(
            xr.Dataset(
                {
                    "n_neurons": ("frequency", count),
                    "share": ("frequency", (best * share[:, None]).sum(dim=0) / count),
                    "n_dead": spectrum.n_dead,
                    "n_all": len(alive),
                    "median_share": float(share.quantile(0.5)) if len(share) else float("nan"),
                },
                coords={"frequency": spectrum.frequencies},
            )
        )
    return xr.concat(layers, dim="layer").assign_coords(layer=list(network.neuron_hooks))


def plot_units(data: xr.Dataset, *, title: str = "Which frequencies do neurons have?") -> go.Figure:
    """Neurons by their best frequency, a panel for each layer; dark where they have little else."""
    from plotly.colors import sample_colorscale

    count = data.sizes["layer"]
    titles = data.layer.values.tolist() if count > 1 else None
    figure, inner = stacked_panels(
        count, height=210, gap=55, shared_xaxes=True, subplot_titles=titles
    )
    for row in range(count):
        layer = data.isel(layer=row)
        figure.add_bar(
            x=data.frequency,
            y=layer.n_neurons,
            marker_color=sample_colorscale(ORDER_SCALE, layer.share.fillna(0.0).values.tolist()),
            customdata=layer.share,
            hovertemplate="frequency %{x}: %{y} neurons, %{customdata:.0%} of their variance"
            "<extra></extra>",
            showlegend=False,
            row=row + 1,
            col=1,
        )
    # Only for the colour bar: plotly warns of bars whose colours are numbers.
    scaled = {"color": [0.0], "coloraxis": "coloraxis"}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=scaled, showlegend=False)
    figure.update_yaxes(title="neurons")
    figure.update_xaxes(title="frequency (cycles per period)", row=count)
    scale = {"colorscale": ORDER_SCALE, "cmin": 0, "cmax": 1}
    bar = {"title": "share of<br>variance", "tickformat": ".0%", "thickness": 14}
    return finish(figure, title=title, height=inner + 150, coloraxis=scale | {"colorbar": bar})


def in_words(data: xr.Dataset) -> list[str]:
    """A sentence for each layer."""
    told = []
    for layer in data.layer.values.tolist():
        one = data.sel(layer=layer)
        most = ", ".join(
            f"{int(one.frequency[i])} ({int(one.n_neurons[i])})"
            for i in one.n_neurons.values.argsort(kind="stable")[::-1][:3]
            if one.n_neurons[i]
        )
        used = int((one.n_neurons > 0).sum())
        told.append(
            f"{layer}: the {int(one.n_all) - int(one.n_dead)} living neurons have {used} of "
            f"{one.sizes['frequency']} frequencies, most often {most or 'none'}; at its best one a "
            f"neuron has {float(one.median_share):.0%} of its variance (median)"
            + (f"; {int(one.n_dead)} are dead." if one.n_dead else ".")
        )
    return told


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    rows = in_words(data)
    return Finding(data=data, figures=[plot_units(data)], rows=rows, sentences=[CAPTION])


CAPTION = (
    "A bar counts the neurons whose variance over all pairs is largest at a frequency; its colour "
    "is the share of their variance there. Neurons that memorise have low shares at any frequency."
)
