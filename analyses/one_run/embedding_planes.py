"""An animation of the embedding in the planes of its key frequencies, over training.

For a key frequency k the cosine and sine parts of the embedding span a plane in the space of its
vectors. In that plane of the final network the residues lie on a circle, on which x and x + 1 are k
steps apart. The animation shows the embeddings of all stored steps in the planes of the final
network, so that a circle can be seen as it forms.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import embedding_planes
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = embedding_planes.compute(run, n_frequencies=2)
    >>> dict(data.position.sizes)
    {'step': 2, 'table': 2, 'frequency': 2, 'place': 17, 'axis': 2}
    >>> figure = embedding_planes.plot_planes(data)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import torch
import typer
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from analyses.one_run.stored_networks import stored_networks
from analyses.pages.finding import Finding
from analyses.pages.palette import CYCLE_SCALE, GUIDE, INK
from analyses.pages.style import finish
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.session import unaffected
from probes import Basis, key_frequencies, logit_spectrum, network_on_pairs, table_spectrum


@unaffected()
def compute(
    run: Run, *, frequencies: Sequence[int] | None = None, n_frequencies: int = 4
) -> xr.Dataset:
    """Where every residue's vector lies in each frequency's plane, at every stored step.

    The plane of frequency k is spanned by the sums over residues x of cos(w x) and of sin(w x)
    times the final vector of x, w being 2 pi k / period; its two axes are orthonormal, the first
    along the cosine part. Vectors are taken less their mean over the residues.

    Args:
        run: of a network with an embedding, on a task with a periodic basis.
        frequencies: whose planes to show; by default the strongest key frequencies of the final
            network's logits (:func:`probes.key_frequencies`), or, if there are none, those with the
            largest share of the final embedding's variance.
        n_frequencies: how many at most, if ``frequencies`` is not given.

    Returns:
        Dataset:

        - (step, table, frequency, place, axis): ``position`` in the plane. "place" is that of a
          residue in the task's basis, "residue" its name; "axis" is "cos" or "sin".
        - (step, table, frequency): ``share`` of the table's variance that lies in this plane at
          this frequency: the cosine and sine parts of the vectors in the plane.
        - (step, table): ``size``, the root mean square norm of the vectors.

    Raises:
        TypeError: the network has no embedding.
        ValueError: no network is stored, the task has no periodic basis, or it lacks a frequency.
    """
    check_int("n_frequencies", n_frequencies, minimum=1)
    basis = network_on_pairs(run.model).basis(run.config.data.operation)
    networks = list(stored_networks(run))
    if not networks:
        raise ValueError(
            "the run has no stored network; train with checkpoints=checkpoints_at(...)"
        )
    if frequencies is None:
        chosen = _strongest(networks[-1].model, basis, n_frequencies)
    else:
        chosen = basis.check_frequencies(frequencies)
    tables = [(stored.step, _tables(stored.model, basis)) for stored in networks]
    _, last = tables[-1]
    planes = {name: [_plane(table, k) for k in chosen] for name, table in last.items()}
    positions = [
        torch.stack([torch.stack([now[name] @ plane for plane in planes[name]]) for name in planes])
        for _, now in tables
    ]
    found = torch.stack(positions)  # [step, table, frequency, place, axis]
    energy = torch.stack(
        [torch.stack([now[n].square().sum() for n in planes]) for _, now in tables]
    )
    return xr.Dataset(
        {
            "position": (("step", "table", "frequency", "place", "axis"), found),
            "share": (("step", "table", "frequency"), _shares(found, energy, chosen)),
            "size": (("step", "table"), (energy / basis.period).sqrt()),
        },
        coords={
            "step": [step for step, _ in tables],
            "table": list(planes),
            "frequency": chosen,
            "place": np.arange(basis.period),
            "residue": ("place", basis.order.numpy()),
            "axis": ["cos", "sin"],
        },
    )


def _tables(model: Any, basis: Basis) -> Mapping[str, Float[Tensor, "place d"]]:
    """The embeddings' rows by place, less their mean."""
    rows = {name: t[basis.order] for name, t in network_on_pairs(model).embeddings.items()}
    return {name: table - table.mean(dim=0) for name, table in rows.items()}


