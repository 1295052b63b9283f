"""Whether the frequency that wins in a neuron could be told from its initial weights.

He, Wang, Chen and Yang 2026 (arXiv:2602.16849) find that frequencies compete within each neuron and
that the winner is the one of large initial magnitude and well matched initial phases. Here each
neuron's final frequency is ranked among all frequencies of its initial weights, by magnitude, by
phase, and by the two together. The control ranks it in the initial weights of other neurons.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import frequency_winners
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = frequency_winners.compute(run, n_shuffles=100)
    >>> chance = data.control_auc.sel(score="magnitude")
    >>> bool(data.auc.sel(score="magnitude") > chance.max())  # from the initial weights
    True
    >>> figure = frequency_winners.plot_ranks(data)
"""

from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import torch
import typer
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from analyses.pages.finding import Finding
from analyses.pages.palette import INK, PAPER, PLAIN
from analyses.pages.style import finish
from grokinterp import Run, build_model
from grokinterp.checks import check_int, check_number
from grokinterp.session import unaffected
from probes import NeuronModes, model_solution_form, network_on_pairs, neuron_modes, neuron_weights

SCORES = ("magnitude", "phase", "both")
_INSTEAD = (
    "analyses.progress_measures.compute(run, follow=True): the key frequencies at every stored "
    "step, any network"
)
PERIODIC_FROM = 0.5  # purity from which a neuron counts as having a winner


@unaffected()
def compute(
    run: Run, *, periodic_from: float = PERIODIC_FROM, n_shuffles: int = 1000, seed: int = 0
) -> xr.Dataset:
    """How high each neuron's final frequency stood in its initial weights.

    The scores of a frequency, from the amplitudes A and phases phi of a neuron's initial U, V and W
    there: "magnitude", the product A_u A_v A_w; "phase", cos(phi_u + phi_v - phi_w); and "both",
    the product of these two. In the quadratic network the amplitudes first grow in proportion to
    "both"; opposite phases make it negative, however large the magnitude, though they may still
    turn while training. A neuron's rank is the share of the other frequencies with a lower score
    (a tie counts half): the AUC of the score for its one winner. 0.5 is chance.

    Args:
        run: of a network with one hidden layer, trained from the weights of its config's seed.
        periodic_from: neurons whose final frequency has a smaller share of their weights' energy
            have no winner and are left out.
        n_shuffles: number of controls. In each, every neuron gets the initial weights of another
            neuron, drawn at random.
        seed: of these draws.

    Returns:
        Dataset:

        - (score, neuron): ``rank`` from 0 to 1, NaN for a neuron without a winner.
        - (score): ``auc``, the mean rank; ``won``, the share of neurons whose winner had the
          highest score. (stat, score): ``control_auc`` and ``control_won``, the mean of the
          controls and their 95 % interval from "low" to "high".
        - (k), every frequency: ``initial_energy``, its share of all initial weights' energy, and
          ``n_neurons`` that it wins.

        Attributes: ``n_winners``, neurons with a winner; ``chance_won``, one over the number of
        frequencies; ``network_auc``, how well a frequency's initial energy tells frequencies that
        win a neuron from those that win none (NaN if all win); ``network_spearman``, its rank
        correlation with the number of neurons won (NaN if all win alike).

    Raises:
        TypeError: the network has no weights U, V and W.
        ValueError: it has more than one hidden layer, its task has no periodic basis, the run
            started from a checkpoint, or no neuron has a winner.

    Source: He et al. 2026, arXiv:2602.16849.
    """
    check_int("n_shuffles", n_shuffles, minimum=1)
    check_number("periodic_from", periodic_from, minimum=0.0)
    if run.provenance.get("start") is not None:
        raise ValueError(
            "the run started from a checkpoint, so its initial weights are not those of its "
            "config's seed; give the run that the checkpoint came from"
        )
    operation = run.config.data.operation
    basis = network_on_pairs(run.model).basis(operation)
    initial = neuron_weights(build_model(run.config), instead=_INSTEAD)
    first = neuron_modes(*initial, basis)
    last = model_solution_form(run.model, operation)
    wins = last.purity.nan_to_num(0.0) >= periodic_from
    if not wins.any():
        raise ValueError(
            f"no neuron has {periodic_from:.0%} of its weights' energy at one frequency, so there "
            "is no winner; lower periodic_from, or take a run that generalises"
        )
    winner = last.frequency[wins] - 1  # place among the frequencies
    scores = _scores(first)
    rank = np.full((len(SCORES), len(wins)), np.nan)
    rank[:, wins.numpy()] = _ranks(scores[:, wins], winner)
    own, rng = wins.nonzero()[:, 0].numpy(), np.random.default_rng(seed)
    others = (own + rng.integers(1, len(wins), (n_shuffles, len(own)))) % len(wins)
    control = np.stack([_ranks(scores[:, torch.as_tensor(other)], winner) for other in others])
    energy = (first.amplitude.square().sum(dim=(0, 1))).numpy()
    n_neurons = np.bincount(winner.numpy(), minlength=len(energy))
    return xr.Dataset(
        {
            "rank": (("score", "neuron"), rank),
            "auc": ("score", np.nanmean(rank, axis=1)),
            "won": ("score", (rank == 1).sum(axis=1) / len(winner)),
            "control_auc": (("stat", "score"), _summary(control.mean(axis=2))),
            "control_won": (("stat", "score"), _summary((control == 1).mean(axis=2))),
            "initial_energy": ("k", energy / energy.sum()),
            "n_neurons": ("k", n_neurons),
        },
        coords={
            "score": list(SCORES),
            "stat": ["mean", "low", "high"],
            "k": basis.frequencies.numpy(),
        },
        attrs={
            "n_winners": len(winner),
            "chance_won": 1 / len(energy),
            "network_auc": _auc(energy, n_neurons > 0),
            "network_spearman": _spearman(energy, n_neurons),
        },
    )


