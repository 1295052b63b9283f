"""Pruning curves against networks whose neurons really are taken out, one set at a time."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import grokinterp as gi
from probes import subset_scores
from probes.pruning_curve import pruning_curve
from tests.analyses.one_run.pruned_networks import PATH, WIDTH, masks, scores, with_zeroed_weights
from tests.tolerance import rounding


def test_a_loss_that_float32_rounds_to_zero_is_kept() -> None:
    """The network of closed form, so sure of itself that float32's cross-entropies are all 0."""
    model, data = gi.closed_form_mlp(11, 200), gi.make_dataset(gi.DataConfig(p=11))
    with torch.no_grad():
        model.W_U.mul_(65.0)
        logits = model(data.tokens)
        want = F.cross_entropy(logits.double(), data.labels, reduction="none")[data.is_train].mean()
        losses = pruning_curve(model, data, torch.arange(200), loss="cross_entropy")[1]
    assert 0 < float(want) < 1e-9
    # a logarithm of the loss has the logits' rounding errors: of 200 terms and size 100
    assert float(losses[0, 0]) == pytest.approx(float(want), rel=1e-2)


@pytest.fixture(
    scope="module",
    params=["square-mse", "square-cross_entropy", "relu-mse", "gelu-cross_entropy"],
)
def trained(request: pytest.FixtureRequest) -> gi.Run:
    act, loss = request.param.split("-")
    config = gi.RunConfig(
        data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3, seed=1),
        model=gi.MLPConfig(d_mlp=WIDTH, act=act),
        training=gi.TrainConfig(steps=100, loss=loss),
    )
    return gi.train(config, device="cpu", progress=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # shows that gaps are rounding
def test_curve_is_the_network_with_neurons_taken_out(trained: gi.Run, dtype: torch.dtype) -> None:
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    model, data = copy.deepcopy(trained.model).to(dtype), trained.dataset
    loss = trained.config.training.loss
    accuracies, losses = pruning_curve(model, data, order, loss=loss)
    assert accuracies.shape == losses.shape == (WIDTH + 1, 5)
    assert accuracies.dtype == losses.dtype == torch.float64
    for removed in range(WIDTH + 1):
        gone = order[:removed]
        with torch.no_grad():
            ablated = model.run_with_hooks(data.tokens, fwd_hooks=gi.ablate(gone))
            zeroed = with_zeroed_weights(model, gone)(data.tokens)
        for logits in (ablated, zeroed):
            accuracy, value = scores(logits, data, loss)
            assert accuracies[removed].tolist() == accuracy
            gap = rounding(dtype, PATH, max(value))
            np.testing.assert_allclose(losses[removed], value, rtol=0, atol=gap)


def test_losses_of_large_logits_are_finite(corrupted_run: gi.Run) -> None:
    """A network that diverges slowly: its logits fit in float32, their squares do not."""
    model, data = copy.deepcopy(corrupted_run.model), corrupted_run.dataset
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 2.0**30
        logits = model(data.tokens)
    assert logits.isfinite().all()
    assert logits.square().isinf().any()
    order = torch.arange(WIDTH)
    _, losses = pruning_curve(model, data, order)
    for removed in range(WIDTH):
        with torch.no_grad():
            exact = with_zeroed_weights(model, order[:removed]).double()(data.tokens)
        value = scores(exact, data, "mse")[1]
        gap = rounding(torch.float32, PATH, max(value))
        np.testing.assert_allclose(losses[removed], value, rtol=0, atol=gap)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_curve_does_not_depend_on_how_the_pairs_are_dealt_out(loss: str, threads: int) -> None:
    p, width = 41, 6  # 1681 pairs, more than one worker takes at a time
    data = gi.make_dataset(gi.DataConfig(p=p, corruption=0.5))
    assert data.is_selected.sum() > data.is_changed.sum()  # some kept the true label
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=width), p=p, seed=2)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.set_num_threads(threads)
    accuracies, losses = pruning_curve(model, data, order, loss=loss)
    assert torch.get_num_threads() == threads
    for removed in range(width + 1):
        with torch.no_grad():
            logits = with_zeroed_weights(model, order[:removed])(data.tokens)
        accuracy, value = scores(logits, data, loss)
        assert accuracies[removed].tolist() == accuracy
        gap = rounding(torch.float32, width + p + p**2, max(value))
        np.testing.assert_allclose(losses[removed], value, rtol=0, atol=gap)


