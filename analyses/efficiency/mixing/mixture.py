"""A mixture of two frozen circuits, of which only the weights are trained (Fig. 5).

``C_mix = w_mem C_mem + w_gen C_gen`` with ``w_mem = w_m1 w_m2`` and ``w_gen = w_g1 w_g2``. The
second factors set how fast the products can grow. With gradient flow, w_mem starts at a speed
proportional to w_m2^2; with Adam, which moves every scalar by about the learning rate per step, at
a speed proportional to w_m2.

Source: "Towards Understanding Grokking Phenomenon via Model and Training Efficiency" (2023),
section 5.1 and Fig. 5, after Varma et al. 2023, arXiv:2309.02390.

Examples:
    >>> import dataclasses
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> from analyses.efficiency.mixing.mixture import MixtureConfig, compute
    >>> from analyses.efficiency.mixing.tables import tables_of
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> memorising = from_checkpoint(run, END, "memorising", definition="published")
    >>> tables = tables_of(memorising, closed_form(config.data, d_mlp=200))
    >>> training = dataclasses.replace(MixtureConfig().training, steps=20)
    >>> loss = compute(tables, config=MixtureConfig(training=training)).loss
    >>> bool((loss.sel(step=20) < loss.sel(step=0)).all())
    True
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor

import grokinterp as gi
from analyses.efficiency.mixing.loss_surface import MIXED, LossSurface, loss_surface
from analyses.efficiency.mixing.sectors import Sectors
from analyses.efficiency.mixing.tables import SPLITS, Tables, check_tables
from grokinterp.checks import check_choice, check_int, check_type
from grokinterp.frozen import frozen_config
from grokinterp.randomness import generator
from grokinterp.session import unaffected
from grokinterp.training.optimizer import StackedOptimizer

SCALARS = ("w_m1", "w_m2", "w_g1", "w_g2")
# The paper's two rows: (w_m2, w_g2), with first factors of 0.
STARTS = {"10:1": (10.0, 1.0), "1:1": (1.0, 1.0)}
PUBLISHED_TRAINING = gi.TrainConfig(
    steps=1500, lr=1e-3, warmup_steps=10, batch_size=512, loss="mse_softmax", eval_every=1
)
DECAY_OF = ("scalars", "circuits")
_POINTS = 512  # points of a curve evaluated together


@frozen_config
class MixtureConfig:
    """How the four scalars are trained.

    ``training`` has the same meaning as for a network: optimiser, learning rate, batches, loss,
    weight decay and its kind (see :class:`grokinterp.TrainConfig`). ``decay_of`` says what the
    weight decay lambda acts on:

    - "scalars": the four scalars themselves, by lambda / 2 times their squares, as in the paper's
      code;
    - "circuits": the norm that the circuits would have as networks. If the network C with
      parameters theta is homogeneous of degree one, w C is the network with parameters w theta,
      whose squared norm is w^2 |theta|^2. So the penalty is lambda / 2 (w_mem^2 |theta_mem|^2 +
      w_gen^2 |theta_gen|^2), and the circuit with the smaller norm is cheaper. Its gradient is
      added to that of the loss ("l2") or applied as a separate step before the optimiser's
      ("decoupled_zero").
    """

    mixed: str = "probabilities"  # or "logits"
    training: gi.TrainConfig = PUBLISHED_TRAINING
    decay_of: str = "scalars"
    seed: int = 0  # draws the batches

    def __post_init__(self) -> None:
        check_type("training", self.training, gi.TrainConfig)
        training = self.training
        check_choice("mixed", self.mixed, MIXED)
        check_choice(f"training.loss with mixed={self.mixed!r}", training.loss, MIXED[self.mixed])
        check_choice("decay_of", self.decay_of, DECAY_OF)
        check_int("seed", self.seed, minimum=0)
        for name in ("dropout", "weight_noise", "update_noise"):
            if getattr(training, name):
                raise ValueError(
                    f"training.{name}={getattr(training, name)} has no meaning for a mixture"
                )
        if training.decay_kind == "jiggle":
            raise ValueError(
                "training.decay='jiggle' is noise per weight tensor, and a mixture has none; use "
                "'decoupled_zero' or 'l2'"
            )
        if self.decay_of == "circuits" and training.decay_kind == "decoupled_init":
            raise ValueError(
                "decay_of='circuits' pulls towards a norm of zero; use training.decay="
                "'decoupled_zero' or 'l2' with it, not 'decoupled_init'"
            )


@unaffected()
def compute(
    tables: Tables,
    starts: Mapping[str, Sequence[float]] = STARTS,
    config: MixtureConfig | None = None,
) -> xr.Dataset:
    """Train the scalars from every start, and return their curves.

    Args:
        tables: the circuits' logits, and the pairs to train and to test on.
        starts: initial values by name: (w_m2, w_g2) with first factors of 0, or all four (w_m1,
            w_m2, w_g1, w_g2). All starts see the same batches.
        config: how to train; None: as published.

    Returns:
        Dataset over ("start", "step", ...): ``scalars`` (scalar), their products ``weights``
        (circuit), ``loss`` and ``accuracy`` (split: "train", "test") on all pairs of the split,
        without weight decay. NaN once a start has diverged. ``alone`` (circuit, split): the loss of
        each circuit by itself, with a weight of 1.

    Raises:
        TypeError: tables of several pairs of circuits, or something else.
        ValueError: no start or one of another length, or weight decay of circuits whose norms are
            unknown or which would overshoot zero.
    """
    check_tables(tables)
    config = config or MixtureConfig()
    first = starting_scalars(starts)
    scalars = torch.stack(list(_trained(tables, first, config)), dim=1)  # [start, step, scalar]
    weights = mixing_weights(scalars)
    points = rearrange(weights, "start step circuit -> (start step) circuit")
    losses, accuracies, alone = [], [], []
    for split in SPLITS:
        memorising, generalising, labels = tables.on(split, mixed=config.mixed)
        surface = surface_of(tables, split, config)
        alone.append(surface.loss(torch.eye(2, dtype=torch.float64)))
        losses.append(torch.cat([surface.loss(part) for part in points.split(_POINTS)]))
        accuracies.append(Sectors.of(memorising, generalising, labels).accuracy(points))
    by_split = ("start", "step", "split")

    def of_starts(scores: list[Tensor]) -> np.ndarray:
        axes = "split (start step) -> start step split"
        return rearrange(scores, axes, start=len(scalars)).numpy()

    training = config.training
    return xr.Dataset(
        {
            "scalars": (("start", "step", "scalar"), scalars.numpy()),
            "weights": (("start", "step", "circuit"), weights.numpy()),
            "loss": (by_split, of_starts(losses)),
            "accuracy": (by_split, of_starts(accuracies)),
            "alone": (("circuit", "split"), torch.stack(alone, dim=1).numpy()),
        },
        coords={
            "start": list(starts),
            "step": np.array(training.evaluated_steps),
            "scalar": list(SCALARS),
            "circuit": ["memorising", "generalising"],
            "split": list(SPLITS),
        },
        attrs={
            "mixed": config.mixed,
            "loss": training.loss,
            "optimizer": training.optimizer,
            "lr": training.lr,
            "weight_decay": training.weight_decay,
            "decay": training.decay_kind,
            "decay_of": config.decay_of,
            "n_train": int(tables.is_train.sum()),
            "n_test": int(tables.is_test.sum()),
            "n_overlap": tables.overlap,
            "n_errors": tables.errors,
        },
    )


def starting_scalars(starts: Mapping[str, Sequence[float]]) -> Float[Tensor, "start 4"]:
    """The four scalars of every start; first factors that are not given are 0."""
    if not starts:
        raise ValueError("starts is empty; give at least one, such as {'10:1': (10.0, 1.0)}")
    for name, values in starts.items():
        if len(values) not in (2, 4):
            raise ValueError(
                f"starts[{name!r}] has {len(values)} numbers; give (w_m2, w_g2) or "
                "(w_m1, w_m2, w_g1, w_g2)"
            )
    full = [(0.0, v[0], 0.0, v[1]) if len(v) == 2 else tuple(v) for v in starts.values()]
    return torch.tensor(full, dtype=torch.float64)


def mixing_weights(scalars: Float[Tensor, "*start 4"]) -> Float[Tensor, "*start 2"]:
    """(w_mem, w_gen), the products of the scalars."""
    return scalars[..., 0::2] * scalars[..., 1::2]


def by_scalar(
    scalars: Float[Tensor, "*start 4"], slope: Float[Tensor, "*start 2"]
) -> Float[Tensor, "*start 4"]:
    """The gradient with respect to the four scalars, given that with respect to the two weights."""
    other = scalars[..., [1, 0, 3, 2]]  # the derivative of a product by one factor
    return slope.repeat_interleave(2, dim=-1) * other


def surface_of(tables: Tables, split: str, config: MixtureConfig) -> LossSurface:
    """The mixture's loss over the pairs of a split."""
    memorising, generalising, labels = tables.on(split, mixed=config.mixed)
    return loss_surface(
        memorising, generalising, labels, mixed=config.mixed, loss=config.training.loss
    )


