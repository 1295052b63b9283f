"""Does a norm amplify the periodic neurons? Its gamma against IPR (Doshi et al. 2023, Figs. 5, 15).

In a network with one hidden layer the norm stands between the neurons and their output weights, and
a neuron's IPR is that of its three weight vectors. In a deeper network only the first layer's
neurons have weights over the residues at their inputs, and only the last layer's at their output.
Layers between have neither, and their neurons' periodicity is read off activations over all pairs:
the share of the variance that one frequency explains, which is no IPR, and is labelled so.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch.nn.utils.rnn import pad_sequence

from analyses.pages.finding import Finding
from analyses.pages.style import BLUE, RED, finish
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.session import unaffected
from probes import GammaIPR, gamma_ipr, model_gamma_ipr, model_neuron_spectra

BINS = np.linspace(0, 1, 11)  # of the periodicity, for means
_OFF = 0.01  # of the layer's largest gain: a neuron with less is switched off


@unaffected()
def compute(run: Run, *, n_bootstrap: int = 1000, seed: int = 0) -> xr.Dataset:
    """Gamma and periodicity of every neuron behind every norm, and how they go together.

    Args:
        run: a run of an MLP with norms (``MLPConfig(norm="batch")``), of any depth.
        n_bootstrap: resamplings of the neurons behind each interval.
        seed: draws them.

    Returns:
        Dataset over ("layer", "neuron"): ``gain``, |gamma| (its sign is a matter of convention),
        and ``periodicity`` in 0..1, NaN for a dead neuron; both NaN past a narrower layer's end.
        Over ("layer", "bin"): ``mean_gain`` (NaN where empty), ``gain_error`` (standard error; NaN
        with fewer than two) and ``n_in_bin``. Over ("layer", "coefficient"), "pearson" and
        "spearman": ``correlation`` of the two, with ``low`` and ``high`` (95 % bootstrap interval:
        neurons come in clusters, which a formula for normal variables would not know); all NaN
        where one is constant or fewer than 4 neurons are alive. Over "layer": ``n_dead``; ``n_off``
        (alive, but of less than 1 % of the layer's largest gain: weight decay leaves neurons that
        write a constant); and the coordinate ``measured``, what the periodicity is of.

    Raises:
        TypeError: another network.
        ValueError: a network without norms, or a task without a periodic basis.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 5, section 2.1 and appendix G.
    """
    check_int("n_bootstrap", n_bootstrap, minimum=1)
    measured, layers = zip(*_layers(run), strict=True)
    rng = np.random.default_rng(seed)
    intervals = np.stack([_interval(layer, n_bootstrap, rng) for layer in layers])
    bins = [_binned(layer.ipr.numpy(), layer.gamma.numpy()) for layer in layers]
    off = [(layer.gamma < _OFF * layer.gamma.max()) & ~layer.ipr.isnan() for layer in layers]
    # Layers may differ in width.
    gain, periodicity = (
        pad_sequence(values, batch_first=True, padding_value=np.nan)
        for values in ([layer.gamma for layer in layers], [layer.ipr for layer in layers])
    )
    per_bin, per_coefficient = ("layer", "bin"), ("layer", "coefficient")
    return xr.Dataset(
        {
            "gain": (("layer", "neuron"), gain),
            "periodicity": (("layer", "neuron"), periodicity),
            "mean_gain": (per_bin, [mean for mean, _, _ in bins]),
            "gain_error": (per_bin, [error for _, error, _ in bins]),
            "n_in_bin": (per_bin, [count for _, _, count in bins]),
            "correlation": (per_coefficient, [
                (layer.pearson.value, layer.spearman.value) for layer in layers
            ]),
            "low": (per_coefficient, intervals[:, 0]),
            "high": (per_coefficient, intervals[:, 1]),
            "n_dead": ("layer", [layer.n_dead for layer in layers]),
            "n_off": ("layer", [int(switched.sum()) for switched in off]),
        },
        coords={
            "layer": np.arange(len(layers)),
            "measured": ("layer", list(measured)),
            "bin": (BINS[:-1] + BINS[1:]) / 2,
            "coefficient": ["pearson", "spearman"],
        },
        attrs={"norm": run.config.model.norm},
    )  # fmt: skip


def plot_gain(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """|gamma| against periodicity, a panel per norm; diamonds are means with standard errors."""
    count = data.sizes["layer"]
    figure = make_subplots(
        cols=count, horizontal_spacing=0.09,
        subplot_titles=[_heading(data.isel(layer=i), count) for i in range(count)],
    )  # fmt: skip
    for i in range(count):
        layer = data.isel(layer=i)
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        figure.add_scatter(
            x=layer.periodicity, y=layer.gain, mode="markers", name="neuron",
            marker={"color": BLUE, "size": 5, "opacity": 0.45}, showlegend=i == 0,
            customdata=layer.neuron, legendgroup="neuron",
            hovertemplate="neuron %{customdata}: %{x:.3f}, |γ| %{y:.4g}<extra></extra>", **place,  # noqa: RUF001
        )  # fmt: skip
        figure.add_scatter(
            x=layer.bin, y=layer.mean_gain, mode="lines+markers", name="mean and its error",
            line={"color": RED, "width": 2}, legendgroup="mean", showlegend=i == 0,
            marker={"symbol": "diamond", "size": 9}, customdata=layer.n_in_bin,
            error_y={"array": layer.gain_error.fillna(0.0).values, "thickness": 1.5},
            hovertemplate="mean of %{customdata} neurons: %{y:.4g}<extra></extra>", **place,
        )  # fmt: skip
        figure.update_xaxes(title=_AXIS[str(layer.measured.values)], **place)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="gain |γ| of the norm", col=1)  # noqa: RUF001
    name = {"batch": "BatchNorm", "layer": "LayerNorm"}[data.attrs["norm"]]
    figure = finish(figure, title=title or f"Does {name} amplify the periodic neurons?", height=480)
    return figure.update_layout(margin_t=140, legend={"y": 1.17})


_WEIGHTS, _INPUT = "input and output weights", "input weights"
_OUTPUT, _ACTIVATIONS = "output weights", "activations"
_AXIS = {
    _WEIGHTS: "IPR of input and output weights",
    _INPUT: "IPR of input weights",
    _OUTPUT: "IPR of output weights",
    _ACTIVATIONS: "share of variance at one frequency",
}


def _heading(layer: xr.Dataset, count: int) -> str:
    """Which layer, and its correlation with the interval."""
    name = f"hidden layer {int(layer.layer) + 1} of {count}" if count > 1 else "hidden layer"
    rank = layer.sel(coefficient="spearman")
    name = f"<b>{name}</b>" + "".join(
        f", {int(layer[key])} {word}"
        for key, word in (("n_dead", "dead"), ("n_off", "switched off"))
        if int(layer[key])
    )
    if np.isnan(rank.correlation):
        return f"{name}<br>no correlation is defined"
    numbers = f"{float(rank.correlation):.2f} [{float(rank.low):.2f}, {float(rank.high):.2f}]"
    return f"{name}<br>rank correlation {numbers}"


def _layers(run: Run) -> list[tuple[str, GammaIPR]]:
    """Every norm's gamma and periodicity, and what the latter is measured on."""
    model, operation = run.model, run.config.data.operation
    by_weights = model_gamma_ipr(model, operation)
    if len(model.layers) == 1:
        return [(_WEIGHTS, found) for found in by_weights.values()]
    first, last = by_weights.values()
    hooks = [f"layers.{i}.hook_post" for i in range(1, len(model.layers) - 1)]
    between = model_neuron_spectra(model, operation, hooks=hooks) if hooks else {}
    by_activations = [
        (_ACTIVATIONS, gamma_ipr(model.get_parameter(f"layers.{i}.norm.gamma"), spectrum.share))
        for i, spectrum in enumerate(between.values(), 1)
    ]
    return [(_INPUT, first), *by_activations, (_OUTPUT, last)]


