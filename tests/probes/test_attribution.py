"""Direct logit attribution: its sum rule, a case by hand, and what ablation takes away."""

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from probes import model_neuron_attribution, neuron_attribution


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over examples of the label's logit above the mean logit."""
    own = logits[torch.arange(len(labels)), labels]
    return (own - logits.mean(dim=1)).mean()


def test_attribution_by_hand() -> None:
    post = torch.tensor([[2.0, 1.0], [4.0, 3.0]])
    W_U = torch.tensor([[1.0, 0.0, -1.0], [5.0, 5.0, 5.0]])
    # First neuron: 2 * 1 on label 0 and 4 * -1 on label 2; the second lifts all classes alike.
    assert neuron_attribution(post, W_U, torch.tensor([0, 2])).tolist() == [-1.0, 0.0]


def test_attributions_sum_to_the_margin() -> None:
    rng = torch.Generator().manual_seed(0)
    post = torch.randn(30, 8, generator=rng, dtype=torch.float64)
    W_U = torch.randn(8, 5, generator=rng, dtype=torch.float64)
    labels = torch.randint(0, 5, (30,), generator=rng)
    kept = post.clone(), W_U.clone(), labels.clone()
    total = neuron_attribution(post, W_U, labels).sum()
    torch.testing.assert_close(total, margin(post @ W_U, labels), rtol=1e-12, atol=1e-14)
    assert all(map(torch.equal, (post, W_U, labels), kept))


def test_attribution_is_what_ablation_takes_from_the_margin(random_model: gi.HookedMLP) -> None:
    data = gi.make_dataset(gi.DataConfig(p=11, seed=2))
    tokens, labels = data.tokens[data.is_train], data.labels[data.is_train]
    found = model_neuron_attribution(random_model, tokens, labels)
    with torch.no_grad():
        whole = margin(random_model(tokens), labels)
        for neuron in range(20):
            without = random_model.run_with_hooks(tokens, fwd_hooks=gi.ablate([neuron]))
            lost = (whole - margin(without, labels)).item()
            assert found[neuron].item() == pytest.approx(lost, abs=2e-7)
    assert not found.requires_grad
