"""What all public functions of this package have in common."""

from collections.abc import Callable

from grokinterp.arguments import Arguments, Result, checked
from grokinterp.session import unaffected


def probe(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Arguments are checked by their annotations, and the result does not follow the session.

    See :func:`grokinterp.arguments.checked` and :func:`grokinterp.session.unaffected`.
    """
    return checked(unaffected()(function))
