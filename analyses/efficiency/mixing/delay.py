"""How much later a mixture's validation loss falls than its training loss."""

from enum import StrEnum

import numpy as np
import xarray as xr

from analyses.statistics.curves import halving_step

FACTORS = (2.0, 10.0)
LOSS_STAYS_FROM = 0.95  # share of its start from which on a loss has stayed or risen


class Verdict(StrEnum):
    """What the validation loss does while the training loss falls to a tenth."""

    DELAYED = "delayed"  # stays or rises, and falls to a tenth later: grokking
    MEMORISED = "memorised"  # stays or rises, and has not fallen to a tenth by the end
    TOGETHER = "together"  # falls, too, and to a tenth by the end
    IN_PART = "in part"  # falls, too, but not to a tenth by the end
    UNFINISHED = "unfinished"  # the training loss has not fallen to a tenth by the end
    DIVERGED = "diverged"


def summary(data: xr.Dataset) -> xr.Dataset:
    """When losses fall, how high the validation loss rises, and a verdict on it.

    Args:
        data: from ``mixture.compute``; any axes besides "step" and "split" are kept.

    Returns:
        Dataset over the axes of ``data``, NaN for what did not happen by the last step (the
        attribute ``steps``):

        * ``fall_step`` (split, factor): the first evaluated step at which the loss is at most its
          start divided by ``factor``, 2 or 10;
        * ``delay`` (factor): that of test minus that of train, in steps; ``delay_ratio``: the
          former divided by the latter;
        * ``peak``: largest test loss divided by its start; ``peak_step``: when;
        * ``test_at_train_fall``: test loss divided by its start when the train loss has fallen to a
          tenth;
        * ``final`` (split): last loss divided by the first;
        * ``verdict``: a :class:`Verdict`. "Stays or rises" means at least 95 % of the start.
    """
    loss = data.loss
    step = data.step.values

    def fallen(curve: np.ndarray) -> np.ndarray:
        if not curve[0] > 0:  # nothing left to fall, or NaN
            return np.full(len(FACTORS), np.nan)
        return np.array([halving_step(step, curve, factor) for factor in FACTORS])

    fall = xr.apply_ufunc(
        fallen, loss, input_core_dims=[["step"]], output_core_dims=[["factor"]], vectorize=True
    ).assign_coords(factor=list(FACTORS))
    test = loss.sel(split="test", drop=True)
    train_fall, test_fall = (fall.sel(split=split, drop=True) for split in ("train", "test"))
    finite = np.isfinite(loss).all(["step", "split"])
    peak_at = test.fillna(-np.inf).argmax("step")
    fell = train_fall.sel(factor=10.0, drop=True)
    relative = test / test.isel(step=0)
    at_fall = relative.sel(step=fell.fillna(step[0])).drop_vars("step").where(fell.notnull())
    stayed, fell_later = at_fall >= LOSS_STAYS_FROM, test_fall.sel(factor=10.0, drop=True).notnull()
    rules = [
        (~finite, Verdict.DIVERGED),
        (fell.isnull(), Verdict.UNFINISHED),
        (stayed & fell_later, Verdict.DELAYED),
        (stayed, Verdict.MEMORISED),
        (fell_later, Verdict.TOGETHER),
    ]
    verdict = np.select(
        [rule.values for rule, _ in rules], [str(name) for _, name in rules], str(Verdict.IN_PART)
    )
    return xr.Dataset(
        {
            "fall_step": fall,
            "delay": test_fall - train_fall,
            "delay_ratio": test_fall / train_fall,
            "peak": relative.isel(step=peak_at).drop_vars("step"),
            "peak_step": data.step.isel(step=peak_at).drop_vars("step"),
            "test_at_train_fall": at_fall,
            "final": (loss.isel(step=-1) / loss.isel(step=0)).drop_vars("step", errors="ignore"),
            "verdict": (finite.dims, verdict),
        },
        attrs=data.attrs | {"steps": int(step[-1])},
    )
