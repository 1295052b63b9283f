"""Does a norm amplify periodic neurons? Gamma against IPR (Doshi et al. 2023, Figs. 5, 15).

A norm behind a hidden layer multiplies each neuron by its gain gamma. With one hidden layer, a
neuron's periodicity is the IPR of its three weight vectors. In a deeper network only the first
layer has input weights over the residues, and only the last has output weights over them. For the
layers between, periodicity is the share of the variance of a neuron's activation, over all pairs,
that one frequency explains. That is not an IPR, and the axis says so.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import norm_gain
    >>> changes = {"data.p": 11, "model.norm": "layer", "training.steps": 50}
    >>> run = gi.train(gi.RunConfig().replace(changes))
    >>> data = norm_gain.compute(run, n_bootstrap=20)
    >>> dict(data.correlation.sizes)
    {'layer': 1, 'coefficient': 2}
    >>> figure = norm_gain.plot_gain(data)
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch.nn.utils.rnn import pad_sequence

from analyses.pages.finding import Finding
from analyses.pages.palette import INK, PLAIN
from analyses.pages.style import finish
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.session import unaffected
from probes import GammaIPR, gamma_ipr, model_gamma_ipr, model_neuron_spectra

BINS = np.linspace(0, 1, 11)  # edges of the bins of periodicity in which gains are averaged
_OFF = 0.01  # a neuron with less than this share of the layer's largest gain is switched off


@unaffected()
def compute(run: Run, *, n_bootstrap: int = 1000, seed: int = 0) -> xr.Dataset:
    """Gain and periodicity of every neuron that a norm multiplies, and their correlation.

    Args:
        run: a run of an MLP with norms (``MLPConfig(norm="batch")``), of any depth.
        n_bootstrap: number of bootstrap samples of the neurons for each interval.
        seed: of the bootstrap.

    Returns:
        Dataset:

        - (layer, neuron): ``gain``, |gamma|; ``periodicity`` between 0 and 1, NaN for a dead
          neuron. Layers may differ in width; missing neurons are NaN.
        - (layer, bin): ``mean_gain`` of the neurons in a bin of periodicity (NaN if there are
          none), its standard error ``gain_error`` (NaN for fewer than two) and ``n_in_bin``.
        - (layer, coefficient): Pearson's and Spearman's ``correlation`` of gain and periodicity,
          with 95 % bootstrap intervals from ``low`` to ``high``; NaN if gain or periodicity is
          constant, or with fewer than 4 living neurons. Intervals are bootstrapped because neurons
          form clusters, to which formulas for normal variables do not apply.
        - (layer): ``n_dead``; ``n_off``, living neurons with less than 1 % of the layer's largest
          gain; and the coordinate ``measured``, the quantity whose periodicity is measured.

    Raises:
        TypeError: the network has no neurons with input weights over the residues.
        ValueError: it has no norms, or its task has no periodic basis.

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
    coefficients = [(layer.pearson.value, layer.spearman.value) for layer in layers]
    per_bin, per_coefficient = ("layer", "bin"), ("layer", "coefficient")
    return xr.Dataset(
        {
            "gain": (("layer", "neuron"), gain),
            "periodicity": (("layer", "neuron"), periodicity),
            "mean_gain": (per_bin, [mean for mean, _, _ in bins]),
            "gain_error": (per_bin, [error for _, error, _ in bins]),
            "n_in_bin": (per_bin, [count for _, _, count in bins]),
            "correlation": (per_coefficient, coefficients),
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
    )


def plot_gain(data: xr.Dataset, *, title: str | None = None) -> go.Figure:
    """|gamma| against periodicity, a panel per norm; diamonds: means in bins, standard errors."""
    count = data.sizes["layer"]
    titles = [_heading(data.isel(layer=i), count) for i in range(count)]
    figure = make_subplots(cols=count, horizontal_spacing=0.09, subplot_titles=titles)
    for i in range(count):
        layer = data.isel(layer=i)
        place: dict[str, Any] = {"row": 1, "col": i + 1}
        figure.add_scatter(
            x=layer.periodicity,
            y=layer.gain,
            mode="markers",
            name="neuron",
            marker={"color": PLAIN, "size": 5, "opacity": 0.45},
            legendgroup="neuron",
            showlegend=i == 0,
            customdata=layer.neuron,
            hovertemplate="neuron %{customdata}: %{x:.3f}, |γ| %{y:.4g}<extra></extra>",  # noqa: RUF001
            **place,
        )
        figure.add_scatter(
            x=_binned(layer.periodicity.values, layer.periodicity.values)[0],
            y=layer.mean_gain,
            error_y={"array": layer.gain_error.fillna(0.0).values, "thickness": 1.5},
            mode="lines+markers",
            name="mean and its error",
            line={"color": INK, "width": 2},
            marker={"symbol": "diamond", "size": 9},
            legendgroup="mean",
            showlegend=i == 0,
            customdata=layer.n_in_bin,
            hovertemplate="mean of %{customdata} neurons: %{y:.4g}<extra></extra>",
            **place,
        )
        figure.update_xaxes(title=_AXIS[str(layer.measured.values)], **place)
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="gain |γ| of the norm", col=1)  # noqa: RUF001
    name = {"batch": "BatchNorm", "layer": "LayerNorm"}[data.attrs["norm"]]
    title = title or f"Does {name} amplify the periodic neurons?"
    return finish(figure, title=title, height=480)


