"""Training with dropout and noise is torch's AdamW on the hooked model, run by run."""

from functools import partial

import numpy as np
import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.randomness import fill_normal_, stream
from grokinterp.training.dropout import dropout_mask
from grokinterp.training.noise import noise

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=18),
    training=gi.TrainConfig(steps=30, eval_every=15, weight_decay=1.0),
)
CHANGES: list[dict[str, object]] = [
    {},
    {"training.dropout": 0.3},
    {"training.dropout": 0.6, "training.dropout_at": "post", "seed": 1, "training.lr": 3e-3},
    {"training.weight_noise": 0.05, "data.train_fraction": 0.8},
    {"training.update_noise": 0.5, "seed": 3, "training.lr": 2e-2},
    {"training.dropout": 0.1, "training.weight_noise": 0.02, "training.update_noise": 0.1},
    {"training.decay": "jiggle", "training.weight_decay": 3.0, "seed": 4},
]
NOISY = CHANGES[-2]
DEEP: dict[str, object] = {
    "model.n_layers": 2,
    "model.act": "gelu",
    "model.init": "lazy",
    "training.loss": "cross_entropy",
}


pytestmark = pytest.mark.usefixtures("one_thread")


def train(configs: list[gi.RunConfig], precision: str = "float64") -> list[gi.Run]:
    return gi.train_many(configs, precision=precision, device="cpu", progress=False)


def plain_loop(config: gi.RunConfig) -> gi.HookedModel:
    """Autograd through the hooked model under masks, and torch's optimiser; float64."""
    model, data, t = gi.build_model(config).double(), gi.make_dataset(config.data), config.training
    tokens, labels = data.tokens[data.is_train], data.labels[data.is_train]
    parameters = list(model.parameters())
    size = sum(w.numel() for w in parameters)
    jiggle = t.decay == "jiggle"
    optimizer = torch.optim.AdamW(
        parameters,
        lr=t.lr,
        betas=t.betas,
        eps=t.eps,
        weight_decay=0.0 if jiggle else t.weight_decay,
    )

    def add(flat: torch.Tensor) -> None:
        with torch.no_grad():
            for w, piece in zip(
                parameters, flat.split([w.numel() for w in parameters]), strict=True
            ):
                w.add_(piece.view_as(w))

    for step in range(t.steps):
        hooks = []
        for name in gi.HookedMLP.dropout_points(config.model, t.dropout_at) if t.dropout else ():
            mask = dropout_mask(config, step=step, hook=name, dtype=torch.float64)
            hook = partial(lambda activation, hook, mask: activation * mask, mask=mask)
            hooks.append((name, hook))
        clean = [w.detach().clone() for w in parameters]
        add(noise(config, "weight_noise", size, step=step, dtype=torch.float64))
        optimizer.zero_grad()
        logits = model.run_with_hooks(tokens, fwd_hooks=hooks)
        LOSSES[t.loss].per_example(logits, labels).mean().backward()
        with torch.no_grad():
            for w, kept in zip(parameters, clean, strict=True):
                w.copy_(kept)
            if jiggle:
                drawn = torch.empty(len(parameters), dtype=torch.float64)
                fill_normal_(drawn, stream(config.seed, "jiggle", step))
                for w, z in zip(parameters, drawn, strict=True):
                    w.mul_((t.lr * t.weight_decay * z).exp())
        optimizer.step()
        add(-t.lr * noise(config, "update_noise", size, step=step, dtype=torch.float64))
    return model


def assert_same(got: gi.HookedModel, want: gi.HookedModel, rtol: float = 1e-7) -> None:
    for (name, one), other in zip(got.named_parameters(), want.parameters(), strict=True):
        difference = (one - other).detach().norm() / other.detach().norm()
        assert float(difference) < rtol, name


@pytest.mark.parametrize("base", [{}, DEEP | {"training.steps": 8}], ids=["square", "deep"])
def test_a_stack_of_different_noises_is_the_plain_loop_run_by_run(base: dict[str, object]) -> None:
    configs = [SMALL.replace(base | change) for change in CHANGES]
    together = train(configs)
    for config, run, alone in zip(configs, together, map(plain_loop, configs), strict=True):
        assert_same(run.model, alone)
        assert_same(train([config])[0].model, alone)
    for run, reverse in zip(together, train(configs[::-1])[::-1], strict=True):
        assert_same(run.model, reverse.model)
    norms = {round(float(run.model.W_U.detach().norm()), 9) for run in together}
    assert len(norms) == len(CHANGES)  # every setting has an effect


@pytest.mark.parametrize("threads", [2, 3])
def test_noise_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    configs = [SMALL.replace(change) for change in CHANGES[-2:]]
    one = train(configs)
    torch.set_num_threads(threads)
    for run, other in zip(train(configs), one, strict=True):
        assert_same(run.model, other.model)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_noise_is_the_same_in_lower_precision(precision: str, tolerance: float) -> None:
    config = SMALL.replace({**NOISY, "training.steps": 5})
    assert_same(train([config], precision)[0].model, train([config])[0].model, tolerance)


def test_evaluation_is_without_noise() -> None:
    run = train([SMALL.replace(NOISY)])[0]
    with torch.no_grad():
        logits = run.model(run.dataset.tokens)
    error = LOSSES["mse"].per_example(logits, run.dataset.labels)
    for name, mask in run.dataset.masks.items():
        want = float(error[mask].mean())
        np.testing.assert_allclose(run.history[f"{name}_loss"][-1], want, rtol=1e-10)


def test_noise_is_standard_normal_times_its_field() -> None:
    config = SMALL.replace({"training.weight_noise": 0.25, "training.update_noise": 2.0})
    for kind, size in (("weight_noise", 0.25), ("update_noise", 2.0)):
        drawn = noise(config, kind, 20_000, step=0)
        assert float(drawn.std()) == pytest.approx(size, rel=0.03)
        assert abs(float(drawn.mean())) < 5 * size / 20_000**0.5
        again = noise(config, kind, 20_000, step=1)
        assert abs(float((drawn * again).mean())) < 5 * size**2 / 20_000**0.5
    one, other = (noise(config, kind, 20_000, step=0) for kind in ("weight_noise", "update_noise"))
    assert abs(float((one * other).mean())) < 5 * 0.5 / 20_000**0.5
    with pytest.raises(ValueError, match="kind='dropout' is unknown"):
        noise(config, "dropout", 5, step=0)
    with pytest.raises(ValueError, match="step must be at least 0, the first update, got -1"):
        noise(config, "weight_noise", 5, step=-1)