def _strongest(model: Any, basis: Basis, count: int) -> list[int]:
    """The strongest key frequencies, or else those of the embeddings, in increasing order."""
    network = network_on_pairs(model)
    spectrum = logit_spectrum(network.logits(), basis)
    keys = [] if spectrum.shares.isnan().any() else key_frequencies(spectrum)
    if not keys:
        tables = network.embeddings.values()
        shares = torch.stack([table_spectrum(table, basis).shares for table in tables]).sum(dim=0)
        keys = basis.frequencies[shares.argsort(descending=True)].tolist()
    return sorted(keys[:count])


def _angles(period: int, frequency: int) -> Float[Tensor, " place"]:
    return 2 * math.pi * frequency * torch.arange(period, dtype=torch.float64) / period


def _plane(table: Float[Tensor, "place d"], frequency: int) -> Float[Tensor, "d axis"]:
    """Orthonormal axes of a frequency's plane; zero for an axis that the table does not have."""
    angle = _angles(len(table), frequency)
    cos, sin = angle.cos() @ table, angle.sin() @ table
    # Below rounding of the sums there is no such part.
    least = 1e-12 * table.norm() * len(table) ** 0.5
    first = cos / cos.norm() if cos.norm() > least else torch.zeros_like(cos)
    rest = sin - (sin @ first) * first
    second = rest / rest.norm() if rest.norm() > least else torch.zeros_like(rest)
    return torch.stack([first, second], dim=1)


def _shares(
    positions: Float[Tensor, "step table frequency place axis"],
    energy: Float[Tensor, "step table"],
    frequencies: Sequence[int],
) -> Float[Tensor, "step table frequency"]:
    """Energy of positions at their own frequency, as a share of the tables' whole energy."""
    period = positions.shape[3]
    shares = []
    for i, k in enumerate(frequencies):
        angle = _angles(period, k)
        waves = torch.stack([angle.cos(), angle.sin()])
        parts = torch.einsum("wp,stpa->stwa", waves, positions[:, :, i])
        norm = period if 2 * k == period else period / 2  # sum of squares of a wave
        shares.append(parts.square().sum(dim=(2, 3)) / norm / energy)
    return torch.stack(shares, dim=2)


def plot_planes(
    data: xr.Dataset, *, title: str = "The embedding in its key frequencies' planes"
) -> go.Figure:
    """A panel per table and frequency; the slider and the button lead through the steps.

    A point is a residue. Its colour is the angle 2 pi k x / period at which it lies on a perfect
    circle, and a line joins residues that are neighbours there, so that the form shows without
    colours, too. Positions are in units of the vectors' root mean square norm at the same step, so
    that an embedding that shrinks as a whole does not hide its form; all steps share their axes.
    """
    data = data.assign(position=data.position / data["size"])
    tables, frequencies = data.table.values.tolist(), data.frequency.values.tolist()
    panel, gap = 230, 40
    inner = len(tables) * (panel + gap) - gap
    figure = make_subplots(
        rows=len(tables),
        cols=len(frequencies),
        horizontal_spacing=0.02,
        vertical_spacing=gap / inner if len(tables) > 1 else 0,
        column_titles=[f"frequency {k}" for k in frequencies],
        row_titles=tables if len(tables) > 1 else None,
    )
    reach = 1.25 * abs(data.position).max(("step", "place", "axis")).values  # [table, frequency]
    for row, table in enumerate(tables):
        for column, frequency in enumerate(frequencies):
            place: dict[str, Any] = {"row": row + 1, "col": column + 1}
            for trace in _traces(data.isel(step=0), table, frequency, float(reach[row, column])):
                figure.add_trace(trace, **place)
            ends = [-float(reach[row, column]), float(reach[row, column])]
            axis = {"range": ends, "showticklabels": False, "zeroline": True}
            figure.update_xaxes(**axis, **place)
            number = row * len(frequencies) + column + 1
            anchor = "x" if number == 1 else f"x{number}"
            figure.update_yaxes(**axis, scaleanchor=anchor, **place)
    steps = data.step.values.tolist()
    figure.frames = [
        go.Frame(
            name=str(step),
            data=[
                trace
                for row, table in enumerate(tables)
                for column, frequency in enumerate(frequencies)
                for trace in _traces(data.isel(step=i), table, frequency, float(reach[row, column]))
            ],
        )
        for i, step in enumerate(steps)
    ]
    figure = finish(
        figure, title=title, height=inner + 250, note="circles: residues in their order"
    )
    return figure.update_layout(
        margin={"b": 120, "l": 40, "r": 40},
        showlegend=False,
        sliders=[_slider(steps)],
        updatemenus=[_buttons()],
    )


