"""The verdict of Hypothesis 2.2: which ingredients a network has, and how certain that is.

An answer is *near* its bound if sampling noise could have moved it across. For an accuracy: if the
bound lies in its 95 % Wilson interval for the number of judged pairs. For a mean over random draws:
if the bound lies in that interval or in the 95 % interval of the mean. All other quantities have no
sampling noise; they are near if they are within 10 % (NEAR_WITHIN) of their bound. A verdict is
borderline if reversing its near answers would change it.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import hypothesis
    >>> from analyses.hypothesis.verdict import answers_of
    >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
    >>> data = hypothesis.compute_model(solution, "addition", random_draws=3)
    >>> answers = answers_of(data.isel(run=0), threshold=0.9)
    >>> len(answers), answers["generalises"].why
    (9, 'accuracy 1.000, at least 0.9')
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from analyses.hypothesis.evidence import PERIODICITIES
from analyses.statistics.wilson import Z, interval_holds

# Least share of the gap between the shuffled mean and 1 that embedding and neurons must close.
FIRST_MAP_FROM, NEURONS_FROM = 0.05, 0.1
LOGITS_FROM = 0.25  # least share of the logits' variance that is trigonometric
# Shares of the accuracy above chance that must remain at least, or may remain at most.
STAYS_FROM, FALLS_TO = 0.9, 0.5
NEAR_WITHIN = 0.1  # relative to a bound
INGREDIENTS = (
    "generalises",
    "periodic first map",
    "trigonometric logits",
    "key alone suffices",
    "key is needed",
    "periodic neurons",
    "embedding: only key",
    "embedding: no key",
    "embedding: no others",
)


@dataclass(frozen=True)
class Answer:
    """Whether a network has one ingredient."""

    passed: bool | None  # None if it could not be measured
    near: bool  # close to the bound, on either side
    why: str  # the measured value and its bound


def with_verdict(data: xr.Dataset, threshold: float) -> xr.Dataset:
    """The dataset of one run with its verdict, see :mod:`analyses.hypothesis.evaluate`."""
    one = data.isel(run=0)
    answers = answers_of(one, threshold)
    failed = [what for what, answer in answers.items() if answer.passed is False]
    unknown = [what for what, answer in answers.items() if answer.passed is None]
    near = [what for what, answer in answers.items() if answer.near]
    # The answers whose reversal would change the verdict; of several failures, all must reverse.
    turns = near if not failed else failed if set(failed) <= set(near) else []
    if answers["generalises"].passed is False:
        verdict, turns = "not applicable", ["generalises"]
        full = float(one.accuracy.sel(subset=one.judged_on.item(), condition="full"))
        reason = f"does not generalise: {one.judged_on.item()} accuracy is {full:.3f}, below "
        reason += f"{threshold:g}"
    elif failed:
        verdict, turns = "not supported", ["generalises", *turns]
        reason = "; ".join(f"{what}: {answers[what].why}" for what in failed)
    else:
        verdict = "supported"
        kept = f"with {float(one.n_kept):.3g} of {one.sizes['frequency']} frequencies kept"
        reason = f"it has all ingredients, {kept}"
    hangs_on = [what for what in turns if what in near]
    if unknown and verdict != "not applicable":
        reason += f"; not measured: {', '.join(unknown)}"
    if hangs_on:
        reason += f"; borderline: {', '.join(hangs_on)}"
    passed = [np.nan if answer.passed is None else answer.passed for answer in answers.values()]
    is_near = [answer.near for answer in answers.values()]
    return data.assign(
        verdict=("run", [verdict]),
        reason=("run", [reason]),
        borderline=("run", [bool(hangs_on)]),
        passed=(("run", "ingredient"), np.array([passed], dtype=float)),
        near=(("run", "ingredient"), np.array([is_near], dtype=float)),
    ).assign_coords(ingredient=list(INGREDIENTS))


def answers_of(one: xr.Dataset, threshold: float) -> dict[str, Answer]:
    """The answers to ``INGREDIENTS`` on one run of :func:`analyses.hypothesis.compute`."""
    return dict(zip(INGREDIENTS, _answers(one, threshold), strict=True))


def _answers(one: xr.Dataset, threshold: float) -> list[Answer]:
    """The answers in their order."""
    judged_on, n = str(one.judged_on.item()), int(one.n_judged)
    accuracy = {
        str(condition): float(one.accuracy.sel(subset=judged_on, condition=condition))
        for condition in one.condition.values
    }
    full, chance, explained = accuracy["full"], 1 / int(one.p), float(one.logit_explained)

    def left(condition: str, *, stays: bool) -> Answer:
        scale = full - chance if full > chance else np.nan
        share = (accuracy[condition] - chance) / scale
        bound, most = (STAYS_FROM, "at least") if stays else (FALLS_TO, "at most")
        at_bound = chance + bound * scale
        near = _holds(accuracy[condition], n, at_bound)
        if condition == "without_random":
            draws = one.random_accuracy.sel(subset=judged_on).values
            error = draws.std(ddof=1) / len(draws) ** 0.5 if len(draws) > 1 else 0.0
            near |= abs(accuracy[condition] - at_bound) <= Z * error
        passed = share >= bound if stays else share <= bound
        return Answer(passed, bool(near), f"{share:.3f} of the accuracy is left, {most} {bound}")

    maps = [one.periodicity.sel(measure=m) for m in PERIODICITIES[:-1]]
    in_layers = [one.neuron_share.isel(layer=i) for i in range(one.sizes["layer"])]
    return [
        Answer(
            bool(full >= threshold),
            _holds(full, n, threshold),
            f"accuracy {full:.3f}, at least {threshold:g}",
        ),
        _above_shuffled(maps, FIRST_MAP_FROM),
        Answer(
            explained >= LOGITS_FROM,
            abs(explained - LOGITS_FROM) <= NEAR_WITHIN * LOGITS_FROM,
            f"{explained:.3f} of the logits' variance, at least {LOGITS_FROM}",
        ),
        left("restricted", stays=True),
        left("excluded", stays=False),
        _above_shuffled(in_layers, NEURONS_FROM)
        if in_layers
        else Answer(None, False, "no neurons"),
        left("only_key", stays=True),
        left("without_key", stays=False),
        left("without_random", stays=True),
    ]


def _above_shuffled(measures: list[xr.DataArray], least: float) -> Answer:
    """Whether a measure exceeds every shuffle and closes enough of the gap from their mean to 1."""
    network, mean, high = (
        np.array([float(m.sel(of=of)) for m in measures])
        for of in ("network", "shuffled", "shuffled_high")
    )
    excess, of_highest = (network - mean) / (1 - mean), (high - mean) / (1 - mean)
    passes = (network > high) & (excess >= least)
    is_clear = bool(passes.any())
    if not is_clear and np.isnan(excess).any():
        return Answer(None, False, "not everything could be measured")
    # The best measure decides, by its distance from the larger of its two bounds.
    margin = np.nanmax(excess - np.maximum(least, of_highest))
    told = ", ".join(f"{value:z.3f}" for value in excess)
    why = f"{told} of the gap between shuffles and 1, at least {least} and above all shuffles"
    return Answer(is_clear, bool(abs(margin) <= NEAR_WITHIN * least), why)


def _holds(share: float, n: int, bound: float) -> bool:
    return bool(interval_holds(share, n, [bound]))
