"""Networks whose logits are exactly a sum of cos(w (a + b - c)), and runs made of them."""

import dataclasses
import math
from collections.abc import Mapping

import torch

import grokinterp as gi
from grokinterp.checkpoints import Checkpoint

GRID = 5  # phases per operand: every unwanted term of eq. 6 averages out over 5 x 5 neurons
P = 11


def clock_model(gains: Mapping[int, float], width: int, p: int = P) -> gi.HookedMLP:
    """Logits sum_k gain_k cos(2 pi k (a + b - c) / p), to rounding; further neurons are zero.

    A neuron cos(wa + u), cos(wb + v) with output cos(wc + u + v) gives, squared and multiplied,
    cos(w (a + b - c)) / 2 and terms in which u or v stays, once to three times. Over all u and v of
    a grid of five the latter sum to zero.
    """
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=width), p=p)
    model.operation = "addition"
    x = 2 * math.pi * torch.arange(p, dtype=torch.float64) / p
    with torch.no_grad():
        model.W_E.zero_()
        model.W_U.zero_()
        neuron = 0
        for k, gain in gains.items():
            for i in range(GRID):
                for j in range(GRID):
                    u, v = 2 * math.pi * i / GRID, 2 * math.pi * j / GRID
                    model.W_E[0, :, neuron] = torch.cos(k * x + u)
                    model.W_E[1, :, neuron] = torch.cos(k * x + v)
                    model.W_U[neuron] = 2 * gain / GRID**2 * torch.cos(k * x + u + v)
                    neuron += 1
    return model


def one_operand(model: gi.HookedMLP, k: int, gain: float) -> None:
    """Add gain cos(2 w_k a) to the logits of class 0 and take it from class 1, by two neurons."""
    x = 2 * math.pi * torch.arange(P, dtype=torch.float64) / P
    with torch.no_grad():
        model.W_E[0, :, -2], model.W_E[0, :, -1] = torch.cos(k * x), torch.sin(k * x)
        for neuron, sign in ((-2, 1.0), (-1, -1.0)):
            model.W_U[neuron, 0], model.W_U[neuron, 1] = sign * gain, -sign * gain


def run_of(models: Mapping[int, gi.HookedMLP], last: gi.HookedMLP, **training: object) -> gi.Run:
    """A run of 50 steps with these networks as checkpoints, by step, and ``last`` at its end."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, train_fraction=0.6, corruption=0.2),
        model=gi.MLPConfig(d_mlp=last.cfg.d_mlp),
        training=gi.TrainConfig(steps=50, **training),  # pyright: ignore[reportArgumentType]
    )
    run = gi.train(config, device="cpu", progress=False)
    kept = {
        f"at_{step}": Checkpoint(step, {}, model.state_dict()) for step, model in models.items()
    }
    return dataclasses.replace(run, model=last.eval(), checkpoints=kept)
