"""How pairs become the input of somebody's network."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grokinterp.checks import check_text
from grokinterp.models.named_parts import find
from grokinterp.models.prompt import Prompt
from grokinterp.models.wrapped_tables import tried_pairs
from grokinterp.short_text import short

ONE_HOT, TOKENS = "one-hot", "tokens"
Inputs = str | Callable[[Tensor], Any]


def reader(
    inputs: Inputs, p: int, net: nn.Module, first: Sequence[Any]
) -> tuple[Callable[[Tensor], Any], str | None]:
    """How pairs become the network's input, and the words of the prompt if they are tokens."""
    weight = next(iter(net.parameters()), torch.zeros(0))
    if callable(inputs):
        return partial(_own_inputs, inputs, weight), _words(inputs, p, weight)
    check_text("inputs", inputs, example=ONE_HOT)
    if inputs == ONE_HOT:
        part = find(net, "first", first[0])[1] if len(first) == 1 else None
        read = part.in_features if isinstance(part, nn.Linear) else 2 * p
        if read not in (p, 2 * p):
            raise ValueError(
                f"inputs='one-hot' at p={p} gives {2 * p} floats (a and b side by side) or their "
                f"sum, {p} floats, but first={first[0]!r} reads {read}; correct p, or give a "
                "function of the pairs as inputs"
            )
        return partial(_one_hot, p, read == p, weight), None
    template = "a b" if inputs == TOKENS else inputs
    if "a" not in template.split():
        raise ValueError(
            f"inputs={short(inputs)} must be 'tokens', 'one-hot', a prompt with the words a and b, "
            "such as 'a b =', or a function of the pairs"
        )
    return Prompt(template, p).tokens, template


def _one_hot(p: int, is_sum: bool, like: Tensor, pairs: Tensor) -> Tensor:
    hot = F.one_hot(pairs.to(like.device).long(), p).to(like.dtype)
    return hot.sum(dim=1) if is_sum else hot.flatten(start_dim=1)


def _own_inputs(function: Callable[[Tensor], Any], like: Tensor, pairs: Tensor) -> Any:
    given = function(pairs.to(like.device))
    if isinstance(given, Tensor):
        if given.ndim < 2 or len(given) != len(pairs):
            raise ValueError(
                f"inputs must give a row for each pair, but gave {list(given.shape)} for pairs "
                f"{list(pairs.shape)}"
            )
        dtype = like.dtype if given.is_floating_point() else given.dtype
        return given.to(like.device, dtype)
    return given


def _words(function: Callable[[Tensor], Any], p: int, like: Tensor) -> str | None:
    """A prompt with the words a and b where tokens are those of a and b; None if there is none."""
    pairs = tried_pairs(p).to(like.device)
    tokens = _own_inputs(function, like, pairs)
    if not isinstance(tokens, Tensor) or tokens.is_floating_point() or tokens.ndim != 2:
        return None
    words = []
    for column in tokens.T:
        varies = [
            w for w, of in zip("ab", pairs.T, strict=True) if len(set((column - of).tolist())) == 1
        ]
        words.append(varies[0] if varies else "=")
    return " ".join(words) if sorted(words)[-2:] == ["a", "b"] else None
