"""The delay of generalisation over the plane of the two initial speeds of a mixture's circuits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.delay import summary
from analyses.efficiency.mixing.tables import Tables
from grokinterp.checks import check_number
from grokinterp.session import unaffected

if TYPE_CHECKING:
    import plotly.graph_objects as go

SPEEDS = (0.3, 1.0, 3.0, 10.0, 30.0)


@unaffected()
def compute_landscape(
    tables: Tables,
    memorising: Sequence[float] = SPEEDS,
    generalising: Sequence[float] = SPEEDS,
    config: mixture.MixtureConfig | None = None,
) -> xr.Dataset:
    """When train and test losses fall for every pair of second factors, first factors being 0.

    Args:
        tables: as for ``mixture.compute``.
        memorising: values of w_m2.
        generalising: values of w_g2.
        config: how the scalars are trained; all starts at once.

    Returns:
        The variables of ``delay.summary`` over ("w_m2", "w_g2"). NaN is what did not happen in
        time: where the train loss has fallen and the test loss has not, the delay is censored.

    Raises:
        ValueError: a speed that is not positive or comes twice, and what ``mixture.compute``
            refuses.
    """
    for name, speeds in (("memorising", memorising), ("generalising", generalising)):
        for speed in speeds:
            check_number(name, float(speed), minimum=0.0, strict=True)
        if len(set(speeds)) < len(speeds) or not speeds:
            raise ValueError(f"{name}={list(speeds)} must be speeds, each given once")
    starts = {f"{m}:{g}": (float(m), float(g)) for m in memorising for g in generalising}
    found = summary(mixture.compute(tables, starts, config)).drop_vars("start")
    speeds = {
        "w_m2": ("start", [m for m, _ in starts.values()]),
        "w_g2": ("start", [g for _, g in starts.values()]),
    }
    plane = found.assign_coords(speeds).set_index(start=["w_m2", "w_g2"]).unstack("start")
    return plane.transpose("w_m2", "w_g2", ...)


def plot_landscape(
    landscape: xr.Dataset, *, factor: float = 10.0, seed: int | None = None
) -> "go.Figure":
    """Heat map of T_validation / T_train, logarithmic; censored cells are crossed out.

    A cell says the ratio, or the bound that the last step puts on it (">"), or "-" where not even
    the train loss has fallen. ``seed`` is named in the title.
    """
    import plotly.graph_objects as go

    from analyses.pages.style import finish

    at = landscape.sel(factor=factor)
    train, ratio = at.fall_step.sel(split="train").values, at.delay_ratio.values
    bound = landscape.attrs["steps"] / train
    text = [
        [
            "-" if np.isnan(t) else f"{r:.2g}" if not np.isnan(r) else f"> {b:.2g}"
            for t, r, b in zip(*row, strict=True)
        ]
        for row in zip(train, ratio, bound, strict=True)
    ]
    shown = np.where(np.isnan(ratio), bound, ratio)
    names = {axis: [f"{speed:g}" for speed in landscape[axis].values] for axis in ("w_g2", "w_m2")}
    ticks = [0.5, 1, 2, 5, 10, 20, 50, 100]
    figure = go.Figure(
        go.Heatmap(
            x=names["w_g2"], y=names["w_m2"], z=np.log10(shown), text=text,
            texttemplate="%{text}", colorscale="Cividis", hoverongaps=False,
            hovertemplate="w_m2 %{y}, w_g2 %{x}: %{text}<extra></extra>",
            colorbar={
                "title": "T<sub>validation</sub> / T<sub>train</sub>",
                "tickvals": np.log10(ticks), "ticktext": [f"{tick:g}" for tick in ticks],
            },
        )
    )  # fmt: skip
    censored = np.argwhere(np.isnan(ratio) & ~np.isnan(train))
    figure.add_scatter(
        x=[names["w_g2"][j] for _, j in censored], y=[names["w_m2"][i] for i, _ in censored],
        mode="markers", marker={"symbol": "x-thin-open", "size": 44, "color": "white"},
        name=f"validation has not fallen by step {landscape.attrs['steps']}", hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(title="w<sub>g2</sub>, initial speed of C<sub>gen</sub>", type="category")
    figure.update_yaxes(title="w<sub>m2</sub>, initial speed of C<sub>mem</sub>", type="category")
    title = f"How much later validation loss falls by {factor:g} times than training loss"
    seeds = "" if seed is None else f"seed {seed}"
    return finish(figure, title=title, height=520, seeds=seeds).update_layout(
        margin_t=110, plot_bgcolor="#DDDDDD"
    )
