"""Dropout in the hand-written passes is the hooked model's with masks as hooks."""

import itertools
from functools import partial
from typing import Any

import pytest
import torch

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.training.dropout import Dropout, Masks, dropout_mask
from grokinterp.training.passes.mlp_kernel import MLPKernel

STEP, PRE = 3, "layers.0.hook_pre"
DROPOUT_PLACES = gi.HookedMLP.dropout_places
BY_HAND = [name for name, loss in LOSSES.items() if loss.residual_ is not None]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.7, corruption=0.3),
    model=gi.MLPConfig(d_mlp=18, init="lazy"),  # 18: the last word of a row is half used
    training=gi.TrainConfig(dropout=0.3),
    seed=5,
)


pytestmark = pytest.mark.usefixtures("one_thread", "small_blocks")


def kernel_gradients(
    config: gi.RunConfig, dtype: torch.dtype, low: torch.dtype, pieces: int = 1
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of the trainer's passes, the training set dealt out in pieces."""
    weights = {n: w.detach() for n, w in gi.build_model(config).to(dtype).named_parameters()}
    data = gi.make_dataset(config.data)
    tokens, labels = data.tokens[data.is_train], data.labels[data.is_train]
    kernel = MLPKernel(
        config.model, config.data.p, config.training.loss, dtype=dtype, matmul_dtype=low
    )
    loss = torch.zeros((), dtype=dtype)
    total = {name: torch.zeros_like(w) for name, w in weights.items()}
    start = 0
    for some, given in zip(tokens.tensor_split(pieces), labels.tensor_split(pieces), strict=True):
        grads = {name: torch.empty_like(w) for name, w in weights.items()}
        batch = kernel.batch(some, given, len(tokens), start)
        loss += kernel.gradients(weights, grads, batch, Dropout.of(config), STEP)
        for name in weights:
            total[name] += grads[name]
        start += len(some)
    return loss, total


def autograd_gradients(
    config: gi.RunConfig, dtype: torch.dtype
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The same through the hooked model, its masks as hooks."""
    model = gi.build_model(config).to(dtype)
    data = gi.make_dataset(config.data)
    hooks: list[Any] = [
        (
            hook,
            partial(
                lambda activation, hook, mask: activation * mask,
                mask=dropout_mask(config, step=STEP, hook=hook, dtype=dtype),
            ),
        )
        for hook in gi.HookedMLP.dropout_points(config.model, config.training.dropout_at)
    ]
    logits = model.run_with_hooks(data.tokens[data.is_train], fwd_hooks=hooks)
    loss = LOSSES[config.training.loss].per_example(logits, data.labels[data.is_train]).mean()
    names, parameters = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, parameters)
    return loss.detach(), dict(zip(names, grads, strict=True))


def assert_near(
    got: tuple[torch.Tensor, dict[str, torch.Tensor]],
    want: tuple[torch.Tensor, dict[str, torch.Tensor]],
    tolerance: float,
) -> None:
    assert abs(got[0] / want[0] - 1) < tolerance
    for name, grad in want[1].items():
        assert (got[1][name] - grad).norm() < tolerance * grad.norm(), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", BY_HAND)
@pytest.mark.parametrize("place", DROPOUT_PLACES)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("act", ["square", "relu", "gelu"])
def test_gradients_are_autograds_under_the_same_masks(
    act: str, depth: int, place: str, loss: str, dtype: torch.dtype
) -> None:
    network = {"model.act": act, "model.n_layers": depth}
    config = CONFIG.replace(network | {"training.loss": loss, "training.dropout_at": place})
    want = autograd_gradients(config, dtype)
    assert_near(kernel_gradients(config, dtype, dtype), want, TOLERANCE[dtype])
    assert_near(kernel_gradients(config, dtype, dtype, pieces=3), want, TOLERANCE[dtype])


@pytest.mark.parametrize("place", DROPOUT_PLACES)
@pytest.mark.parametrize("depth", [1, 2])
def test_bfloat16_products_stay_within_their_precision(depth: int, place: str) -> None:
    config = CONFIG.replace({"model.n_layers": depth, "training.dropout_at": place})
    got = kernel_gradients(config, torch.float32, torch.bfloat16)
    want = kernel_gradients(config, torch.float32, torch.float32)
    assert not torch.equal(got[1]["W_U"], want[1]["W_U"])
    assert_near(got, want, 2e-2)


def test_without_dropout_there_is_no_mask() -> None:
    none = CONFIG.replace({"training.dropout": 0.0})
    assert Dropout.of(none) is None
    with pytest.raises(ValueError, match="nothing is dropped"):
        dropout_mask(none, step=0, hook=PRE)


def test_training_activations_of_the_square_are_the_evaluations_over_one_minus_p() -> None:
    """E[(m x)^2] = x^2 / (1 - p) for a mask before the square; each neuron within six sigma."""
    model, data = gi.build_model(CONFIG).double(), gi.make_dataset(CONFIG.data)
    tokens = data.tokens[data.is_train]
    steps, seen = 100, []
    plain = model.run_with_cache(tokens)[1]["layers.0.hook_post"].detach()
    for step in range(steps):
        mask = dropout_mask(CONFIG, step=step, hook=PRE, dtype=torch.float64)
        hooks = [
            ("layers.0.hook_pre", lambda activation, hook, mask=mask: activation * mask),
            ("layers.0.hook_post", lambda activation, hook: seen.append(activation.detach())),
        ]
        model.run_with_hooks(tokens, fwd_hooks=hooks)
    ratio = torch.stack(seen).mean(dim=0) / plain
    sigma = (0.3 * 0.7) ** 0.5 / 0.7**2 / steps**0.5  # of a mean of squared masks: 0 or 1 / 0.49
    assert abs(float(ratio.mean()) - 1 / 0.7) < 5 * sigma / ratio.numel() ** 0.5
    assert float((ratio - 1 / 0.7).abs().max()) < 6 * sigma


@pytest.mark.parametrize("rate", [1e-5, 0.1, 0.5, 0.9, 1 - 1e-9])
def test_a_mask_has_mean_one_and_drops_at_its_rate(rate: float) -> None:
    config = CONFIG.replace({"training.dropout": rate, "model.d_mlp": 5000})
    dropout = Dropout.of(config)
    assert dropout is not None
    kept = 1 - dropout.level / 65536
    assert dropout.scale * kept == pytest.approx(1, abs=1e-15)
    assert 1 - kept == pytest.approx(rate, abs=1 / 65536)
    mask = dropout_mask(config, step=0, hook=PRE, dtype=torch.float64)
    assert set(mask.unique().tolist()) <= {0.0, dropout.scale}
    error = ((1 - kept) * kept / mask.numel()) ** 0.5
    assert abs(float((mask > 0).double().mean()) - kept) < 5 * error


def test_masks_are_functions_of_example_step_layer_and_seed_alone() -> None:
    config = CONFIG.replace({"model.n_layers": 2})
    mask = dropout_mask(config, step=1, hook="layers.1.hook_pre")
    assert torch.equal(dropout_mask(config, step=1, hook="layers.1.hook_pre"), mask)
    dropout = Dropout.of(config)
    assert dropout is not None
    few = Masks(7, dropout, dtype=torch.float32, device=torch.device("cpu"))
    for start in range(0, 84, 7):
        drawn = few.draw(dropout, step=1, layer=1, start=start, count=7)
        assert torch.equal(drawn, mask[start : start + 7])
    wd = config.replace({"training.weight_decay": 3.0, "training.lr": 1.0})
    assert torch.equal(dropout_mask(wd, step=1, hook="layers.1.hook_pre"), mask)
    larger = config.replace({"data.train_fraction": 0.9})  # the first examples keep their masks
    assert torch.equal(dropout_mask(larger, step=1, hook="layers.1.hook_pre")[:84], mask)


def test_masks_of_neighbours_are_independent() -> None:
    config = CONFIG.replace({"model.n_layers": 2, "model.d_mlp": 999})

    def mask(seed: int, step: int, layer: int) -> torch.Tensor:
        drawn = config.replace({"seed": seed})
        return (dropout_mask(drawn, step=step, hook=f"layers.{layer}.hook_pre") > 0).double()

    here, *others = (mask(*at) for at in itertools.product((0, 1), repeat=3))
    others += [here.roll(1, dims=0), here.roll(1, dims=1), here.roll(4, dims=1)]
    for other in others:
        both = torch.stack([here.flatten(), other.flatten()])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / here.numel() ** 0.5


def test_impossible_masks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hook='layers\.1\.hook_pre' is unknown"):
        dropout_mask(CONFIG, step=0, hook="layers.1.hook_pre")
    with pytest.raises(ValueError, match="step must be at least 0, the first update, got -1"):
        dropout_mask(CONFIG, step=-1, hook=PRE)
