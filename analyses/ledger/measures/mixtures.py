"""Fig. 5: what the ledger reads from mixtures of a memorising and a generalising circuit."""

from pathlib import Path

import xarray as xr

from analyses.efficiency.mixing.delay import Verdict
from analyses.efficiency.mixing.variants import PUBLISHED
from analyses.ledger.measures.experiments import findings, told
from analyses.statistics.over_runs import first_steps, values_at

_FACTORS = "factors"  # the finding with other factors of C_mem
_HALVES = "halves-of-one-network"
_FITTED = 1.1e-5  # train loss at which the paper's two losses are compared
_START = 1 / 239  # the paper's loss of an all-zero output
_ZERO = 1e-5  # a validation loss below it has fallen


def mixture(*, seeds: int, work: Path, size: str) -> xr.Dataset:
    """Fig. 5 over "circuits" (of ``protocols``, dashed), "start" ("10:1", "1:1") and "seed".

    Of the published way to mix: the numbers of :func:`of_curves`; ``gen_share``, the last weight of
    C_gen over the sum of both. ``fit``: the train loss of C_mem alone over that of C_gen alone.
    ``kept`` (circuits): seeds whose networks qualify as circuits; the others are missing. Over
    "variant", too: :func:`of_delays`. As published, over "factor_of_mem" (1 to 1000) and "seed":
    ``factor_train_fall``, the step at which train loss is at a tenth, and ``factor_growth``, the
    delay over that with the next smaller factor, see :func:`growth`.
    """
    found = {
        str(one.name).removeprefix("mixture-"): one.data
        for one in findings("mixture", work, size=size, seeds=seeds)
    }
    factors = found.pop(_FACTORS)
    found.pop(_HALVES, None)
    parts: list[xr.Dataset] = []
    for data in found.values():
        own = data.sel(variant=PUBLISHED, drop=True)
        last, alone = own.weights.isel(step=-1, drop=True), own.alone.sel(split="train", drop=True)
        mixed = of_curves(own[["loss", "accuracy"]]).assign(
            gen_share=last.sel(circuit="generalising", drop=True) / last.sum("circuit"),
            fit=alone.sel(circuit="memorising", drop=True)
            / alone.sel(circuit="generalising", drop=True),
            kept=float(data.sizes["seed"]),
        )
        parts.append(mixed.merge(of_delays(data)))
    axis = xr.Variable("circuits", list(found))
    # The controls are mixed in one variant only.
    mixed = xr.concat(parts, axis, combine_attrs="drop", join="outer")
    return mixed.assign(_by_factor(factors.sel(variant=PUBLISHED, drop=True)))


def of_curves(curves: xr.Dataset) -> xr.Dataset:
    """The curves of mixtures, and the numbers that the paper gives of its own.

    Args:
        curves: ``loss`` and ``accuracy`` over "split", "step" and other axes.

    Returns:
        Also ``first_step`` (level) of accuracies of .5 and 1; ``peak_loss`` and ``peak_at`` of
        validation, and ``train_loss_at_peak``; ``zero_step``, where validation loss falls below
        1e-5; ``loss_when_fitted``, validation loss when train loss falls to 1.1e-5; ``tandem``,
        validation loss over its start when train loss is at .26 % of its own, as 1.1e-5 is in the
        paper; all NaN where it does not happen. ``groks`` and ``falls_together``, 1 or 0, NaN
        without a curve.
    """
    train, test = (curves.sel(split=split, drop=True) for split in ("train", "test"))
    exists = test.loss.notnull().all("step")
    level = xr.DataArray([0.5, 1.0], {"level": [0.5, 1.0]})
    start, top = test.loss.isel(step=0, drop=True), test.loss.max("step")
    peak_at = first_steps(test.loss == top)
    train_start = train.loss.isel(step=0, drop=True)
    fitted = values_at(test.loss, first_steps(train.loss <= _FITTED))
    nearly = values_at(test.loss, first_steps(train.loss <= _FITTED / _START * train_start))
    learned = first_steps(train.loss < 0.01 * train_start)
    gap = abs(test.accuracy - train.accuracy).where(test.step >= 7).max("step")
    falls = (test.loss.diff("step") <= 0).all("step") & (gap <= 0.10)
    groks = (
        (top / start >= 1.2) & (peak_at > learned) & (test.loss.isel(step=-1, drop=True) < _ZERO)
    )
    return curves.assign(
        first_step=first_steps(curves.accuracy >= level),
        peak_loss=top,
        peak_at=peak_at,
        train_loss_at_peak=values_at(train.loss, peak_at),
        zero_step=first_steps((test.loss < _ZERO).where(test.step > 0, False)),
        loss_when_fitted=fitted,
        tandem=nearly / start,
        groks=groks.astype(float).where(exists),
        falls_together=falls.astype(float).where(exists),
    )


def of_delays(data: xr.Dataset) -> xr.Dataset:
    """How much later validation loss falls, over "variant", from ``delay.summary``.

    ``delay_growth`` (factor by which losses fall): the delay at 10:1 over that at 1:1, see
    :func:`growth`. ``delayed``: 1 where validation loss stays or rises and falls later, else 0.
    ``peak``, over the start.
    """
    smaller, larger = (data.sel(start=start, drop=True) for start in ("1:1", "10:1"))
    return xr.Dataset(
        {
            "delay_growth": growth(smaller, larger, float(data.step[-1])),
            "delayed": (data.verdict == Verdict.DELAYED).astype(float),
            "peak": data["peak"],
        }
    )


def growth(smaller: xr.Dataset, larger: xr.Dataset, last: float) -> xr.DataArray:
    """The delay of one mixture over that of another.

    A delay is the step at which validation loss falls, over that at which training loss does. If
    validation loss has not fallen by the last step, it is at least that step over training's.
    This bound is taken if it shows on which side of 1 the ratio is, else NaN.

    Args:
        smaller: ``fall_step`` over "split" and other axes.
        larger: likewise.
        last: step.
    """
    exact, least = [], []
    for data in (smaller, larger):
        train, test = (data.fall_step.sel(split=split, drop=True) for split in ("train", "test"))
        exact.append(test / train)
        least.append(test.fillna(last) / train)
    return told(exact[1] / exact[0], least[1] / exact[0], exact[1] / least[0])


def _by_factor(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """The numbers of :func:`mixture` over the factor of C_mem."""
    factor = [float(start.partition(":")[0]) for start in data.start.values.tolist()]
    named = data.assign_coords(start=factor).rename(start="factor_of_mem")
    tenth = named[["fall_step"]].sel(factor=10.0, drop=True)
    return {
        "factor_train_fall": tenth.fall_step.sel(split="train", drop=True),
        "factor_growth": growth(tenth.shift(factor_of_mem=1), tenth, float(data.step[-1])),
    }
