"""One network trained on images with wrong labels.

``grokinterp.train`` knows pairs of residues: its data sets are all p * p pairs, its networks look
them up in tables. Images would enter it only by pretending to be tokens, so this is a plain loop.
It shares the rules with the rest: own generators, redrawn labels, full evaluation, phases.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from analyses.images.loading import Images
from analyses.one_run.phases import EndPoint, phase_of
from grokinterp.checks import check_int, check_number
from grokinterp.frozen import frozen_config
from grokinterp.randomness import generator
from grokinterp.short_text import short_repr

ROWS = 40  # of the history, besides that of the untrained network
SUBSETS = ("train", "test", "changed", "unchanged")


@frozen_config
class ImageConfig:
    """A ReLU network on images, trained by AdamW on cross-entropy; its widths and rates are ours.

    Weights are drawn from N(0, 2 / fan_in), biases are 0. Dropout acts after each activation.
    """

    n_train: int | None = None  # training images; None: all that the data set has for training
    corruption: float = 0.4  # xi: share of the training labels that are redrawn from all classes
    width: int = 500  # neurons of each hidden layer
    n_layers: int = 4  # of weights, as the paper counts: one more than hidden layers
    weight_decay: float = 0.0  # decoupled
    dropout: float = 0.0  # probability
    lr: float = 1e-3
    batch_size: int = 128
    steps: int = 10_000
    seed: int = 0  # of split, labels, weights, batches and dropout

    def __post_init__(self) -> None:
        if self.n_train is not None:
            check_int("n_train", self.n_train, minimum=1)
        for name in ("width", "batch_size", "steps"):
            check_int(name, getattr(self, name), minimum=1)
        check_int("n_layers", self.n_layers, minimum=2)
        check_int("seed", self.seed, minimum=0)
        check_number("lr", self.lr, minimum=0.0, strict=True)
        check_number("weight_decay", self.weight_decay, minimum=0.0)
        check_number("dropout", self.dropout, minimum=0.0, below=1.0)
        check_number("corruption", self.corruption, minimum=0.0, below=1.0)

    @property
    def evaluated_steps(self) -> list[int]:
        """Numbers of updates after which the history has a row."""
        return sorted({round(self.steps * row / ROWS) for row in range(ROWS + 1)})


@short_repr
@dataclass(frozen=True, eq=False)
class Labelled:
    """Training and test images of one run, with the labels given in training."""

    pixels: Float[Tensor, "image pixel"]  # training images first
    labels: Int[Tensor, " image"]  # given
    is_changed: Bool[Tensor, " image"]  # the given label is wrong; only of training images
    n_train: int
    n_classes: int


def labelled(images: Images, config: ImageConfig) -> Labelled:
    """Split images, and redraw some training labels uniformly over all classes.

    A data set with its own test images keeps them; of another, all images that are not drawn for
    training are test images. A larger corruption contains the smaller one.

    Raises:
        ValueError: there are not as many images, or none is left for the test.
    """
    n = len(images.labels)
    own = images.is_test if images.is_test is not None else torch.zeros(n, dtype=torch.bool)
    order = torch.randperm(n, generator=generator(config.seed, "split"))
    candidates, test = order[~own[order]], order[own[order]]
    n_train = len(candidates) if config.n_train is None else config.n_train
    if images.is_test is None:
        test = candidates[n_train:]
    if n_train > len(candidates) or not len(test):
        raise ValueError(
            f"n_train={config.n_train} of {len(candidates)} images of {images.name} leaves "
            f"{len(test)} for the test; choose fewer"
        )
    chosen = torch.cat([candidates[:n_train], test])
    true = images.labels[chosen]
    drawn = torch.randint(
        0, images.n_classes, (n_train,), generator=generator(config.seed, "noise")
    )
    n_redrawn = int(config.corruption * n_train)
    labels = true.clone()
    labels[:n_redrawn] = drawn[:n_redrawn]
    return Labelled(images.pixels[chosen], labels, labels != true, n_train, images.n_classes)


class Network:
    """A ReLU network whose dropout comes from a generator."""

    def __init__(self, data: Labelled, config: ImageConfig) -> None:
        rng, hidden = generator(config.seed, "init"), [config.width] * (config.n_layers - 1)
        sizes = [data.pixels.shape[1], *hidden, data.n_classes]
        self.weights = [
            (torch.randn(a, b, generator=rng) * (2 / a) ** 0.5).requires_grad_()
            for a, b in pairwise(sizes)
        ]
        self.biases = [torch.zeros(b, requires_grad=True) for b in sizes[1:]]

    def logits(
        self,
        pixels: Float[Tensor, "image pixel"],
        dropout: float = 0.0,
        rng: torch.Generator | None = None,
    ) -> Float[Tensor, "image n_classes"]:
        """Logits; with ``rng``, activations are dropped with probability ``dropout``."""
        x = pixels
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.addmm(bias, x, weight)
            if layer < last:
                x = x.relu()
                if rng is not None and dropout:
                    x = x * (torch.rand(x.shape, generator=rng) >= dropout) / (1 - dropout)
        return x


def train(images: Images, config: ImageConfig, *, tick: Any = None) -> xr.Dataset:
    """Train a network and evaluate it on the way.

    Args:
        images: to learn.
        config: how.
        tick: called after every step, for a progress bar.

    Returns:
        Dataset over "step": ``accuracy`` (step, subset; train, test, and the training images with a
        wrong and with a right label: changed, unchanged; NaN for none) against the given labels;
        ``loss`` (step, split; train and test), in nats; ``norm`` of all weights. ``phase``, a name.
        Attributes: ``n_changed``, ``n_train``, ``n_test``, ``seconds``.
    """
    began = time.perf_counter()
    data = labelled(images, config)
    network = Network(data, config)
    rows, evaluated = [_row(network, data)], set(config.evaluated_steps)
    for step in _steps(network, data, config):
        if step in evaluated:
            rows.append(_row(network, data))
        if tick is not None:
            tick()
    history = xr.concat(rows, "step").assign_coords(step=config.evaluated_steps)
    return history.assign(phase=_phase(history, data, config)).assign_attrs(
        n_changed=int(data.is_changed.sum()),
        n_train=data.n_train,
        n_test=len(data.labels) - data.n_train,
        seconds=time.perf_counter() - began,
    )


def seconds(images: Images, config: ImageConfig) -> float:
    """Estimated time of a run, from a few timed steps on this machine."""
    data = labelled(images, config)
    network = Network(data, config)
    step = _median_time(_steps(network, data, config))
    row = _median_time(_row(network, data) for _ in range(3))
    return config.steps * step + len(config.evaluated_steps) * row


def _median_time(work: Iterator[Any]) -> float:
    """Median seconds of at most 20 items after the first, which may load libraries."""
    times = np.diff([time.perf_counter(), *(time.perf_counter() for _ in islice(work, 21))])
    return float(np.median(times[1:] if len(times) > 1 else times))


def _steps(network: Network, data: Labelled, config: ImageConfig) -> Iterator[int]:
    """Take the steps of a run, and yield the number of each."""
    parameters = [*network.weights, *network.biases]
    optimiser = torch.optim.AdamW(
        parameters, lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    batches, dropped = _batches(data.n_train, config), generator(config.seed, "dropout")
    for step in range(1, config.steps + 1):
        batch = next(batches)
        logits = network.logits(data.pixels[batch], config.dropout, dropped)
        optimiser.zero_grad()
        cross_entropy(logits, data.labels[batch]).backward()
        optimiser.step()
        yield step


def _batches(n_train: int, config: ImageConfig) -> Iterator[Int[Tensor, " batch"]]:
    """Indices of each step's images: a permutation per epoch, without a last partial batch."""
    rng = generator(config.seed, "batches")
    size = min(config.batch_size, n_train)
    while True:
        order = torch.randperm(n_train, generator=rng)
        for first in range(0, n_train - size + 1, size):
            yield order[first : first + size]


