"""What the four scalars of a mixture should do: gradient flow, and the sign flow of Adam.

Both are ordinary differential equations on the real loss of the two tables, over all training
pairs. Time is the sum of the learning rates, with warm-up, so that curves of any rate lie over each
other. Along gradient flow ``w_m2^2 - w_m1^2`` and ``w_g2^2 - w_g1^2`` never change (the gradient of
a function of the product w1 w2 is (w2, w1) times one number), so a second factor that starts large
stays so and keeps its circuit fast: dw_mem/dt = -(w_m1^2 + w_m2^2) dL/dw_mem.
"""

from collections.abc import Callable, Mapping, Sequence

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
from analyses.efficiency.mixing.tables import Tables
from grokinterp.session import unaffected

_Speed = Callable[[Float[Tensor, "start 4"]], Float[Tensor, "start 4"]]
_PIECES = 10


@unaffected()
def predict(
    tables: Tables,
    starts: Mapping[str, Sequence[float]] = STARTS,
    config: MixtureConfig | None = None,
) -> xr.Dataset:
    """The flow that the scalars of :func:`mixture.compute` should follow, from its arguments.

    For SGD it is gradient flow, ds/dt = -dL/ds, with weight decay in L. For Adam it is sign flow:
    without memory of earlier gradients an update is g / (|g| + eps), so ds/dt = -g / (|g| + eps)
    with g = dL/ds. Every scalar then moves by its rate per step, and as long as the losses of both
    circuits only fall, w_mem = t (w_m2 + t). Decoupled decay adds its own -lambda s.

    Returns:
        Dataset over ("start", "step", ...): ``scalars`` (scalar) and ``weights`` (circuit) at the
        evaluated steps; ``time`` over "step", the sum of the learning rates so far.

    Raises:
        ValueError: arguments that ``mixture.compute`` refuses, momentum, decay towards the start,
            or a flow that cannot be solved.
    """
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
    """A smooth flow at the times of the clock, by SciPy, one start after the other."""
    from scipy.integrate import solve_ivp

    times, row = np.unique(clock, return_inverse=True)  # a warm-up begins with a rate of 0
    found = []
    for start in first:
        solved = solve_ivp(
            lambda _time, at: speed(torch.from_numpy(at)[None])[0].numpy(),
            (0.0, times[-1]), start.numpy(), method="LSODA", t_eval=times, rtol=1e-8, atol=1e-10,
        )  # fmt: skip
        if not solved.success:
            raise ValueError(
                f"the flow from scalars {start.tolist()} could not be solved: {solved.message}; "
                "start with smaller scalars"
            )
        found.append(solved.y.T[row])
    return np.stack(found)


def _followed(speed: _Speed, first: Float[Tensor, "start 4"], clock: np.ndarray) -> np.ndarray:
    """A flow with kinks, in straight pieces a tenth of an update long.

    Where the training loss is at its least along one scalar, that scalar's sign turns at every
    piece and the flow slides along the valley; solvers that adapt their steps stall there.
    """
    found = [first]
    for span in np.diff(clock).tolist():
        scalars = found[-1]
        for _ in range(_PIECES):
            scalars = scalars + span / _PIECES * speed(scalars)
        found.append(scalars)
    return torch.stack(found, dim=1).numpy()


def _speed(tables: Tables, config: MixtureConfig) -> _Speed:
    """ds/dt of the four scalars at each row of them."""
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