def circuit_cost(tables: Tables, config: MixtureConfig) -> Float[Tensor, " 2"]:
    """Curvature of the penalty on (w_mem, w_gen): lambda |theta|^2 of each circuit, or zeros.

    Raises:
        ValueError: weight decay of circuits whose norms are unknown.
    """
    if config.decay_of == "scalars" or not config.training.weight_decay:
        return torch.zeros(2, dtype=torch.float64)
    norms = torch.tensor(tables.norms, dtype=torch.float64)
    if norms.isnan().any():
        raise ValueError("decay_of='circuits' needs tables.norms, the circuits' parameter norms")
    return config.training.weight_decay * norms.square()


def rates(training: gi.TrainConfig) -> Float[np.ndarray, " step"]:
    """The learning rate of every update, warm-up included."""
    warm = np.arange(training.steps) / max(1, training.warmup_steps)
    return training.lr * (np.minimum(1.0, warm) if training.warmup_steps else np.ones_like(warm))


def _trained(
    tables: Tables, scalars: Float[Tensor, "start 4"], config: MixtureConfig
) -> Iterator[Float[Tensor, "start 4"]]:
    """The scalars at every evaluated step."""
    training, cost = config.training, circuit_cost(tables, config)
    decoupled = training.decay_kind == "decoupled_zero" and bool(cost.any())
    largest = reduce(scalars.square(), "start (circuit two) -> circuit", "max", two=2)
    fastest = float((largest * cost).max())
    if decoupled and training.lr * fastest > 1:
        largest_decay = training.weight_decay / (training.lr * fastest)
        raise ValueError(
            f"weight_decay={training.weight_decay} on circuits of norms {tables.norms[0]:.4g} and "
            f"{tables.norms[1]:.4g} would overshoot zero at lr={training.lr}; with these starts it "
            f"must be at most {largest_decay:.3g}"
        )
    surface = surface_of(tables, "train", config)
    # The optimiser decays single scalars only, so the penalty on their products is added here.
    own = replace(training, weight_decay=0.0) if cost.any() else training
    scalars = scalars.clone()
    optimizer = StackedOptimizer(scalars, [own] * len(scalars))
    alive = torch.ones(len(scalars), dtype=torch.bool)
    rows, evaluated = _batches(int(tables.is_train.sum()), config), set(training.evaluated_steps)
    for step, lr in enumerate(rates(training)):
        if step in evaluated:
            yield scalars.clone()
        slope = surface.gradient(mixing_weights(scalars), next(rows))
        penalty = cost * mixing_weights(scalars)
        if decoupled:
            grads = by_scalar(scalars, slope)
            scalars -= float(lr) * by_scalar(scalars, penalty)
        else:
            grads = by_scalar(scalars, slope + penalty)
        optimizer.begin_step()
        optimizer.update(grads, alive, slice(None))
    yield scalars.clone()


def _batches(n_train: int, config: MixtureConfig) -> Iterator[Int[Tensor, " batch"] | None]:
    """The training pairs of each update: None for all, else batches of reshuffled epochs."""
    size = config.training.batch_size
    rng = generator(config.seed, "batches")
    while True:
        if size is None or size >= n_train:
            yield None
        else:
            order = torch.randperm(n_train, generator=rng)
            yield from order[: n_train // size * size].split(size)
