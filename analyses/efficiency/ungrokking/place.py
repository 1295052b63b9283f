"""The amount of data at which ungrokking happens, and whether weight decay shifts it (Fig. 8).

"Independent of weight decay" is two claims: that ungrokking appears at every weight decay, and that
it does so at the same amount of data. Each is tested with its own numbers.
"""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from analyses.statistics.critical_size import ungrokking_midpoint
from analyses.statistics.intervals import half_width
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_GENERALISED_BELOW

_STEEP = 0.5  # a larger change from one size to the next cannot be interpolated
_CURVES = ("moments", "network", "weight_decay")
_LEVEL = 0.05  # of tests; intervals hold with 95 %


@dataclass(frozen=True)
class Ratio:
    """How many times larger one 50 % point is than another, with its 95 % interval."""

    value: float  # NaN: unknown
    low: float = math.nan
    high: float = math.nan
    reason: str = ""  # why it is unknown


def locate(data: xr.Dataset, *, reference: float | None = None) -> xr.Dataset:
    """The data with the 50 % point of every curve, and how weight decay shifts it.

    Args:
        data: from ``ungrokking.compute``. Runs without a plateau count with the accuracy that they
            reached; ``n_unfinished`` is their number.
        reference: the weight decay that others are compared with; None: for each network the middle
            one of its own.

    Returns:
        ``data`` with, over "moments", "network" and "weight_decay":

        * ``midpoint``, ``midpoint_low`` and ``midpoint_high``, in training pairs: where the final
          test accuracy is halfway between its plateaus, with a 95 % interval. NaN where not
          detected, and ``midpoint_reason`` says why;
        * ``ratio``, ``ratio_low`` and ``ratio_high``: the 50 % point divided by that at
          ``reference``, paired by seed: the geometric mean, with a 95 % Student-t interval of the
          logarithms (three seeds have only ten bootstrap samples). Where accuracy changes by more
          than a half from one size to the next, the 50 % point may lie anywhere between the two,
          and the interval is widened accordingly. NaN if both points are known for fewer than two
          seeds, and ``ratio_reason`` says so;
        * ``shifts``: 1 where the 50 % point is another than at the reference, 0 where that is not
          shown; NaN where there is no ratio. It is by the interval of the ratio, made so wide that
          those of all decays of a network hold at once with 95 % (Bonferroni);
        * ``n_runs``, and how many of them are unfinished, ``n_unfinished``.

        Over "network" and "weight_decay": ``kept``, ``kept_low``, ``kept_high`` and
        ``kept_reason``: the same ratio between keeping the optimiser's moments and a fresh
        optimiser. Over "moments" and "network": ``appears`` and ``place``, a sentence on each of
        the two claims, "" where there are no runs. Over "network": ``reference``.

    Raises:
        ValueError: no run has the reference weight decay.

    Source: second paper, Fig. 8: "independent of weight decay".
    """
    decays = data.weight_decay.values.tolist()
    exists = data.last_step.notnull()
    references = [
        _reference(decays, has_runs, reference)
        for has_runs in exists.any(("moments", "fraction", "seed")).transpose(*_CURVES[1:]).values
    ]
    shape = [data.sizes[axis] for axis in _CURVES]
    midpoints, ratios = (np.empty(shape, dtype=object) for _ in range(2))
    shifts = np.full(shape, np.nan)
    final = data.final.transpose(*_CURVES, "seed", "fraction").values
    by_seed = np.full((*final.shape[:-1], 3), np.nan)
    for at in np.ndindex(*shape):
        own = data.n_train[at[1]].notnull().values  # networks may differ in their sizes
        sizes, curves = data.n_train.values[at[1], own], final[at][:, own]
        midpoints[at] = ungrokking_midpoint(sizes, curves)
        by_seed[at] = [_place_of(sizes, curve) for curve in curves]
    for at in np.ndindex(*shape):
        chosen = decays.index(references[at[1]])
        reference_places = by_seed[(*at[:2], chosen)]
        ratios[at] = _ratio(by_seed[at], reference_places)
        if at[2] != chosen:
            others = int(np.isfinite(by_seed[at[:2]]).any(axis=(1, 2)).sum()) - 1
            wide = _ratio(by_seed[at], reference_places, level=_LEVEL / max(1, others))
            if not math.isnan(wide.value):
                shifts[at] = float(not wide.low <= 1 <= wide.high)
    kept = np.empty(shape[1:], dtype=object)
    moments = data.moments.values.tolist()
    absent = np.full_like(by_seed[0], np.nan)
    fresh_and_kept = [
        by_seed[moments.index(kind)] if kind in moments else absent for kind in ("fresh", "kept")
    ]
    for at in np.ndindex(*shape[1:]):
        kept[at] = _ratio(fresh_and_kept[1][at], fresh_and_kept[0][at])
    found = data.assign(
        _variables("midpoint", _CURVES, midpoints)
        | _variables("ratio", _CURVES, ratios)
        | _variables("kept", _CURVES[1:], kept)
    ).assign(
        reference=("network", references),
        shifts=(_CURVES, shifts),
        n_runs=exists.sum(("fraction", "seed")),
        n_unfinished=(exists & ~data.flat).sum(("fraction", "seed")),
    )
    claims = [
        _claims(found.isel(moments=i, network=j)) for i in range(shape[0]) for j in range(shape[1])
    ]
    appears, place = (np.reshape(texts, shape[:2]) for texts in zip(*claims, strict=True))
    return found.assign(appears=(_CURVES[:2], appears), place=(_CURVES[:2], place))


