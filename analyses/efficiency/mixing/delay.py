"""How much later than its training loss a mixture's validation loss falls, in numbers."""

from enum import StrEnum

import numpy as np
import xarray as xr

from analyses.statistics.curves import halving_step

FACTORS = (2.0, 10.0)
LOSS_STAYS_FROM = 0.95  # of its start: a validation loss from here up has risen or stayed


class Verdict(StrEnum):
    """What validation loss does while the training loss falls by 10 times."""

    DELAYED = "delayed"  # it rises or stays, and falls by 10 times later: grokking
    MEMORISED = "memorised"  # it rises or stays, and does not fall by 10 times in these steps
    TOGETHER = "together"  # it falls, too
    UNFINISHED = "unfinished"  # training loss did not fall by 10 times in these steps
    DIVERGED = "diverged"


def summary(data: xr.Dataset) -> xr.Dataset:
    """When losses fall, how high the validation loss rises, and what that amounts to.

    Args:
        data: of ``mixture.compute``; any axes besides "step" and "split" are kept.

    Returns:
        Dataset with the axes of ``data``: ``fall_step`` (split, factor), the first evaluated step
        with a loss of at most its start over ``factor``, 2 or 10; ``delay`` (factor), the test's
        minus the train's, in steps, and ``delay_ratio``, their quotient; ``peak``, the largest test
        loss over its start, and ``peak_step``; ``test_at_train_fall``, the test loss over its start
        when the train loss has fallen by 10 times; ``final`` (split), the last loss over the first;
        and ``verdict``, a :class:`Verdict`. NaN is what did not happen by the last step, the
        attribute ``steps``: a delay is then larger than what is left of them.

    "Rises or stays" means at least 95 % of the start.
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
    ]
    verdict = np.select(
        [rule.values for rule, _ in rules], [str(name) for _, name in rules], str(Verdict.TOGETHER)
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
