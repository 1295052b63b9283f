"""How one of our results is compared with what a paper says.

A comparison gets our values of all seeds and says whether they agree with the published one, within
a tolerance that was fixed before the runs, or that this cannot be told. Four kinds: a value, a
curve, a region of a diagram, an order.

A tolerance is for the mean, so an interval that reaches over its edge changes nothing. Cannot be
told is what has no value (NaN) where the value decides, an order of two means whose difference may
be nothing, and a bound inside the interval of a value that has one of its own (:func:`undecided`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import xarray as xr

from analyses.ledger import over_seeds

_BINS = 20  # of a published histogram over its own range; 40 where it is over [0, 1]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a comparison found."""

    agrees: bool | None  # None: cannot be told; the note says why
    ours: str  # mean over the seeds and its 95 % interval; of a curve, the points that agree
    note: str = ""  # such as in how many seeds a bound holds


class Comparison(Protocol):
    """One kind of comparison, with its tolerance."""

    kind: ClassVar[str]  # "value", "curve", "region" or "order"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare.

        Args:
            ours: over "seed", and another axis for curves and orders.
            theirs: the published value; None where the comparison itself says what is claimed.
        """
        ...

    def __str__(self) -> str:
        """The tolerance, as a short text."""
        ...


@dataclass(frozen=True, kw_only=True)
class Value:
    """The mean over our seeds agrees with a number: the published one, or ``equals`` if given.

    Agrees within the tolerance, not outside; cannot be told if a seed has no value, except of the
    median, where that stands for "never".
    """

    equals: float | None = None
    absolute: float = 0.0  # largest difference
    relative: float = 0.0  # the same, as a share of the published number
    factor: float = 1.0  # largest ratio, either way; 1 for none
    # A published number is one run's. True also accepts it inside the 95 % prediction interval for
    # one more run like ours: mean +- t s sqrt(1 + 1/n); with five seeds that is 3.0 s.
    spread: bool = False
    median: bool = False  # of the seeds instead of their mean; a value that is NaN counts as inf

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed) with a number."""
        values = over_seeds.seeds(ours)
        theirs = theirs if self.equals is None else self.equals
        center = over_seeds.median(values) if self.median else float(values.mean())
        if math.isnan(center):
            return _no_value(values)
        near = max(self.absolute, self.relative * abs(theirs))
        distance = abs(center - theirs)
        agrees = distance <= near * (1 + 1e-12)  # a bound that is met exactly counts
        if self.factor > 1:
            agrees |= theirs / self.factor <= center <= theirs * self.factor
        note = ""
        if not agrees and self.spread and len(values) > 1:
            reach = over_seeds.prediction(values)
            agrees = bool(distance <= reach)
            note = f"within the spread of one run, {reach:.3g}" if agrees else ""
        return Judgement(agrees=bool(agrees), ours=over_seeds.told(values, self.median), note=note)

    def __str__(self) -> str:
        parts = [f"{self.equals:.4g}" if self.equals is not None else ""]
        parts += [f"± {self.absolute:g}" if self.absolute else ""]
        parts += [f"± {100 * self.relative:g} %" if self.relative else ""]
        parts += [f"a factor of {self.factor:g}" if self.factor > 1 else ""]
        parts += ["or one run's spread" if self.spread else ""]
        return " ".join(filter(None, parts)) or "exact"


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A first step that was read from a grid of logged steps: the crossing lies before it.

    Our median must lie between the previous logged step and the published one, or ``slack`` (a
    share) beyond. A run that never crosses, NaN, counts as infinite: then it does not agree.
    """

    grid: int  # steps between two logged ones
    slack: float = 0.25

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), NaN where a run never crosses, with a step."""
        values = over_seeds.seeds(ours)
        low, high = (theirs - self.grid) * (1 - self.slack), theirs * (1 + self.slack)
        agrees = low <= over_seeds.median(values) <= high
        return Judgement(agrees=bool(agrees), ours=over_seeds.told(values, by_median=True))

    def __str__(self) -> str:
        return f"{self.grid} steps earlier, ± {100 * self.slack:g} %"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Our value lies between two bounds.

    Cannot be told if seeds without a value decide it, or if the value has an interval of its own
    that holds the one bound, or both.
    """

    low: float = -math.inf
    high: float = math.inf
    every: bool = False  # each value, of every seed (and setting), not only their mean

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), with ``every`` also over settings, with the bounds."""
        del theirs
        values = np.ravel(ours.values).astype(float) if self.every else over_seeds.seeds(ours)
        checked = values if self.every else values.mean(keepdims=True)
        inside = (self.low <= checked) & (checked <= self.high)
        if np.isnan(checked[~inside]).all() and not inside.all():
            return _no_value(values)
        note = f"in {inside.sum()} of {len(inside)}" if self.every and len(values) > 1 else ""
        return Judgement(agrees=bool(inside.all()), ours=over_seeds.told(values), note=note)

    def __str__(self) -> str:
        return _interval(self.low, self.high) + (" in every seed" if self.every else "")