def _reference(decays: list[float], has_runs: np.ndarray, wanted: float | None) -> float:
    """The weight decay that one network's others are compared with."""
    if wanted is None:
        own = np.flatnonzero(has_runs)
        return decays[own[len(own) // 2]]
    if wanted not in decays:
        known = ", ".join(f"{decay:g}" for decay in decays)
        raise ValueError(f"reference={wanted} is not a weight decay of the runs; these are {known}")
    return wanted


def _variables(name: str, axes: tuple[str, ...], found: np.ndarray) -> dict[str, tuple]:
    """The parts of estimates as variables: NAME, NAME_low, NAME_high and NAME_reason."""
    values = {}
    for part in ("value", "low", "high", "reason"):
        one_part = np.reshape([getattr(one, part) for one in found.flat], found.shape)
        values[name if part == "value" else f"{name}_{part}"] = axes, one_part
    return values


def _place_of(sizes: np.ndarray, curve: np.ndarray) -> tuple[float, float, float]:
    """One seed's 50 % point and its bounds, the two sizes around it if the curve is too steep."""
    place = ungrokking_midpoint(sizes, curve[None], n_boot=1).value
    if np.isnan(place):
        return np.nan, np.nan, np.nan
    sizes, curve = sizes[np.isfinite(curve)], curve[np.isfinite(curve)]
    right = int(np.searchsorted(sizes, place))
    if curve[right] - curve[right - 1] <= _STEEP:
        return place, place, place
    return place, sizes[right - 1], sizes[right]


def _ratio(
    places: Float[np.ndarray, "seed 3"],
    reference: Float[np.ndarray, "seed 3"],
    *,
    level: float = _LEVEL,
) -> Ratio:
    """The ratio of 50 % points to the same seeds' reference points, with a paired interval.

    It holds with a probability of 1 - ``level``.
    """
    logs = np.log(places / reference[:, [0, 2, 1]])  # lower bound: reference at its upper one
    logs = logs[np.isfinite(logs).all(axis=1)]
    if len(logs) < 2:
        known = "one seed shows" if len(logs) else "no seed shows"
        return Ratio(math.nan, reason=f"not detected: {known} both 50 % points, and two are needed")
    mean, least, most = logs.mean(axis=0)
    error = logs[:, 0].std(ddof=1) / len(logs) ** 0.5
    half = half_width(error, len(logs), level)
    low, high = min(mean - half, least), max(mean + half, most)
    return Ratio(*np.exp([mean, low, high]).tolist())


def _claims(curves: xr.Dataset) -> tuple[str, str]:
    """Two sentences: whether it appears at every weight decay, and whether its 50 % point stays."""
    if not curves.n_runs.any():
        return "", ""
    ends, missing = [], []
    for curve in (curves.sel(weight_decay=decay) for decay in curves.weight_decay.values):
        if not curve.n_runs:
            continue
        decay, mean = f"{curve.weight_decay.item():g}", curve.final_mean.dropna("fraction").values
        ends.append(f"{decay}: " + (f"{mean[-1]:.3f} to {mean[0]:.3f}" if len(mean) else "none"))
        if not (len(mean) and mean[-1] > GENERALISED_FROM and mean[0] < NOT_GENERALISED_BELOW):
            missing.append(decay)
    appears = f"not at weight decay {', '.join(missing)}" if missing else "at every weight decay"
    unfinished = f"{int(curves.n_unfinished.sum())} of {int(curves.n_runs.sum())} runs unfinished"
    others = (curves.sel(weight_decay=decay) for decay in curves.weight_decay.values)
    reference = curves.reference.item()
    places = [
        _place(other) for other in others if other.n_runs and other.weight_decay != reference
    ] or ["nothing to compare"]
    return (
        f"ungrokking appears {appears} (validation accuracy from most to least data, "
        f"by weight decay {'; '.join(ends)}; {unfinished})",
        f"its 50 % point, against weight decay {reference:g}: {'; '.join(places)}",
    )


def _place(compared: xr.Dataset) -> str:
    """How one weight decay shifts the 50 % point, in words."""
    decay = f"at {compared.weight_decay.item():g}"
    if compared.ratio.isnull():
        return f"{decay} {compared.ratio_reason.item()}"
    low, high = compared.ratio_low.item(), compared.ratio_high.item()
    word = "no shift detected" if low <= 1 <= high else "moves"
    return f"{decay} {word}, {compared.ratio.item():.3g} times [{low:.3g}, {high:.3g}]"