def _traces(data: xr.Dataset, table: str, frequency: int, reach: float) -> list[go.Scatter]:
    """The closed line through a perfect circle's neighbours, the residues, and the share."""
    here = data.sel(table=table, frequency=frequency)
    period = data.sizes["place"]
    phase = frequency * data.place.values % period
    order = np.argsort(phase, kind="stable")
    ring = np.append(order, order[0])
    x, y = (here.position.sel(axis=axis).values for axis in ("cos", "sin"))
    line = go.Scatter(
        x=x[ring], y=y[ring], mode="lines", line={"color": GUIDE, "width": 1}, hoverinfo="skip"
    )
    points = go.Scatter(
        x=x,
        y=y,
        mode="markers",
        customdata=data.residue.values,
        marker={
            "color": phase / period,
            "colorscale": CYCLE_SCALE,
            "cmin": 0,
            "cmax": 1,
            "size": 8,
            "line": {"color": INK, "width": 0.5},
        },
        hovertemplate="residue %{customdata}<extra></extra>",
    )
    share = go.Scatter(
        x=[0],
        y=[0.93 * reach],
        mode="text",
        text=[f"{float(here.share):.1%} of the variance"],
        textfont={"size": 13, "color": INK},
        hoverinfo="skip",
    )
    return [line, points, share]


def _slider(steps: Sequence[int]) -> dict[str, Any]:
    return {
        "active": 0,
        "currentvalue": {"prefix": "step ", "font": {"size": 15}},
        "x": 0.36,
        "len": 0.64,
        "pad": {"t": 35},
        "steps": [
            {
                "label": str(step),
                "method": "animate",
                "args": [[str(step)], _MOVE | {"frame": {"duration": 0, "redraw": False}}],
            }
            for step in steps
        ],
    }


def _buttons() -> dict[str, Any]:
    play = {"frame": {"duration": 500, "redraw": False}, "fromcurrent": True}
    return {
        "type": "buttons",
        "direction": "left",
        "x": 0,
        "y": 0,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"t": 55, "r": 10},
        "showactive": False,
        "buttons": [
            {"label": "Play", "method": "animate", "args": [None, play]},
            {"label": "Stop", "method": "animate", "args": [[None], _MOVE]},
        ],
    }


_MOVE = {"mode": "immediate", "transition": {"duration": 0}}


def analysis(
    run: Run,
    n_frequencies: Annotated[int, typer.Option(help="how many planes to show")] = 4,
) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run, n_frequencies=n_frequencies)
    sentence = (
        "Each residue in the plane of one frequency: on a circle, in order along it, if the "
        "embedding has that frequency. The slider goes through the stored steps."
    )
    return Finding(data=data, figures=[plot_planes(data)], sentences=[sentence])
