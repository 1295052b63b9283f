"""Gradient symmetricity against angles known in advance and against gradients of the weights."""

import itertools
import random
from typing import Any

import pytest
import torch
from scipy.stats import sem
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.hooked_module import HookedModule
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from probes import network_on_pairs
from probes.symmetricity import gradient_symmetricity, published_triples
from tests.networks import native_transformer

P = 5


class Bilinear(HookedRootModule):
    """logit_c = W[c, 0] . E_a + W[c, 1] . E_b: the gradients are W's rows, whatever a and b are."""

    def __init__(self, W: Tensor) -> None:
        super().__init__()
        self.W_E = nn.Parameter(torch.ones(P + 1, W.shape[-1], dtype=W.dtype))
        self.W = nn.Parameter(W)
        self.hook_embed = HookPoint()
        self.setup()

    def forward(self, tokens: Tensor) -> Tensor:
        embed = self.hook_embed(self.W_E[tokens])
        assert tokens.shape[1] == 3
        return torch.einsum("bod,cod->bc", embed[:, 1:], self.W)


def bilinear(W: Tensor) -> Any:
    return network_on_pairs(Bilinear(W), p=P, prompt="= a b")


def test_angles_by_hand() -> None:
    angles = torch.tensor([0.0, 60.0, 90.0, 180.0, 45.0], dtype=torch.float64).deg2rad()
    first = torch.tensor([2.0, 0.0], dtype=torch.float64).expand(P, 2)
    second = 3 * torch.stack([angles.cos(), angles.sin()], dim=1)
    found = gradient_symmetricity(bilinear(torch.stack([first, second], dim=1)))
    by_class = found.cosines.view(P, P, P)
    expected = torch.tensor([1.0, 0.5, 0.0, -1.0, 0.5**0.5], dtype=torch.float64)
    torch.testing.assert_close(by_class, expected.expand(P, P, P), rtol=0, atol=1e-14)
    assert found.value == pytest.approx((0.5 + 0.5**0.5) / 5, abs=1e-14)
    assert (found.n_triples, found.n_left_out, found.standard_error) == (P**3, 0, 0.0)


def test_zero_gradients_are_left_out_and_counted() -> None:
    W = torch.ones(P, 2, 3, dtype=torch.float64)
    W[0, 1] = 0.0
    W[1] = 0.0
    found = gradient_symmetricity(bilinear(W))
    assert found.value == pytest.approx(1.0, abs=1e-14)
    assert (found.n_triples, found.n_left_out) == (3 * P**2, 2 * P**2)
    nothing = gradient_symmetricity(bilinear(0 * W))
    assert nothing.value != nothing.value
    assert nothing.n_triples == 0


def test_the_published_triples() -> None:
    triples = list(itertools.product(range(59), repeat=3))
    random.Random(42).shuffle(triples)
    assert published_triples(59).tolist() == [list(triple) for triple in triples[:100]]
    assert len(published_triples(3)) == 27


def networks() -> list[Any]:
    transformer = TransformerConfig(d_model=8, n_heads=2, n_layers=2, normalization_type="LN")
    mlp = EmbeddingMLPConfig(d_embed=6, hidden=(9,), prompt="a + b =")
    return [
        HookedTransformer(transformer, p=P, seed=1),
        HookedLSTM(LSTMConfig(d_embed=6, d_hidden=8), p=P),
        HookedEmbeddingMLP(mlp, p=P),
    ]


@pytest.mark.parametrize("model", networks(), ids=lambda model: type(model).__name__)
def test_against_gradients_of_the_embedding_matrix(model: Any) -> None:
    model = model.double().train()
    triples = torch.tensor([[0, 1, 2], [3, 2, 2], [4, 0, 1], [0, 4, 4], [1, 3, 0]])
    expected = []
    for a, b, c in triples.tolist():  # a and b differ: each has a row of W_E to itself
        logit = model(torch.tensor([[a, b]]))[0, c]
        (gradient,) = torch.autograd.grad(logit, model.W_E)
        expected.append(torch.cosine_similarity(gradient[a], gradient[b], dim=0))
    before = torch.get_rng_state()
    found = gradient_symmetricity(model, triples=triples, hook="hook_embed")
    torch.testing.assert_close(found.cosines, torch.stack(expected), rtol=0, atol=1e-10)
    assert found.standard_error == pytest.approx(sem(torch.stack(expected).numpy()), rel=1e-8)
    whole = gradient_symmetricity(model, hook="hook_embed").cosines.view(P, P, P)
    torch.testing.assert_close(whole[tuple(triples.T)], found.cosines, rtol=0, atol=1e-12)
    # A probe only reads.
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.hook_embed.has_hooks()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_adds_first_is_symmetric() -> None:
    config = EmbeddingMLPConfig(d_embed=6, hidden=(9,), combine="sum")
    added = HookedEmbeddingMLP(config, p=P)
    assert gradient_symmetricity(added).value == pytest.approx(1.0, abs=1e-6)
    tables = gi.closed_form_mlp(p=P, d_mlp=20)
    found = gradient_symmetricity(tables, hook="hook_embed")  # the two are added at this point
    assert found.value == pytest.approx(1.0, abs=1e-6)