def _scores(modes: NeuronModes) -> Float[Tensor, "score neuron frequency"]:
    """In the order of ``SCORES``."""
    magnitude, phase = modes.amplitude.prod(dim=0), modes.phase_gap.cos()
    return torch.stack([magnitude, phase, magnitude * phase])


def _ranks(
    scores: Float[Tensor, "score neuron frequency"], winner: Tensor
) -> Float[np.ndarray, "score neuron"]:
    """Share of the other frequencies that the winner's score is above; a tie counts half."""
    own = scores.gather(2, winner.expand(len(scores), -1)[..., None])
    below = (scores < own).sum(dim=2) + 0.5 * ((scores == own).sum(dim=2) - 1)
    return (below / (scores.shape[2] - 1)).numpy()


def _summary(values: Float[np.ndarray, "shuffle score"]) -> np.ndarray:
    """Mean and ends of the 95 % interval, [3, score]."""
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    return np.stack([values.mean(axis=0), low, high])


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive has a higher score than a negative; NaN without either."""
    from scipy import stats

    if positive.all() or not positive.any():
        return np.nan
    u = stats.mannwhitneyu(score[positive], score[~positive]).statistic
    return float(u / (positive.sum() * (~positive).sum()))


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation; NaN where one of the two is constant."""
    from scipy import stats

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def plot_ranks(
    data: xr.Dataset, *, title: str = "Where a neuron's final frequency stood at the start"
) -> go.Figure:
    """Histogram of the winners' initial ranks by each score; dashed, chance."""
    bins, count = 20, data.attrs["n_winners"]
    figure = make_subplots(
        cols=len(SCORES),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[_heading(data.sel(score=score)) for score in SCORES],
    )
    for column, score in enumerate(SCORES, 1):
        place: dict[str, Any] = {"row": 1, "col": column}
        figure.add_histogram(
            x=np.minimum(data["rank"].sel(score=score), 1 - 1e-9),  # the last bin includes 1
            histnorm="percent",
            marker_color=PLAIN,
            xbins={"start": 0, "end": 1.0001, "size": 1 / bins},
            showlegend=False,
            marker_line={"color": PAPER, "width": 0.5},
            **place,
            hovertemplate="rank %{x}: %{y:.1f} % of the neurons<extra></extra>",
        )
        figure.add_hline(100 / bins, line={"dash": "dash", "color": INK, "width": 1.5}, **place)
    figure.update_xaxes(title="rank among all frequencies", range=[0, 1.001])
    figure.update_yaxes(title=f"% of {count} periodic neurons", col=1)
    return finish(figure, title=title, height=430, note="1: highest; dashed: chance")


