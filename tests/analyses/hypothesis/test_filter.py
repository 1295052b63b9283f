"""Frequencies that are kept in an embedding, or taken out of it, against the plain filter."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
from analyses import hypothesis
from analyses.hypothesis.evidence import Question
from analyses.hypothesis.filter import chosen_frequencies, filtered_logits, random_frequencies
from grokinterp.frequencies import filtered_embedding
from probes import network_on_pairs
from tests.networks import native_transformer

P = 11
DRAWS = 3


def transformer(**changes: Any) -> gi.HookedTransformer:
    config = gi.TransformerConfig(d_model=12, n_heads=2, d_mlp=20, **changes)
    return gi.HookedTransformer(config, p=P, seed=1).double()


def question(model: Any, draws: int = DRAWS) -> Question:
    return Question(model, "addition", None, draws=draws, seed=0)


@pytest.mark.parametrize("keep", [True, False])
def test_one_set_of_frequencies_is_the_plain_filter(keep: bool) -> None:
    model = transformer()
    pairs, before = network_on_pairs(model).pairs, copy.deepcopy(model.state_dict())
    with filtered_embedding(model, [2, 5], keep=keep), torch.no_grad():
        want = model(pairs)
    asked = question(model)
    chosen = chosen_frequencies(asked, [2, 5], [])
    torch.testing.assert_close(filtered_logits(asked, chosen, keep=keep), want)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_of_a_tied_embedding_only_the_way_in_is_filtered() -> None:
    tied, free = transformer(tie_embedding=True), transformer()
    state = free.state_dict() | tied.state_dict()
    state["unembed.W_U"] = tied.W_U.detach().clone()
    free.load_state_dict(state)
    answers = []
    for model in (tied, free):
        asked = question(model)
        answers.append(filtered_logits(asked, chosen_frequencies(asked, [3], []), keep=True))
    torch.testing.assert_close(answers[0], answers[1])


def test_a_bridge_model_is_filtered_and_given_back_as_it_was() -> None:
    model = native_transformer(P, d_mlp=12)
    before, asked = (
        model.W_E.detach().clone(),
        question(network_on_pairs(model, p=P, prompt="a b =")),
    )
    chosen = chosen_frequencies(asked, [1], [])
    changed = filtered_logits(asked, chosen, keep=False)
    assert not torch.allclose(changed, asked.network.logits())
    assert torch.equal(model.W_E, before)
    found = hypothesis.compute_model(asked.network, "addition", random_draws=DRAWS)
    assert found.verdict.item() == "not applicable"


def test_dominant_frequencies_belong_to_a_shared_table_or_to_each_neuron() -> None:
    x = torch.arange(P)[:, None] * 2 * torch.pi / P
    waves = [torch.cos(k * x + k) for k in (1, 2, 4)]
    shared = transformer()
    with torch.no_grad():
        shared.W_E[:P] = 3 * waves[0] + 2 * waves[1] + 0.3 * waves[2] + 7.0
    own = gi.HookedMLP(gi.MLPConfig(d_mlp=3), p=P)
    with torch.no_grad():
        own.W_E[0] = torch.cat(waves, dim=1)
        own.W_E[1] = torch.cat([waves[1], waves[1] + waves[2], 0 * waves[0]], dim=1)

    def sets(chosen: Tensor) -> list[list[int]]:
        return [(1 + column.nonzero()[:, 0]).tolist() for column in chosen.T]

    (one,) = chosen_frequencies(question(shared), None, [1, 5]).values()
    assert sets(one) == [[1, 2, 5]] * 12  # shares .69, .30, .01, and a key frequency of the logits
    first, second = chosen_frequencies(question(own), None, [5]).values()
    assert sets(first) == [[1], [2], [4]]
    assert sets(second) == [[2], [2, 4], []]


@pytest.mark.parametrize("shared", [True, False])
def test_random_frequencies_are_as_many_others(shared: bool) -> None:
    model = transformer() if shared else gi.HookedMLP(gi.MLPConfig(d_mlp=40), p=P)
    asked = question(model, draws=6)
    chosen = chosen_frequencies(asked, [2, 5], [])
    draws = list(random_frequencies(asked, chosen))
    assert len(draws) == 6
    for drawn in draws:
        for name, own in chosen.items():
            assert not (drawn[name] & own).any()
            assert (drawn[name].sum(dim=0) == 2).all()
            assert (drawn[name] == drawn[name][:, :1]).all() == shared
    is_drawn = torch.cat([drawn[name] for drawn in draws for name in chosen], dim=1).any(dim=1)
    assert is_drawn.tolist() == [True, False, True, True, False]
    most = chosen_frequencies(asked, [1, 2, 3], [])  # only two others are left
    assert all((d.sum(dim=0) == 2).all() for d in next(random_frequencies(asked, most)).values())