@pytest.mark.parametrize(("loss", "silence"), [("mse", 1 / 11), ("cross_entropy", np.log(11))])
def test_an_empty_network_answers_class_0(corrupted_run: gi.Run, loss: str, silence: float) -> None:
    data = corrupted_run.dataset
    accuracies, losses = pruning_curve(corrupted_run.model, data, torch.arange(WIDTH), loss=loss)
    zeros = [(data.labels[mask] == 0).double().mean().item() for mask in masks(data)]
    assert accuracies[-1].tolist() == pytest.approx(zeros)
    assert losses[-1].tolist() == pytest.approx([silence] * 5)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_collapsed_network_answers_class_0_throughout(corrupted_run: gi.Run, loss: str) -> None:
    model, data = with_zeroed_weights(corrupted_run.model, torch.arange(WIDTH)), corrupted_run
    accuracies, losses = pruning_curve(model, data.dataset, torch.arange(WIDTH), loss=loss)
    expected = scores(torch.zeros(121, 11), data.dataset, loss)
    np.testing.assert_allclose(accuracies, [expected[0]] * (WIDTH + 1))
    gap = rounding(torch.float32, PATH, max(expected[1]))
    np.testing.assert_allclose(losses, [expected[1]] * (WIDTH + 1), rtol=0, atol=gap)


def test_a_largest_logit_of_zero_is_an_answer_like_any_other(corrupted_run: gi.Run) -> None:
    model = copy.deepcopy(corrupted_run.model)
    with torch.no_grad():
        model.W_U.copy_(-model.W_U.abs() - 0.1)
        model.W_U[:, 3] = 0  # every other logit is negative
    data, order = corrupted_run.dataset, torch.arange(WIDTH)
    accuracies, _ = pruning_curve(model, data, order)
    assert accuracies[0, 0] == subset_scores(model, data)["train"]["accuracy"] > 0


@pytest.mark.parametrize(
    "halvings",
    [
        20,
        38,
    ],
)
def test_answers_do_not_depend_on_the_size_of_the_weights(
    corrupted_run: gi.Run, halvings: int
) -> None:
    # As in a collapse: 2 ** -38 is 4e-12, and the cube of a weight is still a float32.
    small = copy.deepcopy(corrupted_run.model)
    with torch.no_grad():
        for weight in small.parameters():
            weight.mul_(2.0**-halvings)
    data, order = corrupted_run.dataset, torch.arange(WIDTH)
    expected, _ = pruning_curve(corrupted_run.model, data, order)
    found, _ = pruning_curve(small, data, order)
    assert found[0, 0] == subset_scores(small, data)["train"]["accuracy"] > 0.9
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "order",
    [
        torch.arange(WIDTH - 1),
        torch.arange(WIDTH) - 1,
        torch.arange(WIDTH) + 1,
        torch.zeros(WIDTH).long(),
    ],
)
def test_orders_that_are_no_permutation_are_refused(corrupted_run: gi.Run, order: Tensor) -> None:
    with pytest.raises(ValueError, match=r"order must be a permutation of 0\.\.23"):
        pruning_curve(corrupted_run.model, corrupted_run.dataset, order)


def test_a_diverged_network_has_no_accuracy(corrupted_run: gi.Run) -> None:
    model = copy.deepcopy(corrupted_run.model)
    with torch.no_grad():
        model.W_U[3] = torch.inf
    accuracies, _ = pruning_curve(model, corrupted_run.dataset, torch.arange(WIDTH))
    assert accuracies[:4].isnan().all()
    assert accuracies[4:].isfinite().all()
