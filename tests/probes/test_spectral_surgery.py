"""What surgery leaves is what was put in; the controls are projections of equal energy."""

import math

import pytest
import torch

import grokinterp as gi
import probes
from probes.spectral_surgery import randomly_reduced_weights, with_neuron_weights
from tests.networks import all_pairs
from tests.tolerance import assert_agree, rounding

P = 11


def mixed_model(operation: str = "addition") -> tuple[gi.HookedMLP, list[torch.Tensor]]:
    """A network of one loud frequency per neuron and much else, and the loud part alone."""
    basis = probes.task_basis(operation, P)
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=8), p=P).double()
    model.operation = operation
    rng = torch.Generator().manual_seed(2)
    angle = 2 * math.pi * torch.arange(basis.period).double() / basis.period
    own = torch.arange(8)[:, None] % 3 + 1
    pure = []
    for part, order in zip(
        probes.neuron_weights(model), (basis.order, basis.order_b, basis.order), strict=True
    ):
        phase = 6 * torch.rand(3, 8, 1, generator=rng, dtype=torch.float64)
        loud = 2 * torch.cos(own * angle + phase[0])
        with torch.no_grad():
            part[:, order] = loud + 0.5 * torch.cos((own + 1) * angle + phase[1]) + 0.3
        kept = part.clone()
        kept[:, order] = loud
        pure.append(kept)
    return model, pure


@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication"])
def test_surgery_keeps_the_own_frequency_and_nothing_else(operation: str) -> None:
    model, pure = mixed_model(operation)
    before = model.W_E.clone()
    for found, expected in zip(probes.own_frequency_weights(model), pure, strict=True):
        assert_agree(found, expected, n_terms=10 * P)
    assert torch.equal(model.W_E, before)


def test_surgery_leaves_the_closed_form_as_it_is_but_for_constants() -> None:
    model = gi.closed_form_mlp(P, 30)
    weights = probes.neuron_weights(model)
    has = probes.model_solution_form(model).has_frequency
    for found, whole in zip(probes.own_frequency_weights(model), weights, strict=True):
        assert found.dtype == whole.dtype
        assert_agree(found[has], whole[has], n_terms=P)
        assert not found[~has].any()


@pytest.mark.parametrize("evenly", [False, True])
def test_random_removals_are_projections_of_equal_energy(evenly: bool) -> None:
    model, _ = mixed_model()
    weights, own = probes.neuron_weights(model), probes.own_frequency_weights(model)
    own.U[0] *= 0.1  # vectors that lose very different shares
    found = randomly_reduced_weights(model, own, evenly=evenly, seed=4)
    again = randomly_reduced_weights(model, own, evenly=evenly, seed=4)
    other = randomly_reduced_weights(model, own, evenly=evenly, seed=5)
    gap = rounding(torch.float64, 100, float(max(w.norm() for w in weights)) ** 2)
    for new, old, aim, same, different in zip(found, weights, own, again, other, strict=True):
        energy, left, wanted = (x.square().sum(dim=1) for x in (old, new, aim))
        assert float((left.sum() - wanted.sum()).abs()) < gap
        if evenly:
            torch.testing.assert_close(left / energy, (wanted.sum() / energy.sum()).expand(8))
        else:
            torch.testing.assert_close(left, wanted)
        # What was removed is orthogonal to what stays.
        assert float((new * (old - new)).sum(dim=1).abs().max()) < gap
        assert torch.equal(new, same)
        assert not torch.allclose(new, different)


def test_a_network_with_other_weights_computes_with_them() -> None:
    model, pure = mixed_model()
    changed = with_neuron_weights(model, probes.NeuronWeights(*pure))
    tokens = all_pairs(P)
    U, V, W = pure
    expected = (U.T[tokens[:, 0]] + V.T[tokens[:, 1]]).square() @ W
    assert_agree(changed(tokens).detach(), expected, n_terms=8 * P)
    assert not torch.allclose(model(tokens), expected)
    assert changed.operation == "addition"


def test_weights_of_another_shape_are_refused() -> None:
    model, pure = mixed_model()
    short = probes.NeuronWeights(*(part[:5] for part in pure))
    with pytest.raises(ValueError, match=r"weights must be U, V and W, each \[8, 11\]"):
        with_neuron_weights(model, short)