class TwoTables(HookedRootModule):
    """An MLP on two embeddings side by side, each from a table of its own."""

    def __init__(self, W_E: Tensor, W_in: Tensor, W_U: Tensor) -> None:
        super().__init__()
        self.W_E, self.W_in, self.W_U = (nn.Parameter(weight) for weight in (W_E, W_in, W_U))
        self.hook_embed = HookPoint()
        self.setup()

    def forward(self, tokens: Tensor) -> Tensor:
        tables = torch.stack([self.W_E[0][tokens[:, 0]], self.W_E[1][tokens[:, 1]]], dim=1)
        pre = torch.einsum("bod,odn->bn", self.hook_embed(tables), self.W_in)
        return torch.relu(pre) @ self.W_U


def test_where_operands_have_weights_of_their_own_the_angle_is_one_of_bases() -> None:
    rng = torch.Generator().manual_seed(4)
    shapes = [(2, P, 6), (2, 6, 40), (40, P), (6, 6)]
    W_E, W_in, W_U, change = (torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes)
    change = torch.linalg.qr(change).Q
    moved = torch.stack([W_E[0], W_E[1] @ change]), torch.stack([W_in[0], change.T @ W_in[1]])
    one, same = (
        network_on_pairs(TwoTables(embed, read, W_U), p=P, prompt="a b")
        for embed, read in ((W_E, W_in), moved)
    )
    torch.testing.assert_close(one.logits(), same.logits(), rtol=0, atol=1e-12)
    values = [gradient_symmetricity(model, hook="hook_embed").value for model in (one, same)]
    assert abs(values[0] - values[1]) > 0.05  # the same function
    for model in (one, same):
        found = gradient_symmetricity(model)
        assert found.value != found.value
        assert found.n_triples == 0
        assert "input weights of its own" in found.not_applicable


@pytest.mark.parametrize(
    ("model", "applies"),
    [
        (HookedTransformer(TransformerConfig(d_model=8, n_heads=2), p=P), True),
        (HookedLSTM(LSTMConfig(d_embed=6, d_hidden=8), p=P), True),
        (HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=6, combine="sum"), p=P), True),
        (HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=6, combine="concat"), p=P), False),
        (gi.HookedMLP(gi.MLPConfig(d_mlp=8), p=P), False),
    ],
)
def test_which_networks_have_a_symmetricity(model: Any, applies: bool) -> None:
    found = gradient_symmetricity(model, triples=10)
    assert bool(found.n_triples) is applies
    assert (found.not_applicable == "") is applies


def test_random_triples_are_a_fair_sample() -> None:
    rng = torch.Generator().manual_seed(0)
    model = bilinear(torch.randn(P, 2, 3, generator=rng, dtype=torch.float64))
    whole = gradient_symmetricity(model)
    assert not gradient_symmetricity(model, triples=P**3).is_sample  # as many as there are
    seeds = [gradient_symmetricity(model, triples=100, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(seeds[0].cosines, seeds[1].cosines)
    assert not torch.equal(seeds[0].cosines, seeds[2].cosines)
    for found in seeds[1:]:
        assert found.is_sample
        assert len(found.cosines) == 100
        # Cosines have a standard deviation of at most 1.
        assert 0 < found.standard_error <= 0.1
        assert found.value == pytest.approx(whole.value, abs=4 * found.standard_error)


def test_a_tied_readout_is_no_operand() -> None:
    config = {"d_model": 8, "n_heads": 2, "prompt": "a b"}
    tied = HookedTransformer(TransformerConfig(**config, tie_embedding=True), p=P).double()
    free = HookedTransformer(TransformerConfig(**config), p=P).double()
    free.load_state_dict(tied.state_dict() | {"unembed.W_U": tied.W_U.detach()})
    found, expected = (gradient_symmetricity(model).cosines for model in (tied, free))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_other_peoples_networks() -> None:
    bridge = native_transformer(P)
    found = gradient_symmetricity(network_on_pairs(bridge, p=P, prompt="a b ="))
    assert found.n_triples == P**3
    linear = nn.Linear(8, P)
    wrapped = HookedModule(nn.Sequential(nn.Embedding(P, 4), nn.Flatten(), linear), p=P)
    with pytest.raises(ValueError, match=r"hook='hook_embed' is no hook point of HookedModule"):
        gradient_symmetricity(wrapped)
    found = gradient_symmetricity(wrapped, hook="0.hook_out")
    weight = linear.weight.detach().view(P, 2, 4)
    expected = torch.cosine_similarity(weight[:, 0], weight[:, 1], dim=1).double()
    torch.testing.assert_close(found.cosines.view(-1, P)[7], expected, rtol=0, atol=1e-6)


def test_refusals(no_type_checker: None) -> None:
    model = HookedTransformer(TransformerConfig(d_model=8, n_heads=2), p=P)
    for triples, message in (
        ("some", "triples='some' must be 'all', 'published', a number or a tensor"),
        (1, "triples must be at least 2, got 1"),
        (torch.zeros(4, 2, dtype=torch.int64), r"integer tensor \[triple, 3\].*\[4, 2\]"),
        (torch.tensor([[0, 1, P]]), r"residues 0\.\.4, got 0 to 5; take them mod p"),
    ):
        with pytest.raises(ValueError, match=message):
            gradient_symmetricity(model, triples=triples)
    with pytest.raises(ValueError, match=r"must see embeddings \[batch, position, d\]"):
        gradient_symmetricity(model, hook="blocks.0.attn.hook_pattern")
    with torch.no_grad():
        model.W_E.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite; the network has diverged"):
        gradient_symmetricity(model)
