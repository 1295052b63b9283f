"""Predicted curves of a mixture's four scalars: gradient flow for SGD, sign flow for Adam.

Both are ordinary differential equations on the mixture's actual loss over all training pairs. Time
is the sum of the learning rates, warm-up included, so curves of different rates coincide. Gradient
flow conserves ``w_m2^2 - w_m1^2`` and ``w_g2^2 - w_g1^2``, since the gradient of a function of the
product w1 w2 is (w2, w1) times one number. So a second factor that starts large stays large and
keeps its circuit fast: dw_mem/dt = -(w_m1^2 + w_m2^2) dL/dw_mem.

Examples:
    >>> import dataclasses
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> from analyses.efficiency.mixing.gradient_flow import predict
    >>> from analyses.efficiency.mixing.mixture import MixtureConfig
    >>> from analyses.efficiency.mixing.tables import tables_of
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> memorising = from_checkpoint(run, END, "memorising", definition="published")
    >>> tables = tables_of(memorising, closed_form(config.data, d_mlp=200))
    >>> training = dataclasses.replace(MixtureConfig().training, steps=20)
    >>> flow = predict(tables, config=MixtureConfig(training=training))
    >>> flow.attrs["flow"], dict(flow.weights.sizes)  # Adam's
    ('sign', {'start': 2, 'step': 21, 'circuit': 2})
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from analyses.efficiency.mixing.mixture import (
    SCALARS,
    STARTS,
    MixtureConfig,
    by_scalar,
    circuit_cost,
    mixing_weights,
    rates,
    starting_scalars,
    surface_of,
)
from analyses.efficiency.mixing.tables import Tables, check_tables
from grokinterp.session import unaffected

_Speed = Callable[[Float[Tensor, "start 4"]], Float[Tensor, "start 4"]]
_PIECES = 10  # of an update


@unaffected()
def predict(
    tables: Tables,
    starts: Mapping[str, Sequence[float]] = STARTS,
    config: MixtureConfig | None = None,
) -> xr.Dataset:
    """The flow that the scalars of :func:`mixture.compute` should follow, from the same arguments.

    For SGD it is gradient flow, ds/dt = -dL/ds, with weight decay in L. For Adam it is sign flow:
    without memory of earlier gradients an update is g / (|g| + eps), so ds/dt = -g / (|g| + eps)
    with g = dL/ds. Every scalar then moves by the learning rate per step, and while the losses of
    both circuits fall, w_mem = t (w_m2 + t). Decoupled weight decay adds its own -lambda s.

    Returns:
        Dataset over ("start", "step", ...): ``scalars`` (scalar) and ``weights`` (circuit) at the
        evaluated steps; ``time`` over "step", the sum of the learning rates so far.

    Raises:
        ValueError: arguments that ``mixture.compute`` refuses, momentum, weight decay towards the
            initial values, or a flow that cannot be solved.
    """
    check_tables(tables)
    config = config or MixtureConfig()
    training = config.training
    if training.momentum or training.decay == "decoupled_init":
        raise ValueError(
            f"momentum={training.momentum}, decay={training.decay!r}: a flow has no memory of "
            "earlier gradients or of its start; take momentum=0.0 and another decay"
        )
    first, steps = starting_scalars(starts), np.array(training.evaluated_steps)
    clock = np.concatenate([[0.0], np.cumsum(rates(training))])  # after every update
    smooth = training.optimizer == "sgd"
    speed = _speed(tables, config)
    scalars = (_solved if smooth else _followed)(speed, first, clock)[:, steps]
    return xr.Dataset(
        {
            "scalars": (("start", "step", "scalar"), scalars),
            "weights": (("start", "step", "circuit"), scalars[..., 0::2] * scalars[..., 1::2]),
            "time": ("step", clock[steps]),
        },
        coords={
            "start": list(starts),
            "step": steps,
            "scalar": list(SCALARS),
            "circuit": ["memorising", "generalising"],
        },
        attrs={"flow": "gradient" if smooth else "sign"},
    )


def _solved(speed: _Speed, first: Float[Tensor, "start 4"], clock: np.ndarray) -> np.ndarray:
    """A smooth flow at the given times, solved by SciPy for each start."""
    from scipy.integrate import solve_ivp

    times, row = np.unique(clock, return_inverse=True)  # a warm-up begins with a rate of 0
    found = []

    def slope(_time: float, scalars: np.ndarray) -> np.ndarray:
        return speed(torch.from_numpy(scalars)[None])[0].numpy()

    accuracy = {"method": "LSODA", "rtol": 1e-8, "atol": 1e-10}
    for start in first:
        solved: Any = solve_ivp(slope, (0.0, times[-1]), start.numpy(), t_eval=times, **accuracy)
        if not solved.success:
            raise ValueError(
                f"the flow from scalars {start.tolist()} could not be solved: {solved.message}; "
                "start with smaller scalars"
            )
        found.append(solved.y.T[row])
    return np.stack(found)


def _followed(speed: _Speed, first: Float[Tensor, "start 4"], clock: np.ndarray) -> np.ndarray:
    """A flow with kinks, by Euler steps a tenth of an update long.

    Where the training loss has its minimum along one scalar, that scalar's sign flips at every step
    and the flow slides along the valley. Solvers with adaptive steps stall there.
    """
    found = [first]
    for span in np.diff(clock).tolist():
        scalars = found[-1]
        for _ in range(_PIECES):
            scalars = scalars + span / _PIECES * speed(scalars)
        found.append(scalars)
    return torch.stack(found, dim=1).numpy()


def _speed(tables: Tables, config: MixtureConfig) -> _Speed:
    """ds/dt of the four scalars, for each start."""
    training = config.training
    surface, cost = surface_of(tables, "train", config), circuit_cost(tables, config)
    own = 0.0 if config.decay_of == "circuits" else training.weight_decay  # of the scalars
    in_loss = training.decay_kind == "l2"

    def speed(scalars: Float[Tensor, "start 4"]) -> Float[Tensor, "start 4"]:
        weights = mixing_weights(scalars)
        decay = by_scalar(scalars, cost * weights) + own * scalars
        slope = by_scalar(scalars, surface.gradient(weights))
        if in_loss:
            slope, decay = slope + decay, 0.0
        if training.optimizer != "sgd":
            slope = slope / (slope.abs() + training.eps)
        return -(slope + decay)

    return speed
