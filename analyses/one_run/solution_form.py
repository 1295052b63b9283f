"""Whether trained neurons have the form of the analytic solution (Doshi et al. 2023, eq. 2).

In eq. 2 a neuron has one frequency and one amplitude in U, V and W, and its output phase is the sum
of its input phases. How far trained neurons obey this is given at every tolerance, neurons weighted
by the squared norm of their weights, against the same neurons with shuffled weight vectors. The
amplitudes of U and V are also compared alone: in a quadratic network U and V times c, and W over
c^2, is the same function, so that W has no amplitude of its own to agree with.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import solution_form
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> data = solution_form.compute(run, n_shuffles=20)
    >>> bool(data.obeys_phases.sel(degrees=30) > 0.9)  # share of the weights' energy
    True
    >>> bool(data.control_phases.sel(degrees=30).max() < 0.5)  # phases shuffled
    True
    >>> figure = solution_form.plot_rules(data)
"""

import math
from typing import Annotated, Any

import numpy as np
import plotly.graph_objects as go
import torch
import typer
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots

from analyses.pages.finding import Finding
from analyses.pages.palette import FAINT, GUIDE, INK, PLAIN, SERIES
from analyses.pages.panels import draw_band
from analyses.pages.style import explain, finish
from analyses.runs_given import check_run
from grokinterp import Run
from grokinterp.checks import check_int
from grokinterp.session import unaffected
from probes import SolutionForm, model_solution_form
from probes.solution_form import phase_gap

# Tolerances of the summary: 18 degrees and a factor of 1.25. A neuron is periodic if its frequency
# has at least half of the energy of its weights.
PHASE_WITHIN, FACTOR_WITHIN, PERIODIC_FROM = math.pi / 10, 1.25, 0.5
DEGREES = np.arange(0, 181, 3)
FACTORS = np.geomspace(1, 10, 46)
RULES = {  # what is asked of a neuron, by the axis on which its tolerance lies
    "phases": "degrees",
    "input_amplitudes": "factor",
    "amplitudes": "factor",
}
_WITHIN = {"degrees": PHASE_WITHIN, "factor": FACTOR_WITHIN}  # phases in radians


