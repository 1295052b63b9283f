"""Changes of a network that must not change what probes say of it, exact to 1e-10 in float64."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from grokinterp.models.base import HookedModel
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.mlp import HookedMLP, MLPConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.tasks import operation_table
from probes import (
    accuracy,
    loss,
    model_logit_spectrum,
    model_neuron_spectra,
    model_table_spectra,
    network_on_pairs,
)
from probes.circularity import model_circularity
from probes.distance import model_distance_irrelevance
from probes.symmetricity import gradient_symmetricity

P = 13
LABELS = operation_table("addition", P).flatten()
TRANSFORMER = TransformerConfig(
    d_model=24, n_heads=2, d_mlp=48, prompt="a b", attention_dir="bidirectional", init="nanda"
)
MLP = MLPConfig(d_mlp=24, n_layers=3, act="relu", init="standard")


@pytest.fixture(scope="module")
def grokked() -> HookedTransformer:
    """A transformer that has learned addition mod 13 from 80 % of the pairs. Only read it."""
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, train_fraction=0.8),
        model=TRANSFORMER,
        training=gi.TrainConfig(steps=300, weight_decay=1.0, loss="cross_entropy", eval_every=100),
    )
    model = gi.train(config, device="cpu", precision="float64", progress=False).model.double()
    assert isinstance(model, HookedTransformer)
    assert accuracy(network_on_pairs(model).logits(), LABELS) > 0.9
    return model


@pytest.fixture(params=["grokked", "transformer", "mlp", "embedding mlp", "lstm"])
def model(request: pytest.FixtureRequest) -> HookedModel:
    """The trained one, and one of each kind with large random weights."""
    match request.param:
        case "grokked":
            return request.getfixturevalue("grokked")
        case "transformer":
            made = HookedTransformer(TransformerConfig(d_model=16, n_heads=2, n_layers=2), p=P)
        case "mlp":
            made = HookedMLP(MLP, p=P)
        case "embedding mlp":
            made = HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=12, hidden=(20, 18)), p=P)
        case _:
            made = HookedLSTM(LSTMConfig(d_embed=10, d_hidden=12), p=P)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.double().parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng, dtype=torch.float64) / 3)
    return made


def measured(model: Any) -> dict[str, float]:
    """What no change in this file may change."""
    network = network_on_pairs(model)
    logits, tables = network.logits(), model_table_spectra(network, "addition")
    circles = model_circularity(network, "addition")
    # Of MLPs whose operands have input weights of their own, too: no change here is one of bases.
    symmetricity = gradient_symmetricity(network, hook="hook_embed")
    assert (symmetricity.n_triples, symmetricity.n_left_out) == (P**3, 0)
    assert all(circle.is_defined for circle in circles.values())
    return {
        "accuracy": accuracy(logits, LABELS),
        "loss": loss(logits, LABELS, kind="cross_entropy"),
        "symmetricity": symmetricity.value,
        "irrelevance": model_distance_irrelevance(network, "addition"),
        "explained": model_logit_spectrum(network, "addition").explained,
        **{f"circularity of {name}": circle.value for name, circle in circles.items()},
        **{f"total IPR of {name}": table.total_ipr for name, table in tables.items()},
    }


def check_same(after: HookedModel, before: HookedModel) -> None:
    """The same measurements, of another network."""
    assert measured(after) == pytest.approx(measured(before), rel=0, abs=1e-10)


def close(after: Tensor, before: Tensor) -> None:
    torch.testing.assert_close(after, before, rtol=0, atol=1e-10, equal_nan=True)


def changed(model: HookedModel, change: Any) -> Any:
    """A copy with ``change(name, weight)`` in the place of each weight; None keeps it."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if (new := change(name, weight.clone())) is not None:
                weight.copy_(new)
    weights = zip(other.parameters(), model.parameters(), strict=True)
    assert any(not torch.equal(new, old) for new, old in weights)
    return other


@pytest.mark.parametrize("unit", [2, 7])
def test_relabelling_moves_frequencies_and_nothing_else(model: HookedModel, unit: int) -> None:
    called = torch.arange(P) * unit % P

    def rename(name: str, weight: Tensor) -> Tensor | None:
        new = weight.clone()
        match name.split(".")[-1]:
            case "W_E":
                new[..., called, :] = weight[..., :P, :]
            case "W_U" | "b_U":
                new[..., called] = weight[..., :P]
        return new

    other = changed(model, rename)
    pairs = network_on_pairs(model).pairs
    with torch.no_grad():
        close(other(called[pairs])[:, called], model(pairs)[:, :P])
    check_same(other, model)
    moved = torch.arange(1, P // 2 + 1) * pow(unit, -1, P) % P
    to = torch.minimum(moved, P - moved) - 1
    for probe in (model_table_spectra, model_neuron_spectra):
        before, after = probe(model, "addition"), probe(other, "addition")
        for name in before:
            close(after[name].shares[..., to], before[name].shares)
    before, after = (model_logit_spectrum(m, "addition").shares for m in (model, other))
    close(after[to], before)
    assert (after - before).abs().max() > 0.1 * before.max()  # the move can be seen


def test_a_rotation_of_the_residual_stream_moves_the_row_wise_ipr_only(
    model: HookedModel,
) -> None:
    if not isinstance(model, HookedTransformer):
        pytest.skip("only a transformer has a residual stream")
    width = model.cfg.d_model
    random = torch.randn(width, width, generator=torch.Generator().manual_seed(2))
    turn = torch.linalg.qr(random.double()).Q

    def rotate(name: str, weight: Tensor) -> Tensor | None:
        match name.split(".")[-1]:
            case "W_E" | "W_pos" | "W_O" | "b_O" | "W_out" | "b_out":  # write to the stream
                return weight @ turn
            case "W_Q" | "W_K" | "W_V" | "W_in" | "W_U":  # read from it
                return turn.T @ weight
        return None

    other = changed(model, rotate)
    close(network_on_pairs(other).logits(), network_on_pairs(model).logits())
    check_same(other, model)
    before, after = (model_table_spectra(m, "addition")["W_E"] for m in (model, other))
    close(after.shares, before.shares)
    assert abs(after.mean_row_ipr - before.mean_row_ipr) > 1e-3


# A layer of ReLUs that is no table over residues, and the matrix that reads it, neither.
HIDDEN = {
    HookedTransformer: ("blocks.0.mlp.", "blocks.0.mlp.W_out"),
    HookedMLP: ("layers.1.", "layers.2.W_in"),
    HookedEmbeddingMLP: ("layers.0.", "layers.1.W_in"),
}


@pytest.mark.parametrize("how", ["permuted", "rescaled"])
def test_neurons_have_no_order_and_relu_no_scale(model: HookedModel, how: str) -> None:
    if type(model) not in HIDDEN:
        pytest.skip("an LSTM has no layer of ReLUs")
    layer, reader = HIDDEN[type(model)]
    width = len(model.get_parameter(reader))
    rng = torch.Generator().manual_seed(3)
    order = torch.randperm(width, generator=rng)
    factor = torch.rand(width, generator=rng, dtype=torch.float64) + 0.5

    def change(name: str, weight: Tensor) -> Tensor | None:
        if name == reader:
            return weight[order] if how == "permuted" else weight / factor[:, None]
        if name.startswith(layer) and name.endswith(("W_in", "b_in")):
            return weight[..., order] if how == "permuted" else weight * factor
        return None

    other = changed(model, change)
    close(network_on_pairs(other).logits(), network_on_pairs(model).logits())
    check_same(other, model)
