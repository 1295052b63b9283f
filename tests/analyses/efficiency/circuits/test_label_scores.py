"""Logits, margins and their averages on tables that were written down by hand."""

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses.efficiency.circuits.label_scores import label_scores
from probes.margins import (
    all_logits,
    label_logits,
    label_margins,
    model_label_logits,
    model_label_margins,
)
from tests.tolerance import assert_agree

P = 5


@pytest.fixture(scope="module")
def dataset() -> gi.Dataset:
    """Half of the 25 pairs train, a good half of these with changed labels."""
    return gi.make_dataset(
        gi.DataConfig(p=P, corruption=0.6, corruption_kind="derangement", seed=1)
    )


def test_margin_is_over_the_best_of_all_other_classes() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.5], [0.0, -3.0, -1.0]])
    labels = torch.tensor([1, 2])
    assert label_logits(logits, labels).tolist() == [4.0, -1.0]
    assert label_margins(logits, labels).tolist() == [1.5, -1.0]


def test_logits_of_a_network_are_those_of_one_forward_pass() -> None:
    """In pieces, in evaluation mode although it trains, and with classes that are no residues."""
    model = gi.HookedEmbeddingMLP(
        gi.EmbeddingMLPConfig(d_embed=4, hidden=(6,), norm="batch", d_vocab_out=80), p=71
    )
    tokens = gi.make_dataset(gi.DataConfig(p=71)).tokens
    labels = tokens.sum(dim=1) % 80
    assert model.training
    found = all_logits(model, tokens)
    assert model.training
    with torch.no_grad():
        want = model.eval()(tokens).double()
    n_terms = 2 * 4 + 6 + 2 * 6  # embeddings, norm and read-out, in float32
    assert_agree(found, want, n_terms=n_terms, dtype=torch.float32)
    assert found.shape == (71**2, 80)
    top = want.sort(dim=1).values
    is_top = want.argmax(dim=1) == labels
    at_label = want[torch.arange(len(labels)), labels]
    other = torch.where(is_top, top[:, -2], top[:, -1])
    found = (model_label_logits(model, tokens, labels), model_label_margins(model, tokens, labels))
    for ours, theirs in zip(found, (at_label, at_label - other), strict=True):
        assert_agree(ours, theirs, n_terms=n_terms, dtype=torch.float32)


def test_scores_of_a_table_that_says_the_given_label(dataset: gi.Dataset) -> None:
    """Logit 3 at the given label, 1 at the true one where it differs, else 0."""
    logits = torch.zeros(P * P, P + 2, dtype=torch.float64)
    logits.scatter_(1, dataset.clean_labels[:, None], 1.0)
    logits.scatter_(1, dataset.labels[:, None], 3.0)
    found = label_scores(logits, dataset)
    changed = found.sel(subset="changed")
    assert changed.accuracy.values.tolist() == [1.0, 0.0]
    assert changed.median_logit.values.tolist() == [3.0, 1.0]
    assert changed.mean_margin.values.tolist() == [2.0, -2.0]
    for subset in ("unchanged", "test"):
        assert (found.accuracy.sel(subset=subset) == 1).all()
        assert (found.median_margin.sel(subset=subset) == 3).all()
    n = dataset.is_train.sum()
    share = float(dataset.is_changed.sum() / n)
    assert found.accuracy.sel(subset="train", label="true") == pytest.approx(1 - share)
    assert found.mean_logit.sel(subset="train", label="true") == pytest.approx(3 - 2 * share)
    assert found.n_examples.values.tolist() == [int(m.sum()) for m in dataset.masks.values()]


def test_a_class_that_is_no_residue_can_win(dataset: gi.Dataset) -> None:
    logits = torch.zeros(P * P, P + 2)
    logits[:, -1] = 1.0
    assert (label_scores(logits, dataset).accuracy == 0).all()


def test_logits_may_need_gradients(dataset: gi.Dataset) -> None:
    logits = torch.randn(P * P, P, generator=torch.Generator().manual_seed(0))
    found = label_scores(logits.clone().requires_grad_(), dataset)
    xr.testing.assert_identical(found, label_scores(logits, dataset))


def test_an_empty_subset_is_nan() -> None:
    clean = gi.make_dataset(gi.DataConfig(p=P))
    found = label_scores(torch.zeros(P * P, P), clean)
    assert np.isnan(found.sel(subset="changed").median_logit).all()
    assert found.n_examples.sel(subset="changed") == 0


@pytest.mark.parametrize("shape", [(P * P, P - 1), (P * P + 1, P)])
def test_logits_of_another_task_are_refused(dataset: gi.Dataset, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="25 pairs of 5 residues"):
        label_scores(torch.zeros(shape), dataset)
