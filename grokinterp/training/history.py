"""The history of a run: a labelled dataset with one row per evaluated step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from grokinterp.short_text import short
from grokinterp.training.evaluation import METRICS

Probe = Callable[[Any], Any]  # of the hooked model

_RESERVED = (*METRICS, "norm", "step", "weight")  # names that probes may not take
MAX_AXES = 31  # of a probe's result; netCDF stores 32, and one is the step


def check_probes(probes: Mapping[str, Probe] | None) -> dict[str, Probe]:
    """Raise unless ``probes`` maps names that netCDF can store to functions."""
    if probes is not None and not isinstance(probes, Mapping):
        raise TypeError(
            f"probes must map names to functions of the hooked model, got {short(probes)}"
        )
    for name, probe in (probes or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"probes has the name {short(name)}; a name must be a string")
        if name in _RESERVED:
            raise ValueError(
                f"probes has {short(name)}, a name already in use in the history; rename it"
            )
        unstorable = "/" in name or name in ("", ".") or name.startswith("_nc4_")
        if unstorable or not name.isprintable():
            raise ValueError(
                f"probes has {short(name)}, which cannot name a variable of the history's file; "
                "use letters, digits, - and _"
            )
        if not callable(probe):
            raise TypeError(
                f"probe {short(name)} must be a function of the hooked model, got {short(probe)}"
            )
    return dict(probes or {})


def build_history(
    steps: Sequence[int],
    metrics: Tensor,
    norms: Mapping[str, Tensor],
    probed: Mapping[str, Sequence[Tensor]],
) -> xr.Dataset:
    """Make the history: one row per evaluated step, the state after that many updates.

    Variables: loss and accuracy of each subset; ``zero_loss_share``, the share of training examples
    whose loss is exactly 0 in the training's precision; ``norm`` per weight matrix; the probes.

    Args:
        steps: the evaluated steps, in increasing order.
        metrics: [step, metric] in the order of ``METRICS``.
        norms: Frobenius norm [step] of each weight matrix.
        probed: results of each probe at each step; the axes of arrays become dimensions.
    """
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
