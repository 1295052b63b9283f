"""Frobenius norms of the weights while training (Doshi et al. 2023, Fig. 8b and appendix E).

Under very strong weight decay all weights of a network collapse towards zero after it has
generalised: the Forgetting phase.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import weight_norms
    >>> run = gi.train(gi.RunConfig().replace({"data.p": 11, "training.steps": 100}))
    >>> norms = weight_norms.compute(run)
    >>> norms.weight.values.tolist(), norms.sizes["step"]
    (['W_E[0]', 'W_E[1]', 'W_U'], 11)
    >>> bool((norms.norm.sel(step=100) > norms.norm.sel(step=0)).all())
    True
    >>> figure = weight_norms.plot_norms(norms)
"""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.pages.finding import Finding
from analyses.pages.palette import SUBSET_STYLE, series
from analyses.pages.style import finish
from analyses.runs_given import check_run
from grokinterp import Run

_PAPER_NAME = {
    "W_E[0]": "U (first operand)",
    "W_E[1]": "V (second operand)",
    "W_U": "W (output)",
}


def compute(run: Run) -> xr.Dataset:
    """Norm of every weight matrix, and whether the network collapsed.

    Returns:
        Dataset with ``norm`` (step, weight) and ``test_accuracy`` (step). Attributes: the largest
        and the final norm of all weights together, ``largest`` and ``final``; ``collapsed``, 1 if
        the final one is below 1 % of the largest.

    Raises:
        ValueError: the run has no evaluated step.
    """
    check_run(run)
    history = run.history[["norm", "test_accuracy"]]
    if history.sizes["step"] == 0:
        raise ValueError("the run diverged before its first evaluation; there is nothing to show")
    total = np.sqrt((history.norm**2).sum("weight"))
    largest, final = float(total.max()), float(total[-1])
    return history.assign_attrs(largest=largest, final=final, collapsed=int(final < 0.01 * largest))


def plot_norms(norms: xr.Dataset, *, title: str = "Weight norms") -> go.Figure:
    """Norm of every matrix (left axis) and test accuracy (right axis) against steps."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    for i, weight in enumerate(norms.weight.values):
        figure.add_scatter(
            x=norms.step,
            y=norms.norm.sel(weight=weight),
            name=_PAPER_NAME.get(weight, weight),
            line={"color": series(i).color, "dash": series(i).dash},
            hovertemplate="step %{x}: %{y:.3f}",
        )
    figure.add_scatter(
        x=norms.step,
        y=norms.test_accuracy,
        name="test accuracy",
        line=SUBSET_STYLE["test"] | {"width": 1.5},
        hovertemplate="step %{x}: %{y:.4f}",
        secondary_y=True,
    )
    figure.update_xaxes(title="step (updates)")
    figure.update_yaxes(title="Frobenius norm", rangemode="tozero", secondary_y=False)
    right = {"range": [0, 1.03], "tickmode": "linear", "dtick": 0.2, "showgrid": False}
    figure.update_yaxes(title="test accuracy", secondary_y=True, **right)
    return finish(figure, title=title)


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    share = data.attrs["final"] / data.attrs["largest"]
    collapsed = "the network collapsed" if data.attrs["collapsed"] else "it did not collapse"
    rows = [f"norm of all weights: {data.attrs['final']:.3g}, {share:.0%} of its largest value"]
    sentence = f"Norms of the weight matrices, and test accuracy on the right axis: {collapsed}."
    return Finding(data=data, figures=[plot_norms(data)], rows=rows, sentences=[sentence])