@unaffected()
def compute(run: Run, *, n_shuffles: int = 1000, seed: int = 0) -> xr.Dataset:
    """How much of a network obeys the phase rule and the amplitude rule, and at which frequencies.

    The rules are "phases" (phi_u + phi_v = phi_w), "input_amplitudes" (A_u = A_v) and "amplitudes"
    (A_u = A_v = A_w).

    Args:
        run: of a network with one hidden layer, on a task with a periodic basis.
        n_shuffles: number of controls. In each, the vectors of W, and for the amplitudes also those
            of V, are permuted over the neurons that have a frequency.
        seed: of the permutations.

    Returns:
        Dataset:

        - (neuron): its own ``frequency``, -1 if it has none; ``phase_gap``, phi_u + phi_v - phi_w
          in radians from -pi to pi; ``input_factor``, the larger of A_u and A_v over the smaller;
          ``amplitude_factor``, the largest of the three amplitudes over the smallest; ``purity``,
          the share of the three vectors at the frequency, their mean; and ``energy``, the neuron's
          share of the squared norm of all weights. NaN for a neuron without a frequency.
        - (degrees) or (factor), for each rule: ``obeys_RULE``, the energy of the neurons within
          that tolerance. (stat, degrees) or (stat, factor): ``control_RULE``, the mean of the
          shuffles and their 95 % interval from "low" to "high".
        - (k), every frequency of the task: ``n_own``, neurons that have it; ``n_periodic``, those
          of them with a purity of at least ``PERIODIC_FROM``; ``n_obeying``, those of the periodic
          ones whose phases match within ``PHASE_WITHIN``; and ``energy_at``, the energy of all of
          them.

        Attributes: ``n_neurons``; ``n_without`` a frequency; ``n_frequencies`` with a periodic
        neuron; and for every rule the energy at the tolerance of the summary (``PHASE_WITHIN``,
        ``FACTOR_WITHIN``), with ``RULE_mean``, ``RULE_low`` and ``RULE_high`` of the shuffles.

    Raises:
        TypeError: the network has no weights U, V and W.
        ValueError: it has more than one hidden layer, its task has no periodic basis, or no neuron
            has a frequency.

    Source: Doshi et al. 2023, arXiv:2310.13061, eq. 2.
    """
    check_run(run)
    check_int("n_shuffles", n_shuffles, minimum=1)
    form = model_solution_form(run.model, run.config.data.operation)
    has = form.has_frequency.numpy()
    if not has.any():
        raise ValueError(
            "no neuron has a frequency: in each a weight vector is dead, or all are constant; "
            "train longer, or with less weight decay"
        )
    energy = (form.energy / form.energy.sum()).numpy()
    purity, gap = form.purity.numpy(), form.phase_gap.numpy()
    own = {
        "phases": np.abs(gap),
        "input_amplitudes": _factor(form.amplitude[:2].numpy()),
        "amplitudes": _factor(form.amplitude.numpy()),
    }
    data = xr.Dataset(
        {
            "frequency": ("neuron", form.frequency.numpy()),
            "phase_gap": ("neuron", gap),
            "input_factor": ("neuron", own["input_amplitudes"]),
            "amplitude_factor": ("neuron", own["amplitudes"]),
            "purity": ("neuron", purity),
            "energy": ("neuron", energy),
        },
        coords={
            "degrees": DEGREES,
            "factor": FACTORS,
            "stat": ["mean", "low", "high"],
            "k": np.arange(1, form.period // 2 + 1),
        },
        attrs={"n_neurons": len(has), "n_without": int((~has).sum()), "n_shuffles": n_shuffles},
    )
    bounds = {"degrees": np.deg2rad(DEGREES), "factor": FACTORS}
    for rule, shuffled in _shuffled(form, n_shuffles, seed).items():
        axis = RULES[rule]
        at = np.append(bounds[axis], _WITHIN[axis])  # the summary's tolerance last
        share, control = _shares(own[rule][has], shuffled, energy[has], at)
        data[f"obeys_{rule}"] = (axis, share[:-1])
        data[f"control_{rule}"] = (("stat", axis), control[:, :-1])
        data.attrs[rule] = float(share[-1])
        for name, value in zip(data.stat.values, control[:, -1], strict=True):
            data.attrs[f"{rule}_{name}"] = float(value)
    periodic = has & (purity >= PERIODIC_FROM)
    matched = periodic & (np.abs(gap) <= PHASE_WITHIN)
    for name, members in {"n_own": has, "n_periodic": periodic, "n_obeying": matched}.items():
        data[name] = ("k", _per_frequency(data, members.astype(float)).astype(int))
    data["energy_at"] = ("k", _per_frequency(data, energy))
    return data.assign_attrs(n_frequencies=int((data.n_periodic > 0).sum()))


def _per_frequency(data: xr.Dataset, values: np.ndarray) -> np.ndarray:
    """Sums over the neurons of each frequency 1, 2, ...; neurons without one are left out."""
    own = data.frequency.values
    return np.bincount(own[own > 0], values[own > 0], minlength=data.sizes["k"] + 1)[1:]


def _shuffled(
    form: SolutionForm, n_shuffles: int, seed: int
) -> dict[str, Float[np.ndarray, "shuffle neuron"]]:
    """What each rule measures, with vectors of other neurons; neurons with a frequency alone."""
    rng = np.random.default_rng(seed)
    u, v, w = form.phase[:, form.has_frequency]
    first, second, third = form.amplitude[:, form.has_frequency].numpy()
    places = np.tile(np.arange(len(u)), (2, n_shuffles, 1))
    of_v, of_w = rng.permuted(places, axis=-1)
    inputs = np.stack([np.broadcast_to(first, of_v.shape), second[of_v]])
    return {
        "phases": phase_gap(u, v, w[torch.as_tensor(of_w)]).abs().numpy(),
        "input_amplitudes": _factor(inputs),
        "amplitudes": _factor(np.concatenate([inputs, third[of_w][None]])),
    }


def _factor(amplitudes: Float[np.ndarray, "part *neuron"]) -> Float[np.ndarray, "*neuron"]:
    """Largest amplitude over the smallest; infinite where one is zero."""
    with np.errstate(divide="ignore"):
        return amplitudes.max(axis=0) / amplitudes.min(axis=0)


def _shares(
    own: Float[np.ndarray, " neuron"],
    shuffled: Float[np.ndarray, "shuffle neuron"],
    energy: Float[np.ndarray, " neuron"],
    bounds: Float[np.ndarray, " bound"],
) -> tuple[Float[np.ndarray, " bound"], Float[np.ndarray, "stat bound"]]:
    """Energy of the neurons within each bound, and of the shuffles the mean and 95 % interval."""
    # A value on the bound is within it, also after the rounding of single-precision weights.
    within = bounds * (1 + 1e-6) + 1e-6
    share = (own <= within[:, None]) @ energy
    control = np.stack([(shuffled <= bound) @ energy for bound in within])
    low, high = np.quantile(control, [0.025, 0.975], axis=1)
    return share, np.stack([control.mean(axis=1), low, high])


def plot_rules(
    data: xr.Dataset, *, title: str = "Do neurons obey the rules of the analytic solution?"
) -> go.Figure:
    """Share of the weights' energy within each tolerance, for both rules, and the controls."""
    panels = {
        "phases": "output phase = sum<br>of input phases",
        "input_amplitudes": "equal amplitudes<br>of U and V",
        "amplitudes": "equal amplitudes<br>of U, V and W",
    }
    figure = make_subplots(
        cols=len(panels),
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=list(panels.values()),
    )
    for column, rule in enumerate(panels, 1):
        place: dict[str, Any] = {"row": 1, "col": column}
        x = data[RULES[rule]].values
        control = data[f"control_{rule}"]
        low, high = (control.sel(stat=stat).values for stat in ("low", "high"))
        shown = {"name": "shuffled, 95 %", "legendgroup": "band", "showlegend": column == 1}
        draw_band(figure, (1, column), x, low, high, GUIDE, opacity=0.45, **shown)
        figure.add_scatter(
            x=x,
            y=control.sel(stat="mean"),
            name="shuffled, mean",
            legendgroup="shuffled",
            line={"color": GUIDE, "dash": "dash"},
            showlegend=column == 1,
            hovertemplate="within %{x:.3g}: %{y:.1%}",
            **place,
        )
        figure.add_scatter(
            x=x,
            y=data[f"obeys_{rule}"],
            name="network",
            legendgroup="network",
            line={"color": PLAIN, "width": 3},
            showlegend=column == 1,
            hovertemplate="within %{x:.3g}: %{y:.1%}",
            **place,
        )
    figure.update_xaxes(title="|φu + φv - φw| at most (degrees)", tickvals=[0, 90, 180], col=1)
    for column in (2, 3):
        figure.update_xaxes(
            title="largest over smallest, at most",
            type="log",
            tickvals=[1, 2, 5, 10],
            col=column,
        )
    figure.update_yaxes(range=[-0.02, 1.03], tickformat=".0%")
    figure.update_yaxes(title="share of the weights' energy", col=1)
    return finish(figure, title=title, height=470)


def plot_frequencies(
    data: xr.Dataset, *, title: str = "Which frequencies survive, and with how many neurons"
) -> go.Figure:
    """Neurons of each frequency: all, periodic ones, and those with matched phases."""
    nested = {
        "n_own": (f"not periodic (less than {PERIODIC_FROM:.0%} at it)", FAINT),
        "n_periodic": ("periodic, phases do not match", SERIES[3].color),
        "n_obeying": (f"periodic, phases match to {math.degrees(PHASE_WITHIN):.0f}°", PLAIN),
    }
    counts = [data[name].values for name in nested] + [0]
    figure = go.Figure()
    for i, (name, (label, color)) in reversed(list(enumerate(nested.items()))):
        figure.add_bar(
            x=data.k,
            y=counts[i] - counts[i + 1],
            name=label,
            marker_color=color,
            customdata=np.stack([data[name], data.energy_at], axis=-1),
            hovertemplate="frequency %{x}: %{y} neurons; %{customdata[1]:.1%} of all energy",
        )
    figure.update_xaxes(title="frequency of the neuron (cycles per period)")
    figure.update_yaxes(title="neurons")
    legend = {"traceorder": "normal"}
    return finish(figure, title=title, height=450, barmode="stack", bargap=0.1, legend=legend)


def plot_gaps(
    data: xr.Dataset, *, title: str = "Phase gap and purity of every neuron"
) -> go.Figure:
    """A point per neuron; its area goes with the energy of its weights."""
    energy = data.energy.values
    figure = go.Figure(
        go.Scatter(
            x=data.purity,
            y=np.rad2deg(data.phase_gap),
            mode="markers",
            showlegend=False,
            marker={
                "size": energy,
                "sizemode": "area",
                "sizeref": energy.max() / 11**2,
                "sizemin": 1.5,
                "color": PLAIN,
                "opacity": 0.45,
                "line": {"width": 0},
            },
            customdata=np.stack([data.neuron, data.frequency, data.amplitude_factor], axis=-1),
            hovertemplate="neuron %{customdata[0]}, frequency %{customdata[1]}: purity %{x:.2f}, "
            "gap %{y:.1f}°, amplitudes within a factor %{customdata[2]:.2f}<extra></extra>",
        )
    )
    bound = math.degrees(PHASE_WITHIN)
    explain(figure, f"phases match to {bound:.0f}°", symbol="square", color=GUIDE, opacity=0.4)
    figure.add_hrect(-bound, bound, line_width=0, fillcolor=INK, opacity=0.07)
    figure.update_xaxes(title="share of U, V and W at the neuron's frequency", range=[0, 1.02])
    figure.update_yaxes(
        title="phase gap φu + φv - φw (degrees)",
        range=[-187, 187],
        tickvals=list(range(-180, 181, 90)),
    )
    return finish(figure, title=title, height=450)


def in_words(data: xr.Dataset) -> list[str]:
    """The numbers in sentences."""
    rules = {
        "phases": f"matches phases to {math.degrees(PHASE_WITHIN):.0f} degrees",
        "input_amplitudes": f"has equal amplitudes of U and V to a factor of {FACTOR_WITHIN}",
        "amplitudes": f"has equal amplitudes of U, V and W to a factor of {FACTOR_WITHIN}",
    }
    told = data.attrs
    return [
        f"{told[rule]:.1%} of the weights' energy {what}; shuffled {told[f'{rule}_mean']:.1%} "
        f"[{told[f'{rule}_low']:.1%}, {told[f'{rule}_high']:.1%}]"
        for rule, what in rules.items()
    ] + [
        f"{int(data.n_periodic.sum())} of {told['n_neurons']} neurons are periodic, at "
        f"{told['n_frequencies']} of {data.sizes['k']} frequencies; {told['n_without']} neurons "
        "have no frequency"
    ]


def analysis(
    run: Run,
    n_shuffles: Annotated[int, typer.Option(help="shuffled controls")] = 1000,
    seed: Annotated[int, typer.Option(help="draws the shuffles")] = 0,
) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run, n_shuffles=n_shuffles, seed=seed)
    figures = [plot_rules(data), plot_frequencies(data), plot_gaps(data)]
    return Finding(data=data, figures=figures, rows=in_words(data), sentences=SENTENCES)


SENTENCES = (
    "Share of the weights' energy whose phases and amplitudes obey the rules of the analytic "
    "solution, for each tolerance, beside shuffled controls.",
    "Neurons of each frequency: all, those that are periodic, and those whose phases match.",
    "A point is a neuron, its area the energy of its weights; those of the analytic solution lie "
    "in the band at the right.",
)