@dataclass(frozen=True, kw_only=True)
class Holds:
    """A claim that is true or false for each seed; cannot be told if those without value decide."""

    share: float = 1.0  # least share of the seeds in which it holds

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), 1 where the claim holds and 0 where not."""
        del theirs
        values = over_seeds.seeds(ours)
        holds, unknown = int((values == 1).sum()), int(np.isnan(values).sum())
        wanted, told = self.share * len(values), f"holds in {holds} of {len(values)}"
        if holds < wanted <= holds + unknown:
            note = f"no value in {unknown} of {len(values)}"
            return Judgement(agrees=None, ours=told, note=note)
        return Judgement(agrees=holds >= wanted, ours=told)

    def __str__(self) -> str:
        return "in every seed" if self.share == 1 else f"in {100 * self.share:g} % of the seeds"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Our mean curve passes near the published points.

    A published point agrees if it lies, up to the tolerances, between the least and the largest
    value of our seeds' curves over x / (1 + stretch) to x * (1 + stretch): runs may be a little
    earlier or later. Points before our first logged step are left out; those after the end of all
    our curves are unknown. Cannot be told if the unknown ones decide.
    """

    absolute: float = 0.0
    relative: float = 0.0
    stretch: float = 0.0
    share: float = 0.95  # of the published points that must agree

    kind: ClassVar[str] = "curve"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed, x) with {"x": ..., "y": ...}."""
        (axis,) = [dim for dim in ours.dims if dim != "seed"]
        steps, curves = ours[axis].values.astype(float), ours.transpose("seed", axis).values
        own = [
            (steps[known], curve[known]) for curve in curves if (known := ~np.isnan(curve)).any()
        ]
        if not own:
            return Judgement(agrees=None, ours="", note="no value in any seed")
        outside = []  # by how much a point is missed; NaN where no curve reaches it
        for x, y in zip(theirs["x"], theirs["y"], strict=True):
            begun = [(s, c) for s, c in own if s[0] <= x]
            band = [self._near(x, s, c) for s, c in begun if x / (1 + self.stretch) <= s[-1]]
            if begun:
                reach = max(self.absolute, self.relative * abs(y))
                low, high = _range(band)
                outside.append(np.max([0.0, low - y, y - high]) - reach)  # NaN stays NaN
        missed, unknown = np.asarray(outside) > 0, np.isnan(outside)
        if not len(outside):
            return Judgement(agrees=None, ours="", note="our curves begin after the published one")
        near = f"{len(missed) - (missed | unknown).sum()} of {len(missed)} points"
        agrees = [bool(no.mean() <= 1 - self.share) for no in (missed, missed | unknown)]
        if agrees[0] != agrees[1]:
            note = f"our curves end before {unknown.sum()} of them"
            return Judgement(agrees=None, ours=near, note=note)
        return Judgement(agrees=agrees[0], ours=near)

    def _near(self, x: float, steps: np.ndarray, curve: np.ndarray) -> np.ndarray:
        """One of our curves from x / (1 + stretch) to x * (1 + stretch)."""
        if not self.stretch:
            return np.interp([x], steps, curve)
        near = np.linspace(x / (1 + self.stretch), x * (1 + self.stretch), 21)
        inside = (near[0] <= steps) & (steps <= near[-1])
        return np.concatenate([np.interp(near, steps, curve), curve[inside]])

    def __str__(self) -> str:
        parts = [f"± {self.absolute:g}" if self.absolute else ""]
        parts += [f"± {100 * self.relative:g} %" if self.relative else ""]
        parts += [f"x ± {100 * self.stretch:g} %" if self.stretch else ""]
        return ", ".join([*filter(None, parts), f"at {100 * self.share:g} % of the points"])


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Our units are distributed as a published histogram: cumulated shares differ little.

    Dead units have no value and do not count. Cannot be told if all units of a seed are dead.
    """

    distance: float  # largest difference of the two cumulated shares at an edge of a bin

    kind: ClassVar[str] = "curve"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed, unit), NaN for dead units, with a histogram.

        ``theirs`` has the numbers "y" in bins whose left edges are "x", or, with "range", in equal
        bins of that range numbered by "x" (20 of them; else 40 of [0, 1]).
        """
        if "range" in theirs:
            low, high = theirs["range"]
            width = (high - low) / _BINS
            right = [low + width * (x + 1) for x in theirs["x"]]
        else:
            right = [x + 1 / (2 * _BINS) for x in theirs["x"]]
        published = np.cumsum(theirs["y"]) / np.sum(theirs["y"])
        units = [seed[~np.isnan(seed)] for seed in ours.transpose("seed", ...).values]
        if dead := sum(not len(seed) for seed in units):
            note = f"no unit has a value in {dead} of {len(units)} seeds"
            return Judgement(agrees=None, ours="", note=note)
        cumulated = np.array([[np.mean(seed <= edge) for edge in right] for seed in units])
        distance = float(np.abs(cumulated.mean(axis=0) - published).max())
        return Judgement(agrees=distance <= self.distance, ours=f"differs by {distance:.3f}")

    def __str__(self) -> str:
        return f"cumulated shares ± {self.distance:g}"


@dataclass(frozen=True, kw_only=True)
class Order:
    """The means over our seeds come in a certain order.

    Two means always have one, so their order cannot be told if the 95 % interval of their
    difference, paired by seed, holds 0. Of three and more the order of the means is compared, and
    also of two where ``least`` says which difference counts, values are infinite or seeds are one.
    Cannot be told either if seeds without a value decide.
    """

    ascending: bool
    least: float = 0.0  # smallest step between neighbours; negative allows small reversals

    kind: ClassVar[str] = "order"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed, item): the means of neighbouring items differ as claimed."""
        del theirs
        over = [dim for dim in ours.dims if dim != "seed"]
        means = ours.mean("seed", skipna=False) if "seed" in ours.dims else ours
        means = means.transpose(*over).values.ravel()
        with np.errstate(invalid="ignore"):  # of two infinite means no difference is known
            gaps = np.diff(means) if self.ascending else -np.diff(means)
        sign = " < " if self.ascending else " > "
        told = (sign if (gaps > 0).all() else ", ").join(map(over_seeds.number, means))
        right = gaps > self.least if self.least >= 0 else gaps >= self.least
        if np.isnan(gaps[~right]).all() and not right.all():
            return _no_value(means, told)
        if self.least == 0 and len(means) == 2 and ours.sizes.get("seed", 1) > 1:
            first, second = ours.transpose(*over, "seed").values.reshape(2, -1)
            if np.isfinite(first).all() and np.isfinite(second).all():
                gap, half = over_seeds.mean(second - first)
                if abs(gap) < half:
                    note = f"the difference of the two is {gap:.2g} ± {half:.2g}"
                    return Judgement(agrees=None, ours=told, note=note)
        return Judgement(agrees=bool(right.all()), ours=told)

    def __str__(self) -> str:
        steps = f", by more than {self.least:g}" if self.least > 0 else ""
        steps = f", up to {-self.least:g}" if self.least < 0 else steps
        return ("rising" if self.ascending else "falling") + steps


