"""The decorator of all public functions of this package."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from grokinterp.arguments import Arguments, Result, checked
from grokinterp.session import quick_on, unaffected


def probe(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Check arguments by their annotations, and ignore torch's session-wide settings.

    If an argument is a network with dying units, denormal numbers count as 0 meanwhile. See
    :func:`grokinterp.arguments.checked`, :func:`grokinterp.session.unaffected` and
    :func:`grokinterp.session.quick_on`.
    """

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with unaffected(), quick_on(_weights((*args, *kwargs.values()))):
            return function(*args, **kwargs)

    return checked(call)


def _weights(arguments: tuple[Any, ...]) -> Iterator[Tensor]:
    """The weights of networks among the arguments, also of those in a ``NetworkOnPairs``."""
    for argument in arguments:
        model = getattr(argument, "model", argument)
        if isinstance(model, nn.Module):
            yield from model.parameters()
