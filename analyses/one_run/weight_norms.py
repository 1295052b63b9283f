"""Frobenius norms of the weights while training (Doshi et al. 2023, Fig. 8b and appendix E).

Under very strong weight decay a network that has generalised lets all its weights collapse: the
Forgetting phase.
"""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages.finding import Finding
from analyses.pages.style import BLACK, BLUE, GREEN, PURPLE, RED, SKY, SUBSET_STYLE, finish
from grokinterp import Run

_PAPER_NAME = {
    "W_E[0]": "U (first operand)", "W_E[1]": "V (second operand)", "W_U": "W (output)"
}  # fmt: skip


def compute(run: Run) -> xr.Dataset:
    """``norm`` (step, weight), ``test_accuracy`` (step) and, as attributes, where it collapsed.

    Attributes: ``largest`` and ``final`` total norm, and ``collapsed`` (final below 1 % of
    largest).
    """
    history = run.history[["norm", "test_accuracy"]]
    if history.sizes["step"] == 0:
        raise ValueError("the run diverged before its first evaluation; it has no history to show")
    total = np.sqrt((history.norm**2).sum("weight"))
    largest, final = float(total.max()), float(total[-1])
    return history.assign_attrs(largest=largest, final=final, collapsed=int(final < 0.01 * largest))


def plot_norms(norms: xr.Dataset, *, title: str = "Weight norms") -> go.Figure:
    """Norm of every matrix on the left axis, test accuracy on the right one."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    dashes = ["solid", "dot", "dashdot", "longdash"]
    for i, name in enumerate(norms.weight.values):
        figure.add_scatter(
            x=norms.step, y=norms.norm.sel(weight=name), name=_PAPER_NAME.get(name, name),
            line={"color": [BLUE, SKY, RED, GREEN, PURPLE, BLACK][i % 6], "dash": dashes[i % 4]},
            hovertemplate="step %{x}: %{y:.3f}",
        )  # fmt: skip
    figure.add_scatter(
        x=norms.step, y=norms.test_accuracy, name="test accuracy", secondary_y=True,
        line=SUBSET_STYLE["test"] | {"width": 1.5}, hovertemplate="step %{x}: %{y:.4f}",
    )  # fmt: skip
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="Frobenius norm", rangemode="tozero", secondary_y=False)
    figure.update_yaxes(
        title="test accuracy", range=[0, 1.03], tickmode="linear", dtick=0.2, showgrid=False,
        secondary_y=True,
    )  # fmt: skip
    return finish(figure, title=title)


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    return Finding(data=data, figures=[plot_norms(data)])