def _heading(data: xr.Dataset) -> str:
    name = {
        "magnitude": "initial magnitude",
        "phase": "initial match of phases",
        "both": "magnitude times match of phases",
    }[str(data.score.values)]
    low, high = (float(data.control_auc.sel(stat=q)) for q in ("low", "high"))
    return (
        f"<b>{name}</b><br>AUC {float(data.auc):.3f}, other neurons [{low:.3f}, {high:.3f}]<br>"
        f"highest in {float(data.won):.0%} of neurons (chance {data.attrs['chance_won']:.1%})"
    )


def plot_network(
    data: xr.Dataset, *, title: str = "Neurons won against a frequency's initial energy"
) -> go.Figure:
    """A point per frequency: its share of all initial weights' energy, and the neurons it wins."""
    figure = go.Figure(
        go.Scatter(
            x=data.initial_energy,
            y=data.n_neurons,
            mode="markers+text",
            showlegend=False,
            text=[
                str(k) if n else ""
                for k, n in zip(data.k.values, data.n_neurons.values, strict=True)
            ],
            textposition="top center",
            textfont_size=11,
            customdata=data.k,
            marker={"size": 8, "color": PLAIN, "opacity": 0.7},
            hovertemplate="frequency %{customdata}: %{y} neurons<extra></extra>",
        )
    )
    told = {"rank correlation": "network_spearman", "AUC of winning at all": "network_auc"}
    numbers = [
        f"{name} {value:.2f}"
        for name, key in told.items()
        if not np.isnan(value := data.attrs[key])
    ]
    figure.update_xaxes(title="share of the initial weights' energy", tickformat=".2%")
    figure.update_yaxes(title="neurons won", rangemode="tozero")
    return finish(figure, title=title, height=430, note=", ".join(numbers))


def in_words(data: xr.Dataset) -> list[dict[str, object]]:
    """A row per score."""
    return [
        {
            "score:": score,
            "AUC": float(of.auc),
            "other neurons' AUC": f"[{float(of.control_auc.sel(stat='low')):.3f}, "
            f"{float(of.control_auc.sel(stat='high')):.3f}]",
            "highest": float(of.won),
            "chance": data.attrs["chance_won"],
            "neurons": data.attrs["n_winners"],
        }
        for score, of in ((score, data.sel(score=score)) for score in SCORES)
    ]


def analysis(
    run: Run,
    periodic_from: Annotated[
        float, typer.Option(help="least share of a neuron's weights at its final frequency")
    ] = PERIODIC_FROM,
    n_shuffles: Annotated[int, typer.Option(help="controls")] = 1000,
) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run, periodic_from=periodic_from, n_shuffles=n_shuffles)
    sentences = [
        "Ranks that the neurons' final frequencies had in their initial weights, by each score; "
        "the dashed line is chance.",
        "A point is a frequency: its share of all initial weights' energy, and how many neurons "
        "have it after training.",
    ]
    figures = [plot_ranks(data), plot_network(data)]
    return Finding(data=data, figures=figures, rows=in_words(data), sentences=sentences)
