"""Hook functions keep the arguments they were made with, whatever happens to these afterwards."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from grokinterp import HookedMLP, MLPConfig, ablate, filtered_embedding, patch, scale
from grokinterp.frequencies import replaced_embedding
from tests.networks import all_pairs

P, WIDTH = 7, 12
TOKENS = all_pairs(P)
POST = "layers.0.hook_post"


@pytest.fixture
def model() -> HookedMLP:
    config = MLPConfig(d_mlp=WIDTH, init="standard")
    return HookedMLP(config, p=P, seed=8).double().requires_grad_(False)


def without(model: HookedMLP, neuron: int) -> Tensor:
    """Logits of the network whose neuron has no output weights."""
    post = (model.W_E[0][TOKENS[:, 0]] + model.W_E[1][TOKENS[:, 1]]).square()
    return post @ model.W_U - post[:, [neuron]] * model.W_U[neuron]


def test_hooks_collected_in_a_loop_over_one_mask(model: HookedMLP) -> None:
    mask, collected = torch.zeros(WIDTH, dtype=torch.bool), []
    for neuron in range(WIDTH):
        mask.fill_(False)
        mask[neuron] = True
        collected.append(ablate(mask))
    for neuron, hooks in enumerate(collected):
        logits = model.run_with_hooks(TOKENS, fwd_hooks=hooks)
        torch.testing.assert_close(logits, without(model, neuron), rtol=0, atol=1e-12)


def values(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


CHANGED = pytest.mark.parametrize(
    ("argument", "make", "change"),
    [
        (
            torch.arange(WIDTH) < 3,
            lambda mask: ablate(mask),
            lambda mask: mask.logical_not_(),
        ),
        (torch.tensor([1, 4]), lambda index: ablate(index, "mean"), lambda index: index.fill_(2)),
        ([1, 4], lambda index: ablate(index, "resample"), lambda index: index.append(7)),
        ([True] * 3 + [False] * 9, lambda mask: scale(mask, 2.0), lambda mask: mask.reverse()),
        (np.array([1, 4]), lambda index: ablate(index), lambda index: index.fill(2)),
        (
            values(3, WIDTH),
            lambda reference: ablate([0, 5], "mean", reference=reference),
            lambda reference: reference.zero_(),
        ),
        (
            values(3, WIDTH),
            lambda reference: ablate([0, 5], "resample", reference=reference),
            lambda reference: reference.zero_(),
        ),
        (values(2), lambda factor: scale([0, 5], factor), lambda factor: factor.zero_()),
        (torch.tensor(3.0), lambda factor: scale([0, 5], factor), lambda factor: factor.zero_()),
        (
            {POST: values(len(TOKENS), WIDTH)},
            lambda cache: patch(cache, [POST]),
            lambda cache: cache[POST].zero_(),
        ),
        (
            {POST: values(len(TOKENS), WIDTH)},
            lambda cache: patch(cache, [POST]),
            lambda cache: cache.update({POST: values(len(TOKENS), WIDTH) - 1}),
        ),
        (
            {POST: values(len(TOKENS), WIDTH)},
            lambda cache: patch(cache, [POST]),
            lambda cache: cache.clear(),
        ),
    ],
    ids=[
        "mask", "indices", "list", "list as mask", "NumPy", "mean reference", "resample reference",
        "factors", "factor", "cached tensor", "other cached tensor", "emptied cache",
    ],
)  # fmt: skip


@CHANGED
def test_a_change_after_making_the_hook_changes_nothing(
    model: HookedMLP, argument: Any, make: Callable[[Any], Any], change: Callable[[Any], Any]
) -> None:
    argument = copy.deepcopy(argument)  # the parameter itself stays as it is
    hooks = make(argument)
    before = model.run_with_hooks(TOKENS, fwd_hooks=hooks)
    assert not torch.equal(before, model(TOKENS))
    change(argument)
    assert torch.equal(model.run_with_hooks(TOKENS, fwd_hooks=hooks), before)


def test_one_cache_filled_again_and_again(model: HookedMLP) -> None:
    """As when a caching hook writes every batch into the same dict."""
    cache, collected, answers = {}, [], []
    for shift in range(3):
        other = (TOKENS + shift) % P
        model.add_caching_hooks(POST, cache=cache)
        answers.append(model(other))
        model.reset_hooks()
        collected.append(patch(cache, [POST]))
    for hooks, expected in zip(collected, answers, strict=True):
        assert torch.equal(model.run_with_hooks(TOKENS, fwd_hooks=hooks), expected)


def test_frequencies_and_tables_are_read_when_the_context_is_made(model: HookedMLP) -> None:
    """Not when it is entered: contexts are collected, too."""
    frequencies, order = [1], torch.arange(P)
    table = model.W_E.clone().zero_()
    with filtered_embedding(model, [1]):
        expected = model(TOKENS)
    contexts = [
        filtered_embedding(model, frequencies, order=order),
        replaced_embedding(model, {"W_E[0]": table[0], "W_E[1]": table[1]}),
    ]
    frequencies[0] = 2
    order.copy_(order.flip(0).roll(3))
    table.fill_(1.0)
    found = []
    for context in contexts:
        with ExitStack() as stack:
            stack.enter_context(context)
            found.append(model(TOKENS))
    assert torch.equal(found[0], expected)
    assert not found[1].any()  # all vectors are zero
