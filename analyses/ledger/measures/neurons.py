"""What trained two-layer networks' neurons do: IPR, phases, pruning, answers on wrong labels."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

import grokinterp as gi
from analyses.one_run import corrupted_logits, ipr_histogram, norm_gain, pruning
from analyses.one_run.phases import EndPoint, Phase, phase_of, published_phase_of
from probes import model_neuron_ipr, neuron_weights
from probes.fourier import power_shares

_GRID = np.round(np.arange(0, 1.001, 0.01), 2)  # fractions of neurons removed
_ORDERS = ("ipr", "norm", "random")
_NEW_NAMES = {"removed": "fraction", "accuracy": "pruned_accuracy", "loss": "pruned_loss"}


def neurons(runs: Sequence[gi.Run]) -> xr.Dataset:
    """IPR of the neurons of two-layer networks.

    ``ipr`` and ``initial_ipr``, before training (seed, neuron); ``mean_ipr_at_end``, ``n_low``,
    ``n_high``, ``n_between``, ``n_dead``, ``low_share`` of the living, ``high_share`` (IPR above
    .85), ``n_frequencies`` (distinct ones, of neurons above .5), ``second_share`` (the second
    largest share of a row's power, mean over these), ``amplitude`` of U's rows (median over neurons
    above .85), all (seed); ``part_ipr`` (seed, part). For networks with a norm also
    ``gain_rank_correlation``, ``gain_low`` and ``gain_high``.
    """
    found = ipr_histogram.compute(runs).rename(run="seed").drop_vars("weight_decay")
    ipr, width = found.ipr, found.sizes["neuron"]
    high = ipr > ipr_histogram.IPR_GENERALISES_ABOVE
    rows = np.stack(
        [np.stack([part.double().numpy() for part in neuron_weights(run.model)]) for run in runs]
    )  # seed, part, neuron, residue
    shares = np.sort(np.stack([power_shares(neuron_weights(run.model).U).numpy() for run in runs]))
    amplitude = 2 * np.abs(np.fft.rfft(rows[:, 0])).max(axis=-1) / rows.shape[-1]
    second = xr.DataArray(shares[..., -2], dims=("seed", "neuron"))
    strongest = xr.DataArray(amplitude, dims=("seed", "neuron"))
    frequency = found.frequency.sel(part="U").where(high)
    distinct = [len(set(one[~np.isnan(one)].tolist()) - {0.0, -1.0}) for one in frequency.values]
    start = [model_neuron_ipr(gi.build_model(run.config)).ipr for run in runs]
    data = xr.Dataset(
        {
            "ipr": ipr,
            "initial_ipr": (("seed", "neuron"), np.stack(start)),
            "mean_ipr_at_end": found.mean_ipr,
            "part_ipr": found.part_ipr.mean("neuron"),
            "n_low": found.n_low.astype(float),
            "n_high": found.n_high.astype(float),
            "n_between": (width - found.n_low - found.n_high - found.n_dead).astype(float),
            "n_dead": found.n_dead.astype(float),
            "low_share": found.n_low / (width - found.n_dead),
            "high_share": (ipr > 0.85).mean("neuron"),
            "n_frequencies": ("seed", np.asarray(distinct, dtype=float)),
            "second_share": second.where(high).mean("neuron"),
            "amplitude": strongest.where(ipr > 0.85).median("neuron"),
        }
    )
    return data.merge(_gains(runs)) if runs[0].config.to_dict()["model"]["norm"] else data


def _gains(runs: Sequence[gi.Run]) -> xr.Dataset:
    gains = [norm_gain.compute(run, n_bootstrap=1).isel(layer=0) for run in runs]
    low, high = (
        [float(one.gain.where(where(one.periodicity)).median()) for one in gains]
        for where in (lambda ipr: ipr < 0.1, lambda ipr: ipr > 0.9)
    )
    rank = [float(one.correlation.sel(coefficient="spearman")) for one in gains]
    named = {"gain_rank_correlation": rank, "gain_low": low, "gain_high": high}
    return xr.Dataset({name: ("seed", values) for name, values in named.items()})


def phases(runs: Sequence[gi.Run]) -> xr.Dataset:
    """``in_phase`` and ``in_published_phase`` (phase, seed): 1 for a run's phase, else 0."""
    ends = [EndPoint.of(run) for run in runs]
    names = [str(phase) for phase in Phase]

    def matches(rule: Callable[[EndPoint], Phase]) -> list[list[float]]:
        return [[float(str(rule(end)) == phase) for end in ends] for phase in names]

    axes = ("phase", "seed")
    data = {
        "in_phase": (axes, matches(phase_of)),
        "in_published_phase": (axes, matches(published_phase_of)),
    }
    return xr.Dataset(data, coords={"phase": names})


def pruned(runs: Sequence[gi.Run]) -> xr.Dataset:
    """Accuracies and losses while neurons are removed by IPR, with norm and random controls.

    ``pruned_accuracy`` and ``pruned_loss`` (order, end, subset, fraction, seed): order "ipr",
    "norm" or "random" (mean of five), end "low" or "high"; ``half_low`` and ``half_high`` (seed),
    the removed fraction at which accuracy on redrawn labels (low) or test accuracy (high) is a
    half; ``test_min`` up to 70 % from the low end; ``corrupted_rise``, the largest rise on redrawn
    labels there; ``corrupted_min`` and ``corrupted_max`` up to 30 % from the high end;
    ``kept_at_random`` (subset, seed): share of the accuracy left with 30 % removed at random;
    ``hypothesis`` (seed): 1 if 60 % of lowest IPR removed leave at most .05 of the changed labels
    and at least .97 of the test set, and 30 % of highest at most .05 of the test set and at least
    .90 of the changed labels; ``test_without_memory``: test accuracy once all neurons with an IPR
    below .2 are removed.
    """
    data = xr.concat([_curves_of(run) for run in runs], "seed")
    accuracy = data.pruned_accuracy
    low, high = (accuracy.sel(order="ipr", end=end) for end in ("low", "high"))
    early = low.sel(fraction=slice(0, 0.7)).sel(subset="selected")
    first = high.sel(fraction=slice(0, 0.3)).sel(subset="selected")
    random = accuracy.sel(order="random", end="low")
    at_low, at_high = low.sel(fraction=0.6), high.sel(fraction=0.3)
    holds = (
        (at_low.sel(subset="changed") <= 0.05)
        & (at_low.sel(subset="test") >= 0.97)
        & (at_high.sel(subset="test") <= 0.05)
        & (at_high.sel(subset="changed") >= 0.90)
    )
    loss = data.pruned_loss.sel(order="ipr", end="low")
    start = loss.sel(fraction=0.0)
    named = {
        "half_low": _half(low.sel(subset="selected")),
        "half_high": _half(high.sel(subset="test")),
        "test_min": low.sel(subset="test", fraction=slice(0, 0.7)).min("fraction"),
        "corrupted_rise": early.diff("fraction").max("fraction"),
        "corrupted_min": first.min("fraction"),
        "corrupted_max": high.sel(subset="selected").max("fraction"),
        "corrupted_start": high.sel(subset="selected", fraction=0.0),
        "hypothesis": holds.astype(float),
        "loss_turns": _turns(loss.sel(subset="test", fraction=slice(0, 0.5))),
        "train_up_test_down": (
            (loss.sel(subset="train", fraction=0.3) > start.sel(subset="train"))
            & (loss.sel(subset="test", fraction=0.3) < start.sel(subset="test"))
        ).astype(float),
        "flat_then_up": (
            (abs(loss.sel(fraction=slice(0, 0.08)) / start - 1).max("fraction") < 0.05)
            & (loss.sel(fraction=0.5) > 1.05 * start)
        )
        .sel(subset="test")
        .astype(float),
        "train_loss_fall": _largest_fall(loss.sel(subset="train")),
        "corrupted_gain": high.sel(subset="selected").max("fraction")
        - high.sel(subset="selected", fraction=0.0),
        "beats_random": at_low.sel(subset="test") - random.sel(fraction=0.6, subset="test"),
    }
    extra = {"kept_at_random": random.sel(fraction=0.3) / random.sel(fraction=0.0)}
    named |= extra | {"test_without_memory": _without_memory(runs, low.sel(subset="test"))}
    return data.assign(
        {
            name: one.drop_vars(("order", "end", "fraction"), errors="ignore")
            if name in extra
            else one.reset_coords(drop=True)
            for name, one in named.items()
        }
    )


def _curves_of(run: gi.Run) -> xr.Dataset:
    found = pruning.compute(run, orders=list(_ORDERS))
    removed = (_GRID * found.removed.values[-1]).round()
    panels: list[xr.Dataset] = []
    for order in _ORDERS:
        ends: list[xr.Dataset] = []
        for end in ("low", "high"):
            these = (found.order == order) & found.direction.isin([end, "random"])
            here = found[["accuracy", "loss"]].isel(curve=np.flatnonzero(these)).mean("curve")
            on_grid = here.sel(removed=removed, method="nearest").assign_coords(removed=_GRID)
            ends.append(on_grid.drop_vars("fraction").rename(_NEW_NAMES))
        panels.append(xr.concat(ends, xr.Variable("end", ["low", "high"])))
    return xr.concat(panels, xr.Variable("order", list(_ORDERS)))


def _half(accuracy: xr.DataArray) -> xr.DataArray:
    """The removed fraction at which accuracy first is at most a half; NaN if never."""
    below = accuracy <= 0.5
    return below.idxmax("fraction").where(below.any("fraction"))


def _turns(curve: xr.DataArray) -> xr.DataArray:
    """How often the slope changes its sign; changes below 0.2 % of the start do not count."""
    coarse = curve.isel(fraction=slice(None, None, 5))
    change = coarse.diff("fraction") / coarse.isel(fraction=0)
    signs = np.sign(change.where(abs(change) > 0.002, 0).transpose("seed", ...).values)
    turns = [int((np.diff(row[row != 0]) != 0).sum()) for row in signs]
    return xr.DataArray(np.asarray(turns, dtype=float), dims="seed")


def _largest_fall(curve: xr.DataArray) -> xr.DataArray:
    """The largest fall below an earlier value, as a share of that value."""
    highest = np.maximum.accumulate(curve.transpose("fraction", "seed").values)
    return xr.DataArray(
        (1 - curve.transpose("fraction", "seed").values / highest).max(0), dims="seed"
    )


def _without_memory(runs: Sequence[gi.Run], test: xr.DataArray) -> xr.DataArray:
    found = ipr_histogram.compute(runs)
    share = np.round((found.n_low + found.n_dead) / found.sizes["neuron"], 2)
    left = [
        float(test.isel(seed=i).sel(fraction=float(share[i]), method="nearest"))
        for i in range(len(runs))
    ]
    return xr.DataArray(left, dims="seed")


def corrupted_answers(runs: Sequence[gi.Run]) -> xr.Dataset:
    """What networks answer on changed training examples, all (seed).

    ``given_above_true``: share with a larger logit for the given than for the true label;
    ``given_share``: mean of the given label's logit over the sum of both; ``answers_true``: share
    that the network answers with the true label.
    """
    data = corrupted_logits.compute(runs, labels=[str(i) for i in range(len(runs))])
    given, true = (data.logit.sel(role=role) for role in ("given", "true"))
    named = {
        "given_above_true": (given > true).mean("example"),
        "true_above_given": (given < true).mean("example"),
        "given_share": (given / (given + true)).mean("example"),
        "answers_true": data.share.sel(role="true"),
    }
    return xr.Dataset(
        {name: one.rename(run="seed").reset_coords(drop=True) for name, one in named.items()}
    ).drop_vars("seed")
