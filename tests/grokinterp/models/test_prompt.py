"""How pairs become token sequences."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from grokinterp import (
    EmbeddingMLPConfig,
    HookedEmbeddingMLP,
    HookedLSTM,
    HookedMLP,
    HookedModule,
    HookedTransformer,
    LSTMConfig,
    MLPConfig,
    TransformerConfig,
)
from grokinterp.models.prompt import Prompt
from tests.networks import all_pairs

PAIRS = torch.tensor([[0, 1], [4, 3], [2, 2]])


@pytest.mark.parametrize(
    ("template", "row", "d_vocab"),
    [  # the sequence of the pair (4, 3) at p = 5
        ("a b", [4, 3], 5),
        ("b a", [3, 4], 5),
        ("a b =", [4, 3, 5], 6),
        ("a + b =", [4, 5, 3, 6], 7),
        ("eos a + b =", [5, 4, 6, 3, 7], 8),
        ("= a = b =", [5, 4, 5, 3, 5], 6),  # one symbol, one token
        ("  a\tb  = ", [4, 3, 5], 6),
        ("b ab a", [3, 5, 4], 6),  # a word that only contains an operand's name
        ("a p+b", [4, 8], 10),
        ("= p+b a +", [10, 8, 4, 11], 12),
    ],
)
def test_sequences_are_the_template_filled_in(template: str, row: list[int], d_vocab: int) -> None:
    prompt = Prompt(template, 5)
    sequences = prompt.tokens(PAIRS)
    assert sequences[1].tolist() == row
    assert (prompt.length, prompt.d_vocab) == (len(row), d_vocab)
    assert sequences.shape == (3, len(row))
    assert torch.equal(prompt.tokens(PAIRS[1:2])[0], sequences[1])


def test_symbols_never_meet_residues() -> None:
    p = 7
    pairs = all_pairs(p)
    sequences = Prompt("eos a + b =", p).tokens(pairs)
    assert torch.equal(sequences[:, [1, 3]], pairs)
    assert (sequences[:, [0, 2, 4]] >= p).all()
    assert sequences.unique().tolist() == list(range(p + 3))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_sequences_are_int64_and_the_pairs_stay(dtype: torch.dtype) -> None:
    pairs = PAIRS.to(dtype)
    sequences = Prompt("a b =", 5).tokens(pairs)
    assert sequences.dtype == torch.int64
    sequences.zero_()
    assert torch.equal(pairs, PAIRS.to(dtype))
    assert Prompt("a b =", 5).tokens(pairs[:0]).shape == (0, 3)


def test_vectorised_over_runs() -> None:
    prompt, runs = Prompt("a + b =", 5), torch.stack([PAIRS, PAIRS.flip(1)])
    expected = torch.stack([prompt.tokens(pairs) for pairs in runs])

    def tokens(pairs: Tensor) -> Tensor:
        return prompt.tokens(pairs)

    assert torch.equal(vmap(tokens)(runs), expected)


TWO_TABLES: list[Any] = [
    HookedTransformer(TransformerConfig(d_model=4, n_heads=1, prompt="p+b a ="), p=5),
    HookedLSTM(LSTMConfig(d_embed=4, d_hidden=4, prompt="p+b a ="), p=5),
    HookedLSTM(LSTMConfig(d_embed=4, d_hidden=4, prompt="a p+b"), p=5),
    HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=4, hidden=(4,), prompt="p+b a ="), p=5),
    HookedEmbeddingMLP(
        EmbeddingMLPConfig(d_embed=4, hidden=(4,), prompt="a p+b", combine="sum"), p=5
    ),
]


@pytest.mark.parametrize("model", TWO_TABLES, ids=lambda model: type(model).__name__)
def test_an_operand_with_its_own_tokens_has_its_own_table(model: Any) -> None:
    """Changing a row of one table changes the pairs with that operand, and no others."""
    pairs = all_pairs(5)
    assert not model.operands_share_input
    model.double()
    hooked, _ = model.run_with_cache(pairs)  # without hooks, pairs share what is alike
    torch.testing.assert_close(model(pairs), hooked, rtol=1e-11, atol=1e-11)
    for operand, table in enumerate(model.input_tables.values()):
        before = model(pairs)
        with torch.no_grad():
            table[3] += 1.0
        moved = (model(pairs) != before).any(dim=1)
        assert torch.equal(moved, pairs[:, operand] == 3)


@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_input_weights_of_two_tables_add_up_to_the_neurons(combine: str) -> None:
    config = EmbeddingMLPConfig(
        d_embed=4, hidden=(6,), prompt="p+b a", combine=combine, biases=False
    )
    model = HookedEmbeddingMLP(config, p=5, seed=2).double()
    pairs = all_pairs(5)
    _, cache = model.run_with_cache(pairs)
    first, second = model.input_weights
    expected = first[pairs[:, 0]] + second[pairs[:, 1]]
    torch.testing.assert_close(cache["layers.0.hook_pre"], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("template", "error", "message"),
    [
        ("", ValueError, "prompt='' must have the words a and b once each"),
        ("a =", ValueError, "prompt='a ='"),
        ("a b a", ValueError, "prompt='a b a'"),
        ("a+b", ValueError, "prompt='a.b' must have"),
        ("A b", ValueError, "prompt='A b'"),
        (None, TypeError, "prompt must be a string such as 'a b =', got None"),
    ],
)
def test_templates_without_both_operands_are_refused(
    template: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Prompt(template, 5)


MODELS: list[Any] = [
    HookedTransformer(TransformerConfig(d_model=4, n_heads=1, prompt="a b"), p=5),
    HookedLSTM(LSTMConfig(d_embed=4, d_hidden=4), p=5),
    HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=4, hidden=(4,), prompt="a b ="), p=5),
    HookedModule(nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 5)), p=5, prompt="a b ="),
]


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_whole_sequences_are_told_that_the_model_writes_them(model: Any) -> None:
    """As from a notebook whose network does not know its task, and is given "a b =" as tokens."""
    told = rf"got \[3, 3\]; the model writes the prompt '{model.template or 'a b ='}' itself"
    with pytest.raises(ValueError, match=told):
        model(Prompt("a b =", 5).tokens(PAIRS))
    with pytest.raises(ValueError, match=told):
        model.run_with_cache(Prompt("a b =", 5).tokens(PAIRS))


@pytest.mark.usefixtures("no_type_checker")
def test_a_model_without_a_prompt_is_told_nothing_of_one() -> None:
    with pytest.raises(ValueError, match=r"one row \(a, b\) per pair, got \[3, 3\]$"):
        HookedMLP(MLPConfig(d_mlp=4), p=5)(Prompt("a b =", 5).tokens(PAIRS))