@torch.no_grad()
def _row(network: Network, data: Labelled) -> xr.Dataset:
    logits = torch.cat([network.logits(part) for part in data.pixels.split(8192)])
    right = (logits.argmax(dim=1) == data.labels).double()
    losses = cross_entropy(logits, data.labels, reduction="none").double()
    is_train = torch.arange(len(right)) < data.n_train
    masks = (is_train, ~is_train, data.is_changed, is_train & ~data.is_changed)
    norm = sum(float(weight.double().square().sum()) for weight in network.weights) ** 0.5
    return xr.Dataset(
        {
            "accuracy": ("subset", [float(right[mask].mean()) for mask in masks]),
            "loss": ("split", [float(losses[mask].mean()) for mask in masks[:2]]),
            "norm": norm,
        },
        coords={"subset": list(SUBSETS), "split": list(SUBSETS[:2])},
    )


def _phase(history: xr.Dataset, data: Labelled, config: ImageConfig) -> str:
    last = history.isel(step=-1)
    accuracies = {name: float(last.accuracy.sel(subset=name)) for name in SUBSETS}
    finite = bool(np.isfinite(last["loss"]).all()) and bool(np.isfinite(last.norm))
    end = EndPoint(
        **accuracies,
        max_test=float(history.accuracy.sel(subset="test").max()),
        n_changed=int(data.is_changed.sum()),
        corruption=config.corruption,
        diverged=not finite,
    )
    return str(phase_of(end))
