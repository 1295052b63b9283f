"""How one of our results is compared with what a paper says.

A comparison gets our values of all seeds and says whether they agree with the published one, within
a tolerance that was fixed before the runs. Four kinds: a value, a curve, a region of a diagram, an
order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import xarray as xr

from analyses.statistics.intervals import half_width

_BINS = 20  # of a published histogram over its own range; 40 where it is over [0, 1]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a comparison found."""

    agrees: bool
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
    """The mean over our seeds agrees with a number: the published one, or ``equals`` if given."""

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
        values = _seeds(ours)
        theirs = theirs if self.equals is None else self.equals
        center = _median(values) if self.median else float(values.mean())
        near = max(self.absolute, self.relative * abs(theirs))
        distance = abs(center - theirs)
        agrees = distance <= near * (1 + 1e-12)  # a bound that is met exactly counts
        if self.factor > 1:
            agrees |= theirs / self.factor <= center <= theirs * self.factor
        note = ""
        if not agrees and self.spread and len(values) > 1:
            reach = _prediction(values)
            agrees = bool(distance <= reach)
            note = f"within the spread of one run, {reach:.3g}" if agrees else ""
        return Judgement(agrees=bool(agrees), ours=_told(values, self.median), note=note)

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
    share) beyond.
    """

    grid: int  # steps between two logged ones
    slack: float = 0.25

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), NaN where a run never crosses, with a step."""
        values = _seeds(ours)
        low, high = (theirs - self.grid) * (1 - self.slack), theirs * (1 + self.slack)
        agrees = low <= _median(values) <= high
        return Judgement(agrees=bool(agrees), ours=_told(values, median=True))

    def __str__(self) -> str:
        return f"{self.grid} steps earlier, ± {100 * self.slack:g} %"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Our value lies between two bounds."""

    low: float = -math.inf
    high: float = math.inf
    every: bool = False  # each value, of every seed (and setting), not only their mean

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), with ``every`` also over settings, with the bounds."""
        del theirs
        values = np.ravel(ours.values).astype(float) if self.every else _seeds(ours)
        checked = values if self.every else values.mean(keepdims=True)
        inside = (self.low <= checked) & (checked <= self.high)
        note = f"in {inside.sum()} of {len(inside)}" if self.every and len(values) > 1 else ""
        return Judgement(agrees=bool(inside.all()), ours=_told(values), note=note)

    def __str__(self) -> str:
        return _interval(self.low, self.high) + (" in every seed" if self.every else "")


@dataclass(frozen=True, kw_only=True)
class Holds:
    """A claim that is true or false for each seed."""

    share: float = 1.0  # least share of the seeds in which it holds

    kind: ClassVar[str] = "value"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed), 1 where the claim holds and 0 where not."""
        del theirs
        values = _seeds(ours)
        holds = int((values == 1).sum())
        return Judgement(
            agrees=holds >= self.share * len(values), ours=f"holds in {holds} of {len(values)}"
        )

    def __str__(self) -> str:
        return "in every seed" if self.share == 1 else f"in {100 * self.share:g} % of the seeds"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Our mean curve passes near the published points.

    A published point agrees if it lies, up to the tolerances, between the least and the largest
    value of our seeds' curves over x / (1 + stretch) to x * (1 + stretch): runs may be a little
    earlier or later.
    """

    absolute: float = 0.0
    relative: float = 0.0
    stretch: float = 0.0
    share: float = 0.95  # of the published points that must agree

    kind: ClassVar[str] = "curve"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed, x) with {"x": ..., "y": ...}."""
        (axis,) = [dim for dim in ours.dims if dim != "seed"]
        ours = ours.dropna(axis)  # runs of other settings may be longer
        steps, curves = ours[axis].values.astype(float), ours.transpose("seed", axis).values
        if not len(steps):
            return Judgement(agrees=False, ours="no value in every seed")
        outside = []
        for x, y in zip(theirs["x"], theirs["y"], strict=True):
            if x < steps[0]:
                continue  # before our first logged step
            near = np.linspace(x / (1 + self.stretch), x * (1 + self.stretch), 21)
            inside = steps[(near[0] <= steps) & (steps <= near[-1])]
            grid = np.concatenate([near, inside]) if self.stretch else np.array([x])
            band = [np.interp(grid, steps, curve) for curve in curves]
            reach = max(self.absolute, self.relative * abs(y))
            outside.append(max(0.0, np.min(band) - y, y - np.max(band)) - reach)
        missed = np.asarray(outside) > 0
        agrees = missed.mean() <= 1 - self.share if len(missed) else False
        near = f"{len(missed) - missed.sum()} of {len(missed)} points"
        return Judgement(agrees=bool(agrees), ours=near)

    def __str__(self) -> str:
        parts = [f"± {self.absolute:g}" if self.absolute else ""]
        parts += [f"± {100 * self.relative:g} %" if self.relative else ""]
        parts += [f"x ± {100 * self.stretch:g} %" if self.stretch else ""]
        return ", ".join([*filter(None, parts), f"at {100 * self.share:g} % of the points"])


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Our units are distributed as a published histogram: cumulated shares differ little."""

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
        units = ours.transpose("seed", ...).values
        cumulated = np.array([[np.nanmean(seed <= edge) for edge in right] for seed in units])
        distance = float(np.abs(cumulated.mean(axis=0) - published).max())
        return Judgement(agrees=distance <= self.distance, ours=f"differs by {distance:.3f}")

    def __str__(self) -> str:
        return f"cumulated shares ± {self.distance:g}"