def _binned(x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of ``gain`` in every bin of ``x``, its standard error, and how many there are."""
    place = np.searchsorted(BINS[1:-1], x, side="right")  # a share of exactly 1 is in the last bin
    members = [gain[(place == b) & ~np.isnan(x)] for b in range(len(BINS) - 1)]
    mean = [m.mean() if len(m) else np.nan for m in members]
    error = [m.std(ddof=1) / len(m) ** 0.5 if len(m) > 1 else np.nan for m in members]
    return np.array(mean), np.array(error), np.array([len(m) for m in members])


def _interval(
    found: GammaIPR, n_bootstrap: int, rng: np.random.Generator
) -> Float[np.ndarray, "2 coefficient"]:
    """Ends of the 95 % bootstrap intervals of Pearson's and Spearman's coefficient."""
    if np.isnan(found.pearson.value):
        return np.full((2, 2), np.nan)
    alive = ~found.ipr.isnan()
    x, gain = found.ipr[alive].numpy(), found.gamma[alive].numpy()
    drawn = rng.integers(len(x), size=(n_bootstrap, len(x)))
    return np.nanquantile(_both(x[drawn], gain[drawn]), [0.025, 0.975], axis=1)


def _both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's and Spearman's coefficient [2, row] of rows of pairs; NaN for a constant row."""
    from scipy.stats import rankdata

    return np.stack([_pearson(x, y), _pearson(rankdata(x, axis=1), rankdata(y, axis=1))])


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # 0 / 0 = NaN: one of them is constant
        return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    return Finding(data=data, figures=[plot_gain(data)])
