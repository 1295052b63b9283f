"""Training on a device compared with training on the CPU: runs of every kind, and how far apart.

Used by the tests beside this file and by the benchmark of GPUs, on any device.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import grokinterp as gi
from analyses import phases
from grokinterp.team import available_threads

BASE = gi.RunConfig(
    data=gi.DataConfig(p=23, corruption=0.3),
    model=gi.MLPConfig(d_mlp=64),
    training=gi.TrainConfig(steps=200, eval_every=20, lr=3e-3),
)
# What each kind changes. Together they take every way to compute gradients on a device, every
# optimiser and every kind of weight decay. Those that wait for a first measurement come first.
KINDS: dict[str, dict[str, Any]] = {
    "mlp, mini-batches": {"training.batch_size": 64},
    "transformer": {
        "model": gi.TransformerConfig(d_model=32, n_heads=4, prompt="a b ="),
        "training.loss": "cross_entropy",
        "training.lr": 5e-4,  # at 1e-3, 200 steps amplify rounding in float64 to nearly 1e-10
    },
    "transformer, mini-batches": {
        "model": gi.TransformerConfig.paper2(
            n_layers=1, d_model=32, n_heads=4, d_vocab=None, d_vocab_out=None
        ),
        "training.loss": "cross_entropy",
        "training.lr": 1e-3,
        "training.batch_size": 64,
    },
    "lstm": {
        "model": gi.LSTMConfig(d_embed=24, d_hidden=32),
        "training.loss": "cross_entropy",
        "training.lr": 1e-3,
    },
    "embedding mlp": {
        "model": gi.EmbeddingMLPConfig(d_embed=24, hidden=(48,)),
        "training.loss": "mse_softmax",
        "training.lr": 1e-3,
    },
    "mlp, adam with l2": {"training.optimizer": "adam", "training.weight_decay": 1e-4},
    "mlp, sgd with l2": {
        "training.optimizer": "sgd",
        "training.momentum": 0.9,
        "training.lr": 10.0,
        "training.weight_decay": 1e-5,
    },
    "mlp, decay to the initial weights": {
        "training.decay": "decoupled_init",
        "training.weight_decay": 1.0,
    },
    "mlp, jiggle": {"training.decay": "jiggle", "training.weight_decay": 1.0},
    "mlp": {},
    "mlp, relu, cross-entropy": {
        "model": gi.MLPConfig(d_mlp=48, n_layers=2, act="relu", init="standard"),
        "training.loss": "cross_entropy",
        "training.lr": 1e-3,
    },
    "mlp, dropout": {"training.dropout": 0.3},
    "mlp, noise": {"training.weight_noise": 0.01, "training.update_noise": 0.01},
    "mlp, batch norm": {"model.norm": "batch", "training.lr": 1e-3},
}
# The precision on the CPU that a device's is compared with; a CPU lacks tf32, which has more digits
# than bfloat16.
ON_CPU = {"float32": "float32", "bfloat16": "bfloat16", "tf32": "bfloat16"}
# Their steps cannot be captured: masks and noise are drawn for each step by the host.
NOT_REPLAYED = ("mlp, dropout", "mlp, noise", "mlp, jiggle")


def runs_of(kind: str, steps: int = BASE.training.steps) -> list[gi.RunConfig]:
    """Four runs for one stack: other seeds, data, warm-ups and betas.

    Their weight decays differ, too, unless the kind has one.
    """
    own: list[dict[str, Any]] = [
        {},
        {"seed": 1, "data.seed": 1, "training.weight_decay": 1.0},
        {"seed": 2, "data.corruption": 0.0, "training.warmup_steps": 10},
        {"seed": 3, "data.train_fraction": 0.7, "training.betas": (0.9, 0.95)},
    ]
    return [BASE.replace(one | KINDS[kind] | {"training.steps": steps}) for one in own]


@dataclass(frozen=True)
class Gap:
    """How far runs are from the same runs trained elsewhere; the largest of any run."""

    curves: float  # of losses and accuracies at any step, over the largest value of the curve
    weights: float  # relative distance at the end, over all weights
    phases: int  # runs that end in another phase

    @classmethod
    def between(cls, runs: Sequence[gi.Run], reference: Sequence[gi.Run]) -> "Gap":
        """Those of ``runs`` from ``reference``, run by run."""
        both = [*zip(runs, reference, strict=True)]
        return cls(
            curves=float(np.max([_curves(one, other) for one, other in both])),  # NaN, if any is
            weights=float(np.max([_weights(one, other) for one, other in both])),
            phases=sum(phases.classify(one) != phases.classify(other) for one, other in both),
        )

    def excess(self, precision: str, on_cpu: "Gap | None" = None) -> list[str]:
        """What is larger than it may be, a distance from float64 on the CPU.

        In float64 that is 1e-10, and no other phase. In other precisions it is four times the
        distance ``on_cpu`` of the same runs on the CPU in ``ON_CPU[precision]``; in float32 all
        phases agree, too. With fewer digits, phases at their borders may differ.
        """
        most = Gap(1e-10, 1e-10, 0)
        if precision != "float64":
            assert on_cpu is not None
            most = Gap(4 * on_cpu.curves + 1e-6, 4 * on_cpu.weights + 1e-6, 0)
        asked = ["curves", "weights"] + ["phases"] * (precision in ("float64", "float32"))
        return [name for name in asked if not getattr(self, name) <= getattr(most, name)]


def trained(configs: Sequence[gi.RunConfig], device: str, precision: str) -> list[gi.Run]:
    """The runs, trained as one stack."""
    threads = min(len(configs), available_threads())  # on a CPU one run each
    return gi.train_many(
        configs, device=device, precision=precision, threads=threads, progress=False
    )


@functools.cache
def trained_on_cpu(kind: str, precision: str, steps: int = BASE.training.steps) -> list[gi.Run]:
    """The runs of a kind, trained on the CPU: what those of other devices are compared with."""
    return trained(runs_of(kind, steps), "cpu", precision)


def _curves(run: gi.Run, reference: gi.Run) -> float:
    gaps = []
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        ours, theirs = run.history[name].values, reference.history[name].values
        gaps.append(np.abs(ours - theirs).max() / np.abs(theirs).max())
    return float(np.max(gaps))


def _weights(run: gi.Run, reference: gi.Run) -> float:
    ours, theirs = (
        torch.cat([weight.detach().flatten().double() for weight in one.model.parameters()])
        for one in (run, reference)
    )
    return float((ours - theirs).norm() / theirs.norm())
