"""An autoencoder in the place of activations, by a hook and in the place of the hook point."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

import grokinterp as gi

HOOK = "blocks.0.mlp.hook_post"


class Autoencoder(nn.Module):
    """Features relu(x W_enc), each with a hook point of its own, and a linear decoder."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(5)
        W = torch.randn(width, features, generator=draw, dtype=torch.float64) / width**0.5
        self.W_enc, self.W_dec = nn.Parameter(W), nn.Parameter(W.T.clone())
        self.hook_code = HookPoint()

    def forward(self, x: Tensor) -> Tensor:
        return self.hook_code(F.relu(x @ self.W_enc)) @ self.W_dec


@pytest.fixture(scope="module")
def run() -> gi.Run:
    model = gi.TransformerConfig(d_model=16, n_heads=2, d_mlp=24)
    training = gi.TrainConfig(steps=150, lr=1e-2, loss="cross_entropy", eval_every=150)
    config = gi.RunConfig(
        data=gi.DataConfig(p=7, train_fraction=0.9), model=model, training=training
    )
    return gi.train(config, precision="float64", progress=False)


def trained(neurons: Tensor, features: int, steps: int) -> Autoencoder:
    made = Autoencoder(neurons.shape[-1], features)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(steps):
        code = F.relu(neurons @ made.W_enc)
        error = (code @ made.W_dec - neurons).square().sum(dim=-1).mean()
        (error + 1e-3 * code.sum(dim=-1).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return made.eval()


def test_a_trained_one_keeps_the_answers_and_is_what_the_network_goes_on_with(run: gi.Run) -> None:
    model, pairs = run.model.double(), run.dataset.tokens
    _, cache = model.run_with_cache(pairs)
    sae = trained(cache[HOOK].detach(), features=48, steps=300)
    hooks: list[Any] = [(HOOK, lambda x, hook: sae(x))]
    with torch.no_grad():
        plain = model(pairs)
        spliced = model.run_with_hooks(pairs, fwd_hooks=hooks)
        raw = model.run_with_hooks(pairs, fwd_hooks=[(HOOK, lambda x, hook: 0 * x)])
    labels = run.dataset.labels
    own, with_it, without = (F.cross_entropy(x, labels).item() for x in (plain, spliced, raw))
    assert with_it - own < 0.1 * (without - own)
    block: Any = model.get_submodule("blocks.0")
    stream = cache["resid_mid", 0] + sae(cache[HOOK]) @ block.mlp.W_out + block.mlp.b_out
    by_hand = stream[:, -1] @ model.W_U + model.b_U  # pyright: ignore[reportOperatorIssue]
    torch.testing.assert_close(spliced, by_hand, rtol=1e-10, atol=1e-10)
    assert torch.equal(model(pairs), plain)  # nothing stays behind


def test_one_in_the_place_of_the_hook_point_has_hooks_of_its_own(run: gi.Run) -> None:
    """As SAELens does; a code that is the neurons themselves has the neurons as its features."""
    model, pairs = run.model.double(), run.dataset.tokens
    with torch.no_grad():
        plain = model(pairs)
        expected = model.run_with_hooks(pairs, fwd_hooks=gi.ablate([3, 8]))
        sae = Autoencoder(24, 24)
        for weight in sae.parameters():
            weight.copy_(torch.eye(24))
        block: Any = model.get_submodule("blocks.0")
        point, block.mlp.hook_post = block.mlp.hook_post, sae
        try:
            assert model.is_hooked  # all positions are computed for it
            torch.testing.assert_close(model(pairs), plain, rtol=1e-10, atol=1e-10)
            handle = sae.hook_code.register_forward_hook(
                lambda module, x, code: code.index_fill(-1, torch.tensor([3, 8]), 0.0)
            )
            torch.testing.assert_close(model(pairs), expected, rtol=1e-10, atol=1e-10)
            handle.remove()
        finally:
            block.mlp.hook_post = point
    assert not model.is_hooked
    assert torch.equal(model(pairs), plain)