_WEIGHTS, _INPUT = "input and output weights", "input weights"
_OUTPUT, _ACTIVATIONS = "output weights", "activations"
_AXIS = {
    _WEIGHTS: "IPR of input and output weights",
    _INPUT: "IPR of input weights",
    _OUTPUT: "IPR of output weights",
    _ACTIVATIONS: "share of variance at one frequency",
}


def _heading(layer: xr.Dataset, count: int) -> str:
    """Title of a layer's panel: its number, its neurons without effect, and the correlation."""
    name = f"hidden layer {int(layer.layer) + 1} of {count}" if count > 1 else "hidden layer"
    rank = layer.sel(coefficient="spearman")
    counts = {"dead": int(layer.n_dead), "switched off": int(layer.n_off)}
    name = f"<b>{name}</b>" + "".join(f", {n} {word}" for word, n in counts.items() if n)
    if np.isnan(rank.correlation):
        return f"{name}<br>no correlation is defined"
    ends = f"[{float(rank.low):z.2f}, {float(rank.high):z.2f}]"
    return f"{name}<br>rank correlation {float(rank.correlation):z.2f} {ends}"


def _layers(run: Run) -> list[tuple[str, GammaIPR]]:
    """For each norm the quantity whose periodicity is measured, and gains and periodicities."""
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
    """Mean of ``gain`` in every bin of ``x``, its standard error, and the number of neurons."""
    place = np.searchsorted(BINS[1:-1], x, side="right")  # the last bin includes 1
    members = [gain[(place == b) & ~np.isnan(x)] for b in range(len(BINS) - 1)]
    mean = [m.mean() if len(m) else np.nan for m in members]
    error = [m.std(ddof=1) / len(m) ** 0.5 if len(m) > 1 else np.nan for m in members]
    return np.array(mean), np.array(error), np.array([len(m) for m in members])


def _interval(
    found: GammaIPR, n_bootstrap: int, rng: np.random.Generator
) -> Float[np.ndarray, "2 coefficient"]:
    """Ends of the 95 % bootstrap intervals of Pearson's and Spearman's coefficients."""
    if np.isnan(found.pearson.value):
        return np.full((2, 2), np.nan)
    alive = ~found.ipr.isnan()
    x, gain = found.ipr[alive].numpy(), found.gamma[alive].numpy()
    drawn = rng.integers(len(x), size=(n_bootstrap, len(x)))
    return np.nanquantile(_both(x[drawn], gain[drawn]), [0.025, 0.975], axis=1)


def _both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's and Spearman's coefficients [2, row] of paired rows; NaN for a constant row."""
    from scipy.stats import rankdata

    return np.stack([_pearson(x, y), _pearson(rankdata(x, axis=1), rankdata(y, axis=1))])


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a constant row gives 0 / 0 = NaN
        return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    rows = [
        {
            "layer": layer,
            **{
                f"{name} [95 %]": f"{float(one.correlation.sel(coefficient=name)):.2f} "
                f"[{float(one.low.sel(coefficient=name)):.2f}, "
                f"{float(one.high.sel(coefficient=name)):.2f}]"
                for name in data.coefficient.values
            },
            "dead": int(one.n_dead),
            "off": int(one.n_off),
        }
        for layer in range(data.sizes["layer"])
        for one in [data.isel(layer=layer)]
    ]
    sentence = (
        "The gain of the norm behind each neuron against how periodic the neuron is; if the norm "
        "amplifies the neurons that generalise, points rise to the right."
    )
    return Finding(data=data, figures=[plot_gain(data)], rows=rows, sentences=[sentence])
