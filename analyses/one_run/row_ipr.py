"""How periodic the input and output tables of any network are (Doshi et al. 2023, Figs. 7, 12-14).

The paper's IPR is that of rows: of one feature's weights over the residues. In an MLP on one-hot
pairs the features are neurons. In an embedding they are coordinates of the residual stream, which
have no meaning of their own: rotating the residual stream changes every row but not the network's
function. The *total* IPR, of the power spectrum summed over features, is invariant under rotations
and is given as well.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import row_ipr
    >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
    >>> run = gi.train(config.replace({"data.p": 11, "training.steps": 20}))
    >>> data = row_ipr.compute([run])
    >>> data.table.values.tolist(), bool((data.mean_ipr < 0.9).all())
    (['input', 'output'], True)
    >>> figure = row_ipr.plot_rows(data)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.labels import run_labels
from analyses.pages.palette import INK, PAPER, series
from analyses.pages.style import IPR_BINS, finish, stacked_panels
from grokinterp import Run
from grokinterp.session import unaffected
from probes import TableSpectrum, network_on_pairs, table_spectrum, task_basis

TABLES = ("input", "output")


@unaffected()
def compute(runs: Run | Sequence[Run], *, labels: Sequence[str] | None = None) -> xr.Dataset:
    """Row-wise and total IPR of the input and output tables of one or several runs.

    Args:
        runs: of any architectures and moduli; each is measured in the basis of its own task.
        labels: names of the runs; by default the settings in which they differ.

    Returns:
        Dataset:

        - (run, table, feature): ``ipr`` of each row; NaN for a dead row, and where a network has
          fewer features than others;
        - (run, table): ``mean_ipr`` over living rows, ``total_ipr``, ``n_features``, ``n_dead``.

        "table" is "input" (``W_E``; the rows of both operands' tables if each has its own) or
        "output" (``W_U``; NaN for a network without a known read-out).

    Raises:
        ValueError: no run, or a task without a periodic basis.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise ValueError("runs is empty; give at least one run")
    found = [spectra(run) for run in runs]
    width = max(len(s.row_ipr) for tables in found for s in tables.values())
    ipr = np.full((len(runs), len(TABLES), width), np.nan)
    numbers = {
        "mean_ipr": np.full(ipr.shape[:2], np.nan),
        "total_ipr": np.full(ipr.shape[:2], np.nan),
        "n_features": np.zeros(ipr.shape[:2], dtype=int),
        "n_dead": np.zeros(ipr.shape[:2], dtype=int),
    }
    for run, tables in enumerate(found):
        for name, spectrum in tables.items():
            at = run, TABLES.index(name)
            features = len(spectrum.row_ipr)
            ipr[at][:features] = spectrum.row_ipr
            numbers["mean_ipr"][at] = spectrum.mean_row_ipr
            numbers["total_ipr"][at] = spectrum.total_ipr
            numbers["n_features"][at] = features
            numbers["n_dead"][at] = spectrum.n_dead
    return xr.Dataset(
        {"ipr": (("run", "table", "feature"), ipr)}
        | {name: (("run", "table"), values) for name, values in numbers.items()},
        coords={
            "table": list(TABLES),
            "run": list(labels or run_labels([run.config for run in runs])),
        },
    )


def spectra(run: Run) -> dict[str, TableSpectrum]:
    """Spectra of the "input" table and, if the network has one, of the "output" table."""
    network = network_on_pairs(run.model)
    basis = task_basis(run.config.data.operation, network.p)
    tables = {"input": torch.cat(list(network.embeddings.values()), dim=1)}
    if network.unembedding is not None:
        tables["output"] = network.unembedding.T
    return {name: table_spectrum(table, basis) for name, table in tables.items()}


def input_ipr(run: Run) -> float:
    """Mean row-wise IPR of the input table; NaN if all rows are dead."""
    return spectra(run)["input"].mean_row_ipr


def total_input_ipr(run: Run) -> float:
    """Total IPR of the input table; NaN if the table is constant."""
    return spectra(run)["input"].total_ipr


def output_ipr(run: Run) -> float:
    """Mean row-wise IPR of the output table; NaN if all rows are dead."""
    return spectra(run)["output"].mean_row_ipr


# Measures for sweeps of networks whose neurons have no weights over residues.
ROW_MEASURES = {
    "input_ipr": input_ipr,
    "total_input_ipr": total_input_ipr,
    "output_ipr": output_ipr,
}


def plot_rows(
    data: xr.Dataset, *, title: str = "IPR of input and output rows", seeds: str = ""
) -> go.Figure:
    """Histograms of both tables, one row per run; the dashed line marks the mean of living rows.

    Args:
        data: the dataset of :func:`compute`.
        title: of the figure.
        seeds: the number of seeds in words, if a row shows several.
    """
    count = data.sizes["run"]
    titles = [_heading(data.isel(run=i).sel(table=t)) for i in range(count) for t in TABLES]
    grid: dict[str, Any] = {"cols": 2, "shared_xaxes": True, "horizontal_spacing": 0.1}
    figure, inner = stacked_panels(count, height=110, gap=86, subplot_titles=titles, **grid)
    for row in range(count):
        for column, table in enumerate(TABLES):
            here = data.isel(run=row).sel(table=table)
            place: dict[str, Any] = {"row": row + 1, "col": column + 1}
            figure.add_histogram(
                x=here.ipr,
                xbins=IPR_BINS,
                histnorm="percent",
                marker={"color": series(column).color, "line": {"color": PAPER, "width": 0.5}},
                showlegend=False,
                hovertemplate="IPR %{x}: %{y:.1f} % of the rows<extra></extra>",
                **place,
            )
            if np.isfinite(here.mean_ipr):
                figure.add_vline(float(here.mean_ipr), line_dash="dash", line_color=INK, **place)
    figure.update_xaxes(range=[0, 1])
    figure.update_xaxes(title="IPR of a row (1 = one frequency)", row=count)
    figure.update_yaxes(title="% of rows", rangemode="tozero", col=1)
    return finish(figure, title=title, height=inner + 190, note=seeds)


def _heading(here: xr.Dataset) -> str:
    """Title of a panel: which table, its rows, and its IPR."""
    table = str(here.table.values)
    name = f"<b>{here.run.values}</b>, {table}" if str(here.run.values) else f"<b>{table}</b>"
    if not int(here.n_features):
        return f"{name}: none"
    dead = f", {int(here.n_dead)} dead" if int(here.n_dead) else ""
    return (
        f"{name}<br>{int(here.n_features)} rows{dead}<br>"
        f"mean {float(here.mean_ipr):.2f} (dashed), total IPR {float(here.total_ipr):.2f}"
    )


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    names = ("mean_ipr", "total_ipr", "n_features", "n_dead")
    rows = [
        ({"run": str(run)} if str(run) else {})
        | {"table": str(table)}
        | {name: data[name].sel(table=table).values[i].item() for name in names}
        for i, run in enumerate(data.run.values)
        for table in data.table.values
    ]
    sentence = (
        "IPR of every row of a table as a function of the residue. It is high for a single "
        "frequency; of a residual stream only comparisons between networks mean something, because "
        "its axes are arbitrary."
    )
    return Finding(data=data, figures=[plot_rows(data)], rows=rows, sentences=[sentence])
