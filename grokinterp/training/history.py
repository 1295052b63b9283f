"""What a run looked like while it trained, as a labelled dataset over steps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from grokinterp.training.evaluation import METRICS

if TYPE_CHECKING:
    import xarray as xr


RESERVED = (*METRICS, "norm", "step", "weight")  # names that probes may not take


def build_history(
    steps: Sequence[int],
    metrics: Tensor,
    norms: Mapping[str, Tensor],
    probed: Mapping[str, Sequence[Tensor]],
) -> "xr.Dataset":
    """One row per evaluated step; the state after that many updates.

    Args:
        steps: the evaluated steps, increasing.
        metrics: [step, metric] in the order of ``METRICS``.
        norms: Frobenius norm [step] of each weight matrix.
        probed: what the user's probes gave at each step; arrays get axes of their own.
    """
    import xarray as xr

    count = len(steps)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (("step",), metrics[:count, i].cpu().double().numpy())
        for i, name in enumerate(METRICS)
    }
    stacked = torch.stack([norm[:count] for norm in norms.values()], dim=1)
    variables["norm"] = (("step", "weight"), stacked.cpu().double().numpy())
    for name, values in probed.items():
        array = torch.stack(list(values))[:count].cpu().numpy()
        axes = tuple(f"{name}_{axis}" for axis in range(array.ndim - 1))
        variables[name] = (("step", *axes), array)
    history = xr.Dataset(
        variables, coords={"step": np.asarray(steps, dtype=np.int64), "weight": list(norms)}
    )
    history["step"].attrs["units"] = "updates"
    return history
