"""How a pair (a, b) is written as a sequence of tokens."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.checks import check_int, check_text
from grokinterp.limits import MAX_WORDS
from grokinterp.short_text import short

OPERANDS = ("a", "b")
_OWN_TABLE = "p+b"  # the second operand with other tokens than the first's


class Prompt:
    """A template for token sequences, such as "a b", "a b =" or "eos a + b =".

    The words ``a`` and ``b`` stand for the operands, whose tokens are the residues 0..p-1. Every
    other word is a symbol; symbols get the tokens p, p + 1, ... in order of appearance. With
    p = 5, "a b =" writes the pair (1, 3) as the tokens [1, 3, 5].

    With ``p+b`` instead of ``b`` the second operand has tokens of its own, p..2p-1, and so a table
    of its own in the embedding; symbols then start at 2p. With p = 5, "a p+b =" writes the pair
    (1, 3) as [1, 8, 10].

    Args:
        template: words separated by spaces; ``a`` and ``b`` (or ``p+b``) occur once each.
        p: the modulus.
    """

    def __init__(self, template: str, p: int) -> None:
        check_prompt(template)
        words, self._p = _words(template), p
        self.has_two_tables = _OWN_TABLE in template.split()
        residues = 2 * p if self.has_two_tables else p
        symbols = list(dict.fromkeys(word for word in words if word not in OPERANDS))
        self.length, self.d_vocab = len(words), residues + len(symbols)
        self.operands = [words.index(operand) for operand in OPERANDS]  # their positions
        self._fixed = [0 if word in OPERANDS else residues + symbols.index(word) for word in words]

    def tokens(self, pairs: Int[Tensor, "batch 2"]) -> Int[Tensor, "batch pos"]:
        """One int64 token sequence per pair (a, b)."""
        a, b = pairs.long().unbind(dim=1)
        columns: list[Tensor] = [torch.full_like(a, token) for token in self._fixed]
        columns[self.operands[0]] = a
        columns[self.operands[1]] = b + self._p if self.has_two_tables else b
        return torch.stack(columns, dim=1)

    def tables(self, W_E: Float[Tensor, "vocab d"]) -> dict[str, Float[Tensor, "residue d"]]:
        """An embedding as ``Anatomy.input_tables``: one table for both operands, or one each."""
        if not self.has_two_tables:
            return {"W_E": W_E}
        return {"W_E[0]": W_E[: self._p], "W_E[1]": W_E[self._p : 2 * self._p]}


def fitting_size(name: str, given: int | None, needed: int, task: str) -> int:
    """A config's size, or the least one that a task needs if the config leaves it None.

    Args:
        name: of the config's field, for the error.
        given: the config's value.
        needed: the least size that the task needs.
        task: the task in words, for the error.

    Raises:
        ValueError: ``given`` is less than ``needed``.
    """
    if given is not None and given < needed:
        raise ValueError(
            f"{name} must be at least {needed} for {task}, got {given}; leave it None for {needed}"
        )
    return needed if given is None else given


def vocabulary(config: Any, p: int) -> tuple[Prompt, int, int]:
    """The prompt of a model's config, its number of tokens and its number of classes.

    Raises:
        ValueError: there are fewer tokens or classes than p and the prompt need.
    """
    prompt, task = Prompt(config.prompt, p), f"p={p} and prompt={config.prompt!r}"
    d_vocab = fitting_size("d_vocab", config.d_vocab, prompt.d_vocab, task)
    return prompt, d_vocab, fitting_size("d_vocab_out", config.d_vocab_out, p, task)


def check_prompt(template: object) -> None:
    """Raise unless ``template`` is a valid prompt."""
    check_text("prompt", template, example="a b =")
    words = _words(str(template))
    check_int("the number of words in prompt", len(words), minimum=0, maximum=MAX_WORDS)
    if any(words.count(operand) != 1 for operand in OPERANDS):
        raise ValueError(
            f"prompt={short(template)} must have the words a and b once each, as in 'a b =' "
            "(p+b instead of b if the second operand has tokens of its own); any other words are "
            "symbols with tokens of their own"
        )


def _words(template: str) -> list[str]:
    return ["b" if word == _OWN_TABLE else word for word in template.split()]
