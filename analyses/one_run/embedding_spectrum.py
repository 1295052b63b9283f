"""Which frequencies the input and output tables have, at every stored step of a training.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import embedding_spectrum
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = embedding_spectrum.compute(run)
    >>> data.step.values.tolist(), data.table.values.tolist()
    ([0, 200], ['W_E[0]', 'W_E[1]', 'W_U'])
    >>> bool((data.share.sum("frequency").round(6) == 1).all())
    True
    >>> figure = embedding_spectrum.plot_spectrum(data)
"""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.one_run.stored_networks import stored_networks
from analyses.pages.finding import Finding
from analyses.pages.palette import ORDER_SCALE
from analyses.pages.style import finish, stacked_panels
from grokinterp import Run
from grokinterp.session import unaffected
from probes import model_table_spectra


@unaffected()
def compute(run: Run) -> xr.Dataset:
    """Share of every frequency in the variance of each table over residues.

    Args:
        run: of any network with input tables, on a task with a periodic basis. Its stored steps
            are the initial network, its checkpoints and the final network.

    Returns:
        Dataset: ``share`` (step, table, frequency), which adds up to 1 over "frequency". Tables
        are the embeddings, such as "W_E" or "W_E[0]" and "W_E[1]", and the read-out "W_U".

    Raises:
        TypeError: the network has no input tables.
        ValueError: the task has no periodic basis.
    """
    operation = run.config.data.operation
    found = {
        stored.step: model_table_spectra(stored.model, operation) for stored in stored_networks(run)
    }
    if not found:
        raise ValueError(
            f"the run {run.ending}, so no network of it is stored; give one that was "
            "trained to its end"
        )
    shares = [[table.shares.numpy() for table in spectra.values()] for spectra in found.values()]
    tables = next(iter(found.values()))
    data = xr.Dataset(
        {"share": (("step", "table", "frequency"), np.array(shares))},
        coords={
            "step": list(found),
            "table": list(tables),
            "frequency": next(iter(tables.values())).frequencies,
        },
    )
    data["step"].attrs["units"] = "updates"
    return data


def plot_spectrum(
    data: xr.Dataset, *, title: str = "Frequencies of the tables over training"
) -> go.Figure:
    """A heat map of shares over steps and frequencies, a panel for each table."""
    count = data.sizes["table"]
    figure, inner = stacked_panels(
        count, height=190, gap=50, shared_xaxes=True, subplot_titles=data.table.values.tolist()
    )
    for row in range(count):
        figure.add_heatmap(
            x=[str(step) for step in data.step.values],
            y=data.frequency,
            z=np.round(data.share.isel(table=row).values.T, 4),
            coloraxis="coloraxis",
            hovertemplate="step %{x}, frequency %{y}: %{z:.1%}<extra></extra>",
            row=row + 1,
            col=1,
        )
    figure.update_yaxes(title="frequency")
    figure.update_xaxes(type="category", row=count)
    figure.update_xaxes(title="stored step (updates)", row=count)
    bar = {"title": "share of<br>variance", "tickformat": ".0%", "thickness": 14}
    scale = {"colorscale": ORDER_SCALE, "cmin": 0, "colorbar": bar}
    return finish(figure, title=title, height=inner + 150, coloraxis=scale)


def in_words(data: xr.Dataset) -> list[str]:
    """A sentence for each table."""
    told = []
    for table in data.table.values.tolist():
        last = data.share.sel(table=table).isel(step=-1)
        best = last.values.argsort(kind="stable")[::-1][:5]
        named = ", ".join(f"{int(last.frequency[i])} ({float(last[i]):.0%})" for i in best)
        told.append(f"{table} ends with the frequencies {named}")
    return told


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    return Finding(
        data=data, figures=[plot_spectrum(data)], rows=in_words(data), sentences=[CAPTION]
    )


CAPTION = (
    "Share of each frequency in the variance of a table's rows over the residues. A network that "
    "generalises goes from even shares to a few bright rows."
)