@dataclass(frozen=True, kw_only=True)
class Region:
    """Counts or shares of the cells of phase diagrams lie between two bounds.

    Cannot be told as for :class:`Bound`.
    """

    low: float = -math.inf
    high: float = math.inf

    kind: ClassVar[str] = "region"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours``, counts or shares of the majority phases, each with the bounds."""
        del theirs
        values = np.atleast_1d(np.asarray(ours.values, dtype=float)).ravel()
        inside = (self.low <= values) & (values <= self.high)
        told = ", ".join(map(over_seeds.number, values))
        if np.isnan(values[~inside]).all() and not inside.all():
            return _no_value(values, told)
        return Judgement(agrees=bool(inside.all()), ours=told)

    def __str__(self) -> str:
        return _interval(self.low, self.high)


def undecided(comparison: Comparison, low: float, high: float) -> bool:
    """Whether a value's own interval, ``low`` to ``high``, leaves a comparison open.

    It does if an end is NaN, or if the interval contains the only bound, or both: the runs might
    then have come out on either side. Comparisons without a bound have a tolerance for the value.
    """
    if not isinstance(comparison, Bound | Region):
        return False
    if math.isnan(low) or math.isnan(high):
        return True
    bounds = [bound for bound in (comparison.low, comparison.high) if math.isfinite(bound)]
    return bool(bounds) and all(low <= bound <= high for bound in bounds)


def _no_value(values: np.ndarray, ours: str | None = None) -> Judgement:
    """What cannot be told because values are NaN, or infinite without any that is NaN."""
    unknown, what = np.isnan(values), "no value"
    if not unknown.any():
        unknown, what = np.isinf(values), "not reached"
    note = f"{what} in {unknown.sum()} of {len(values)}" if len(values) > 1 else what
    return Judgement(agrees=None, ours=over_seeds.told(values) if ours is None else ours, note=note)


def _range(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """The least and the largest value; NaN if there is none."""
    values = np.concatenate([*curves, [] if curves else [math.nan]])
    return float(values.min()), float(values.max())


def _interval(low: float, high: float) -> str:
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