@dataclass(frozen=True, kw_only=True)
class Order:
    """The means over our seeds come in a certain order."""

    ascending: bool
    least: float = 0.0  # smallest step between neighbours; negative allows small reversals

    kind: ClassVar[str] = "order"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours`` (seed, item): the means of neighbouring items differ as claimed."""
        del theirs
        over = [dim for dim in ours.dims if dim != "seed"]
        means = (ours.mean("seed") if "seed" in ours.dims else ours).transpose(*over).values.ravel()
        gaps = np.diff(means) if self.ascending else -np.diff(means)
        sign = " < " if self.ascending else " > "
        told = (
            sign.join(f"{mean:.4g}" for mean in means)
            if (gaps > 0).all()
            else ", ".join(f"{mean:.4g}" for mean in means)
        )
        agrees = (gaps > self.least).all() if self.least >= 0 else (gaps >= self.least).all()
        return Judgement(agrees=bool(agrees), ours=told)

    def __str__(self) -> str:
        return ("rising" if self.ascending else "falling") + (
            f", up to {-self.least:g}" if self.least < 0 else ""
        )


@dataclass(frozen=True, kw_only=True)
class Region:
    """Counts or shares of the cells of phase diagrams lie between two bounds."""

    low: float = -math.inf
    high: float = math.inf

    kind: ClassVar[str] = "region"

    def judge(self, ours: xr.DataArray, theirs: Any) -> Judgement:
        """Compare ``ours``, counts or shares of the majority phases, each with the bounds."""
        del theirs
        values = np.atleast_1d(np.asarray(ours.values, dtype=float)).ravel()
        inside = bool(((self.low <= values) & (values <= self.high)).all())
        return Judgement(agrees=inside, ours=", ".join(f"{value:.4g}" for value in values))

    def __str__(self) -> str:
        return _interval(self.low, self.high)


def _interval(low: float, high: float) -> str:
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def _seeds(ours: xr.DataArray) -> np.ndarray:
    extra = [dim for dim in ours.dims if dim != "seed"]
    if extra:
        raise ValueError(f"{ours.name} has the axes {extra}; choose one value of each")
    return np.atleast_1d(np.asarray(ours.values, dtype=float))


def _median(values: Sequence[float] | np.ndarray) -> float:
    return float(np.median(np.where(np.isnan(values), math.inf, values)))


def _prediction(values: np.ndarray) -> float:
    """Half the width of the 95 % prediction interval for one more value."""
    count = len(values)
    return float(half_width(values.std(ddof=1) * math.sqrt(1 + 1 / count), count))


def _told(values: np.ndarray, median: bool = False) -> str:
    """The mean with its 95 % interval, or the median with the range of the seeds."""
    if len(values) == 1:
        return f"{values[0]:.6g}"
    if median:
        known = np.where(np.isnan(values), math.inf, values)
        return f"{_median(values):.4g} ({known.min():.4g} to {known.max():.4g})"
    half = float(half_width(values.std(ddof=1) / math.sqrt(len(values)), len(values)))
    return f"{values.mean():.4g} ± {half:.2g}"
